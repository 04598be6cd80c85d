export {
  AmbientLight, DirectionalLight, MeshLambertMaterial, BufferAttribute, BufferGeometry, Color, DataTexture, DoubleSide, Float32BufferAttribute, Group,
  LineBasicMaterial, LineSegments, LinearFilter, Mesh, MeshBasicMaterial, OrthographicCamera,
  PerspectiveCamera, Points, PointsMaterial, RGBAFormat, Raycaster, RepeatWrapping,
  ClampToEdgeWrapping, CanvasTexture, Scene, Vector2, Vector3, WebGLRenderer, NearestFilter, Spherical, MOUSE, TOUCH
} from "three";
export { OrbitControls } from "three/addons/controls/OrbitControls.js";
