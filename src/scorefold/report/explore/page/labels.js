// Words over the canvas: those at places, and the ticks of a flat picture.
function drawLabels(viewer, sheet, w, h) {
  const { stage, camera } = viewer, parts = [];
  sheet.setAttribute("viewBox", `0 0 ${w} ${h}`);
  const onScreen = (at) => {
    const p = new THREE.Vector3(...at).project(camera);
    return [(p.x + 1) / 2 * w, (1 - p.y) / 2 * h];
  };
  for (const { text, at } of stage.labels) {
    // On a globe and a torus those at the back are behind it.
    const behind = ["globe", "torus"].includes(stage.shape)
      && new THREE.Vector3(...at).dot(camera.position) < 0;
    if (behind) continue;
    const [x, y] = onScreen(at);
    parts.push(svg("text", { x, y, "text-anchor": "middle", "dominant-baseline": "middle" }, text));
  }
  if (viewer.flat && !stage.disk) parts.push(...ticks(viewer, onScreen, w, h));
  sheet.replaceChildren(...parts);
}

function ticks({ stage, half, camera }, onScreen, w, h) {
  const { low: least, high: greatest } = stage.rulers[1];
  const wide = Math.max(...[least, greatest].map((x) => number(x, 4, greatest - least).length));
  const parts = [], left = Math.max(46, 24 + 7.5 * wide), bottom = h - 46;
  parts.push(svg("rect", { x: 0, y: 0, width: left, height: h, class: "margin" }),
    svg("rect", { x: 0, y: bottom, width: w, height: 46, class: "margin" }));
  [0, 1].forEach((k) => {
    const { low, high, label } = stage.rulers[k];
    const reach = (share) => low + (share + 1) / 2 * (high - low);
    const middle = k ? (camera.top + camera.bottom) / 2 : (camera.left + camera.right) / 2;
    const span = (k ? camera.top - camera.bottom : camera.right - camera.left) / 2 / camera.zoom;
    const centre = (k ? camera.position.y : camera.position.x) + middle;
    const from = Math.max(low, reach((centre - span) / half[k])), to = Math.min(high, reach((centre + span) / half[k]));
    const long = number(to, 4, to - from).length;
    const room = k ? h : w, most = Math.max(2, Math.min(8, Math.floor(room / (k ? 45 : Math.max(75, 10 * long)))));
    for (const value of ticksOf(from, to, most)) {
      const share = (2 * (value - low) / (high - low) - 1) * half[k];
      const [x, y] = onScreen(k ? [0, share, 0] : [share, 0, 0]);
      if (k ? y > bottom + 1 || y < 6 : x < left - 1 || x > w - 8) continue;
      parts.push(k
        ? svg("text", { x: left - 6, y, "text-anchor": "end", "dominant-baseline": "middle" }, number(value, 4, to - from))
        : svg("text", { x, y: bottom + 15, "text-anchor": "middle" }, number(value, 4, to - from)));
      parts.push(svg("path", { d: k ? `M${left - 4} ${y}h4` : `M${x} ${bottom}v4`, class: "tick" }));
    }
    parts.push(k
      ? svg("text", { x: 0, y: 0, transform: `translate(11 ${bottom / 2}) rotate(-90)`, "text-anchor": "middle" }, label)
      : svg("text", { x: (left + w) / 2, y: h - 8, "text-anchor": "middle" }, label));
  });
  return parts;
}
