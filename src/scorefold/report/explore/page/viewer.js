// One canvas: the bodies of a stage side by side, seen by one camera, drawn when something changed.
class Viewer {
  constructor(canvas, overlay, colours) {
    this.canvas = canvas;
    this.overlay = overlay;
    this.colours = colours;
    this.renderer = new THREE.WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.renderer.setPixelRatio(Math.min(window.devicePixelRatio || 1, 2));
    this.listeners = [];
    this.hidden = new Set();
    this.share = 0;
    new ResizeObserver(() => this.resize()).observe(canvas.parentElement);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.repaint());
  }

  show(stage) {
    this.stage = stage;
    this.flat = stage.shape === "flat";
    this.around = stage.shape === "globe" ? [true, false] : [stage.shape === "torus", stage.shape === "torus"];
    this.share = 0;
    this.release();
    this.bodies = stage.bodies.map((body) => this.build(body));
    this.overlay.replaceChildren(...this.bodies.map((body) => body.frame));
    this.aim();
    this.resize();
  }

  // Memory of the graphics card is not collected by itself.
  release() {
    for (const { scene } of this.bodies ?? []) {
      scene.traverse((object) => {
        object.geometry?.dispose();
        object.material?.map?.dispose();
        object.material?.dispose();
      });
    }
  }

  build(body) {
    const { stage } = this, scene = new THREE.Scene();
    const lamp = new THREE.DirectionalLight(0xffffff, 0.9);
    scene.add(new THREE.AmbientLight(0xffffff, 2.5), lamp);
    const found = { body, scene, lamp, layers: [], frame: el("div", { className: "frame" }) };
    found.labels = svg("svg", { class: "labels" });
    found.frame.append(el("span", { className: "body-title", textContent: body.title }), found.labels);
    if (SURFACES[stage.shape].at) {
      const kind = this.flat ? THREE.MeshBasicMaterial : THREE.MeshLambertMaterial;
      found.surface = new THREE.Mesh(meshGeometry(stage), new kind({ side: THREE.DoubleSide }));
      scene.add(found.surface);
    }
    if (body.raster) found.raster = levelsOf(body.raster);
    found.cell = Boolean(body.raster) && body.how !== "model density";
    found.grid = linesOf(stage.grid.lines, stage.grid.lengths, "#808080", this.flat, 0.4);
    scene.add(found.grid);
    for (const layer of [...stage.layers, ...body.layers]) {
      const made = layerOf(layer, stage);
      found.layers.push(made);
      scene.add(made.object);
    }
    return found;
  }

  // The camera and what turns it, as they are at first.
  aim() {
    const { shape, facing, half } = this.stage;
    this.controls?.dispose();
    if (this.flat) {
      this.camera = new THREE.OrthographicCamera(-1, 1, 1, -1, 0.1, 10);
      this.camera.position.set(0, 0, 5);
    } else {
      this.camera = new THREE.PerspectiveCamera(30, 1, 0.01, 50);
      this.camera.up.set(0, 0, 1);
      const at = new THREE.Vector3(...facing).normalize();
      // Not from right above: there left and right have no meaning.
      at.z = Math.min(Math.max(at.z, -0.9), 0.9);
      this.distance = SURFACES[shape].reach(this.stage) / Math.sin(THREE_DEGREES * 15);
      this.camera.position.copy(at.normalize().multiplyScalar(this.distance));
    }
    this.half = half;
    const controls = this.controls = new THREE.OrbitControls(this.camera, this.canvas);
    controls.enableZoom = document.activeElement === this.canvas;
    if (this.flat) {
      controls.enableRotate = false;
      controls.zoomToCursor = true;
      controls.minZoom = 0.7;
      controls.maxZoom = 60;
      controls.mouseButtons.LEFT = THREE.MOUSE.PAN;
      controls.touches.ONE = THREE.TOUCH.PAN;
      controls.touches.TWO = THREE.TOUCH.DOLLY_PAN;
    } else {
      controls.enablePan = false;
      controls.minDistance = SURFACES[shape].nearest;
      controls.maxDistance = 2.5 * this.distance;
    }
    controls.addEventListener("change", () => this.ask());
  }

  reset() {
    this.aim();
    this.resize();
  }

  // Turn by degrees, or move across a flat picture.
  turn(right, up) {
    const offset = this.camera.position.clone().sub(this.controls.target);
    if (this.flat) {
      const step = 0.1 / this.camera.zoom / 10;
      const move = new THREE.Vector3(right * step, up * step, 0);
      this.controls.target.add(move);
      this.camera.position.add(move);
    } else {
      const flat = Math.hypot(offset.x, offset.y), size = offset.length();
      const lon = Math.atan2(offset.y, offset.x) + right * THREE_DEGREES;
      const lat = Math.min(Math.max(Math.atan2(offset.z, flat) + up * THREE_DEGREES, -1.5), 1.5);
      this.camera.position.set(
        size * Math.cos(lat) * Math.cos(lon), size * Math.cos(lat) * Math.sin(lon), size * Math.sin(lat));
    }
    this.controls.update();
    this.ask();
  }

  zoom(factor) {
    const { controls, camera } = this;
    if (this.flat) {
      camera.zoom = Math.min(Math.max(camera.zoom * factor, controls.minZoom), controls.maxZoom);
      camera.updateProjectionMatrix();
    } else {
      const size = Math.min(Math.max(camera.position.length() / factor, controls.minDistance), controls.maxDistance);
      camera.position.setLength(size);
    }
    controls.update();
    this.ask();
  }

  go(share) {
    this.share = share;
    for (const body of this.bodies) body.layers.forEach((one) => one.go(share));
    this.ask();
  }

  resize() {
    if (!this.stage) return;
    const box = this.canvas.parentElement.getBoundingClientRect(), n = this.bodies.length;
    const columns = box.width < 560 && n > 1 && this.stage.columns > 1 ? (box.width < 380 && n > 3 ? 1 : Math.min(2, n)) : Math.min(this.stage.columns, n);
    this.columns = columns;
    this.rows = Math.ceil(n / columns);
    const width = box.width, each = width / columns;
    const tall = this.flat ? this.half[1] / this.half[0] : 1;
    const most = (box.width < 560 ? 0.6 : 0.68) * window.innerHeight;
    const height = Math.round(Math.max(220, Math.min(each * Math.min(tall, 1.2) + (this.flat ? 30 : 0), most, 620)) * (this.rows > 1 ? this.rows * 0.8 : 1));
    this.canvas.parentElement.style.height = `${height}px`;
    this.size = [width, height];
    const small = Math.min(1, Math.max(0.55, each / 420));
    for (const { layers } of this.bodies) {
      for (const { object } of layers) if (object.isPoints) object.material.size = small * object.userData.size;
    }
    this.renderer.setSize(width, height, false);
    this.overlay.style.gridTemplateColumns = `repeat(${columns}, 1fr)`;
    this.fit();
    this.repaint();
  }

  // The part of the canvas (in CSS pixels) that body k has.
  cell(k) {
    const [width, height] = this.size, w = width / this.columns, h = height / this.rows;
    return { x: (k % this.columns) * w, y: Math.floor(k / this.columns) * h, w, h };
  }

  fit() {
    const { w, h } = this.cell(0);
    if (this.flat) {
      // Room for ticks at the left and below.
      const room = this.stage.disk ? 0 : 46, scale = Math.max(this.half[0] * 2 / (w - room - 12), this.half[1] * 2 / (h - room - 12)) * 1.02;
      const shift = room / 2;
      Object.assign(this.camera, {
        left: -scale * (w / 2 + shift - 4), right: scale * (w / 2 - shift + 4),
        bottom: -scale * (h / 2 + shift - 4), top: scale * (h / 2 - shift + 4),
      });
    } else {
      this.camera.aspect = w / h;
      this.camera.fov = w < h ? 2 * Math.atan(Math.tan(15 * THREE_DEGREES) * h / w) / THREE_DEGREES : 30;
    }
    this.camera.updateProjectionMatrix();
  }

  // Colours, after another theme, other limits or another choice of what is shown.
  repaint() {
    if (!this.stage) return;
    const style = getComputedStyle(this.canvas);
    const colour = (name) => new THREE.Color(style.getPropertyValue(name).trim());
    const ground = colour("--ground"), ink = colour("--ink"), limits = this.stage.limits;
    for (const body of this.bodies) {
      const dense = body.raster && !this.hidden.has("density");
      if (body.surface) {
        const { material } = body.surface;
        material.map?.dispose();
        const none = [ground.r, ground.g, ground.b].map(
          (c) => Math.round(255 * (c <= 0.0031308 ? 12.92 * c : 1.055 * c ** (1 / 2.4) - 0.055)));
        material.map = dense ? rasterTexture(body.raster, limits, this.colours, none, body.cell, this.around) : null;
        material.color = dense ? new THREE.Color(0xffffff) : ground;
        material.needsUpdate = true;
      }
      body.grid.material.color = dense ? new THREE.Color(0xffffff) : ink;
      for (const { layer, object } of body.layers) {
        object.visible = !this.hidden.has(layer.name);
        if (layer.colour === "coast") object.material.color = dense ? new THREE.Color(0xffffff) : ink;
      }
    }
    this.ask();
  }

  ask() {
    this.waiting ??= requestAnimationFrame(() => {
      this.waiting = null;
      this.draw();
    });
  }

  draw() {
    if (!this.size[0]) return;
    const [, height] = this.size;
    if (!this.flat && this.stage.shape === "globe") {
      this.controls.rotateSpeed = Math.min(1, Math.max(0.06, (this.camera.position.length() - 1) / (this.distance - 1)));
    }
    this.camera.updateMatrixWorld();
    this.renderer.setScissorTest(true);
    this.bodies.forEach((body, k) => {
      const { x, y, w, h } = this.cell(k);
      body.lamp.position.copy(this.camera.position);
      this.renderer.setViewport(x, height - y - h, w, h);
      this.renderer.setScissor(x, height - y - h, w, h);
      this.renderer.render(body.scene, this.camera);
      drawLabels(this, body.labels, w, h);
    });
    this.listeners.forEach((heard) => heard());
  }
}

const THREE_DEGREES = Math.PI / 180;
