// The surface of each shape as a map from (u, v) in [0, 1]², and back.
const TUBE = 0.42; // as in ground.py
const SUNK = 0.99; // a surface lies a little below what is drawn on it

const SURFACES = {
  globe: {
    reach: ({ labels }) => (labels.length ? 1.18 : 1.08), nearest: 1.25, cells: [96, 64],
    at(u, v) {
      const lon = 2 * Math.PI * u - Math.PI, lat = Math.PI * (v - 0.5), across = SUNK * Math.cos(lat);
      return [across * Math.cos(lon), across * Math.sin(lon), SUNK * Math.sin(lat)];
    },
    back(p) {
      const lat = Math.atan2(p.z, Math.hypot(p.x, p.y));
      return [Math.atan2(p.y, p.x) / (2 * Math.PI) + 0.5, lat / Math.PI + 0.5];
    },
  },
  torus: {
    reach: () => 1.5, nearest: 1.9, cells: [128, 48],
    at(u, v) {
      const a = 2 * Math.PI * u, b = 2 * Math.PI * v, tube = TUBE - (1 - SUNK);
      const across = 1 + tube * Math.cos(b);
      return [across * Math.cos(a), across * Math.sin(a), tube * Math.sin(b)];
    },
    back(p) {
      const turn = (x) => (x / (2 * Math.PI) + 1) % 1;
      return [turn(Math.atan2(p.y, p.x)), turn(Math.atan2(p.z, Math.hypot(p.x, p.y) - 1))];
    },
  },
  flat: {
    cells: [96, 1],
    at: (u, v, half, disk) => (disk
      ? [v * disk * Math.cos(2 * Math.PI * u), v * disk * Math.sin(2 * Math.PI * u), -0.001]
      : [(2 * u - 1) * half[0], (2 * v - 1) * half[1], -0.001]),
    back: (p, half) => [(p.x / half[0] + 1) / 2, (p.y / half[1] + 1) / 2],
  },
  cloud: { reach: ({ disk }) => (disk ? 1.3 : 2.0), nearest: 0.8 },
};

function meshGeometry({ shape, half, disk }) {
  const { at, back, cells: [m, n] } = SURFACES[shape];
  const positions = [], uvs = [], index = [];
  for (let j = 0; j <= n; j++) {
    for (let i = 0; i <= m; i++) {
      const [x, y, z] = at(i / m, j / n, half, disk);
      positions.push(x, y, z);
      uvs.push(...(disk ? back({ x, y }, half) : [i / m, j / n]));
      if (i < m && j < n) {
        const k = j * (m + 1) + i;
        index.push(k, k + 1, k + m + 1, k + 1, k + m + 2, k + m + 1);
      }
    }
  }
  const geometry = new THREE.BufferGeometry();
  geometry.setAttribute("position", new THREE.Float32BufferAttribute(positions, 3));
  geometry.setAttribute("uv", new THREE.Float32BufferAttribute(uvs, 2));
  geometry.setIndex(index);
  geometry.computeVertexNormals();
  return geometry;
}

// Colours of a raster between two limits; `none` where there is no number.
function rasterTexture(raster, limits, colours, none, cell, around) {
  const { rows, columns, values } = raster;
  const pixels = new Uint8Array(4 * rows * columns);
  values.forEach((value, k) => {
    const known = Number.isFinite(value);
    const share = Math.min(Math.max((value - limits[0]) / (limits[1] - limits[0]), 0), 1);
    const from = 3 * Math.round(255 * (known ? share : 0));
    pixels.set(known ? colours.subarray(from, from + 3) : none, 4 * k);
    pixels[4 * k + 3] = 255;
  });
  const texture = new THREE.DataTexture(pixels, columns, rows, THREE.RGBAFormat);
  texture.colorSpace = "srgb";
  texture.magFilter = texture.minFilter = cell ? THREE.NearestFilter : THREE.LinearFilter;
  texture.wrapS = around[0] ? THREE.RepeatWrapping : THREE.ClampToEdgeWrapping;
  texture.wrapT = around[1] ? THREE.RepeatWrapping : THREE.ClampToEdgeWrapping;
  texture.needsUpdate = true;
  return texture;
}
