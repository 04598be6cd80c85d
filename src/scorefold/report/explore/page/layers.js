// What lies on a surface: points, lines, and points that move.
function discTexture(colour) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 64;
  const pen = canvas.getContext("2d");
  const dark = parseInt(colour.slice(1, 3), 16) + parseInt(colour.slice(3, 5), 16) < 160;
  pen.fillStyle = dark ? "#ffffff" : "#10131a";
  pen.beginPath(); pen.arc(32, 32, 31, 0, 7); pen.fill();
  pen.fillStyle = colour;
  pen.beginPath(); pen.arc(32, 32, 22, 0, 7); pen.fill();
  const texture = new THREE.CanvasTexture(canvas);
  texture.colorSpace = "srgb";
  return texture;
}

function pointsOf(layer, positions, flat) {
  const geometry = new THREE.BufferGeometry();
  geometry.setAttribute("position", new THREE.BufferAttribute(positions, 3));
  const count = positions.length / 3;
  const material = new THREE.PointsMaterial({
    map: discTexture(layer.colour), alphaTest: 0.5, sizeAttenuation: false,
    depthTest: !flat,
  });
  const points = new THREE.Points(geometry, material);
  points.userData.size = count > 3000 ? 4 : count > 800 ? 5 : 7;
  points.frustumCulled = false;
  points.renderOrder = 3;
  return points;
}

function linesOf(found, lengths, colour, flat, opacity) {
  const geometry = new THREE.BufferGeometry();
  geometry.setAttribute("position", new THREE.BufferAttribute(floatsOf(found), 3));
  const index = [];
  let start = 0;
  for (const length of lengths) {
    for (let k = start; k + 1 < start + length; k++) index.push(k, k + 1);
    start += length;
  }
  geometry.setIndex(index);
  const material = new THREE.LineBasicMaterial({
    color: colour, transparent: opacity < 1, opacity, depthTest: !flat,
  });
  const lines = new THREE.LineSegments(geometry, material);
  lines.frustumCulled = false;
  lines.renderOrder = 2;
  return lines;
}

// One layer of a body: its object, and what moves it to a time between 0 and 1.
function layerOf(layer, stage) {
  const flat = stage.shape === "flat";
  if (layer.points) {
    return { layer, object: pointsOf(layer, floatsOf(layer.points), flat), go() {} };
  }
  if (layer.lines) {
    const colour = layer.colour.startsWith("#") ? layer.colour : "#808080";
    const object = linesOf(layer.lines, layer.lengths, colour, flat, layer.colour === "coast" ? 0.9 : 0.7);
    return { layer, object, go() {} };
  }
  const all = floatsOf(layer.moving), size = 3 * layer.moving.shape[1], last = layer.times.length - 1;
  const now = all.slice(0, size);
  const object = pointsOf(layer, now, flat);
  return {
    layer, object,
    go(share) {
      const at = share * last, k = Math.min(Math.floor(at), last - 1), part = at - k;
      for (let i = 0; i < size; i += 3) {
        // A point that leaves at one side and comes back at the other does not cross the picture.
        const jump = flat && [0, 1].some((c) => stage.rulers[c].round
          && Math.abs(all[(k + 1) * size + i + c] - all[k * size + i + c]) > 0.8 * stage.half[c]);
        for (let c = i; c < i + 3; c++) {
          const a = all[k * size + c], b = all[(k + 1) * size + c];
          now[c] = jump ? (part < 0.5 ? a : b) : a + part * (b - a);
        }
      }
      object.geometry.attributes.position.needsUpdate = true;
    },
  };
}

function timeAt(times, share) {
  const at = share * (times.length - 1), k = Math.min(Math.floor(at), times.length - 2);
  return times[k] + (at - k) * (times[k + 1] - times[k]);
}
