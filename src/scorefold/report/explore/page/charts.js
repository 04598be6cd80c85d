// Lines over one axis, with a place to read them off.
const SERIES = ["#3d8fd1", "#dd6a1f", "#1a9e6c", "#c9689b", "#8d83dd", "#a8861a"];

function chartOf(chart, k) {
  let width = 720;
  const height = 280, box = { l: 70, r: 22, t: 10, b: 44 };
  const series = chart.series.map((one) => ({ ...one, x: floatsOf(one.x), y: floatsOf(one.y) })).filter((one) => one.x.length);
  if (!series.length) return null;
  const xs = series.flatMap((one) => [one.x[0], one.x[one.x.length - 1]]);
  const low = Math.min(...xs), high = Math.max(...xs) > low ? Math.max(...xs) : low + 1;
  const hidden = new Set();
  const sheet = svg("svg", { viewBox: `0 0 ${width} ${height}`, class: "chart", role: "img", "aria-label": `${chart.title}: ${chart.y} against ${chart.x}` });
  const said = el("output", { className: "readout", htmlFor: `read-${k}` });
  const slider = el("input", { type: "range", min: 0, max: 1000, value: 1000, id: `read-${k}`, className: "read" });
  const X = (x) => box.l + (x - low) / (high - low) * (width - box.l - box.r);

  function limits() {
    const ys = series.filter((one) => !hidden.has(one.name)).flatMap((one) => {
      const sorted = Float32Array.from(one.y).sort(), n = sorted.length;
      // A few wild records must not flatten the curve.
      return n > 60 && one.faint ? [sorted[Math.floor(0.005 * n)], sorted[Math.floor(0.98 * n)]] : [sorted[0], sorted[n - 1]];
    });
    const a = Math.min(...ys, Infinity), b = Math.max(...ys, -Infinity);
    if (!Number.isFinite(a)) return [0, 1];
    const room = 0.06 * (b - a) || 0.5;
    return a >= 0 && a < 0.3 * b ? [0, b + room] : [a - room, b + room];
  }

  function draw() {
    width = Math.max(280, sheet.clientWidth || 720);
    sheet.setAttribute("viewBox", `0 0 ${width} ${height}`);
    const [bottom, top] = limits();
    const Y = (y) => box.t + (top - y) / (top - bottom) * (height - box.t - box.b);
    const parts = [];
    for (const y of ticksOf(bottom, top, 5)) {
      parts.push(svg("path", { d: `M${box.l} ${Y(y)}H${width - box.r}`, class: "rule" }),
        svg("text", { x: box.l - 6, y: Y(y), "text-anchor": "end", "dominant-baseline": "middle" }, number(y, 4)));
    }
    for (const x of ticksOf(low, high, Math.max(2, Math.floor(width / 90)))) {
      parts.push(svg("path", { d: `M${X(x)} ${height - box.b}v4`, class: "tick" }),
        svg("text", { x: X(x), y: height - box.b + 16, "text-anchor": "middle" }, number(x, 4)));
    }
    parts.push(svg("text", { x: (box.l + width) / 2, y: height - 8, "text-anchor": "middle" }, chart.x),
      svg("text", { x: 0, y: 0, transform: `translate(12 ${(height - box.b) / 2}) rotate(-90)`, "text-anchor": "middle" }, chart.y));
    const held = svg("svg", { x: box.l, y: box.t, width: width - box.l - box.r, height: height - box.t - box.b, viewBox: `${box.l} ${box.t} ${width - box.l - box.r} ${height - box.t - box.b}` });
    series.forEach((one, i) => {
      if (hidden.has(one.name)) return;
      const colour = SERIES[i % SERIES.length];
      let d = "";
      for (let j = 0; j < one.x.length; j++) d += `${j ? "L" : "M"}${X(one.x[j]).toFixed(1)} ${Y(one.y[j]).toFixed(1)}`;
      held.append(svg("path", { d, stroke: colour, fill: "none", "stroke-width": one.faint ? 1 : 2, opacity: one.faint ? 0.6 : 1 }));
      if (one.marks) for (let j = 0; j < one.x.length; j++) held.append(svg("circle", { cx: X(one.x[j]), cy: Y(one.y[j]), r: 3, fill: colour }));
    });
    const at = low + slider.value / 1000 * (high - low);
    held.append(svg("path", { d: `M${X(at)} ${box.t}V${height - box.b}`, class: "cursor" }));
    parts.push(held);
    sheet.replaceChildren(...parts);
    const values = series.filter((one) => !hidden.has(one.name)).map((one) => `${one.name} ${number(one.y[nearestIn(one.x, at)], 4)}`);
    said.textContent = `${chart.x} ${number(at, 4)}: ${values.join("; ")}`;
    slider.setAttribute("aria-valuetext", said.textContent);
  }

  sheet.addEventListener("pointermove", (event) => {
    const place = sheet.getBoundingClientRect();
    const x = (event.clientX - place.left) / place.width * width;
    slider.value = Math.round(1000 * Math.min(1, Math.max(0, (x - box.l) / (width - box.l - box.r))));
    draw();
  });
  slider.addEventListener("input", draw);
  const toggles = el("fieldset", { className: "toggles" }, el("legend", { textContent: "Show" }), ...series.map((one, i) => {
    const tick = el("input", { type: "checkbox", checked: true });
    tick.addEventListener("change", () => {
      if (tick.checked) hidden.delete(one.name); else hidden.add(one.name);
      draw();
    });
    const swatch = el("span", { className: "swatch line", ariaHidden: "true" });
    swatch.style.background = SERIES[i % SERIES.length];
    return el("label", {}, tick, swatch, ` ${one.name}`);
  }));
  draw();
  new ResizeObserver(draw).observe(sheet);
  return el("section", { className: "charted", ariaLabel: chart.title }, el("h3", { textContent: chart.title }), sheet,
    el("label", { htmlFor: `read-${k}`, className: "reader", textContent: "Read off at " }, slider), said, series.length > 1 ? toggles : "");
}

function nearestIn(x, at) {
  let a = 0, b = x.length - 1;
  while (b - a > 1) {
    const m = (a + b) >> 1;
    if (x[m] <= at) a = m; else b = m;
  }
  return at - x[a] <= x[b] - at ? a : b;
}
