// Arrays of the page: little-endian float32, and 65,534 levels between two numbers.
const bytesOf = (text) => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

function floatsOf(found) {
  return new Float32Array(bytesOf(found.f4).buffer);
}

// Numbers on a grid; NaN where there is none.
function levelsOf(found) {
  const steps = new Uint16Array(bytesOf(found.u2).buffer);
  const size = (found.high - found.low) / 65533;
  const values = new Float32Array(steps.length);
  for (let k = 0; k < steps.length; k++) {
    values[k] = steps[k] ? found.low + (steps[k] - 1) * size : NaN;
  }
  return { rows: found.shape[0], columns: found.shape[1], values };
}

// A raster at (u, v) in [0, 1]²: linear between the centres of cells, or of histograms the cell.
function rasterAt(raster, u, v, around, cell) {
  const { rows, columns, values } = raster;
  const wrap = (k, n, round) => (round ? ((k % n) + n) % n : Math.min(Math.max(k, 0), n - 1));
  const at = (i, j) => values[wrap(i, rows, around[1]) * columns + wrap(j, columns, around[0])];
  if (cell) return at(Math.floor(v * rows), Math.floor(u * columns));
  const x = u * columns - 0.5, y = v * rows - 0.5;
  const j = Math.floor(x), i = Math.floor(y), a = x - j, b = y - i;
  return (1 - b) * ((1 - a) * at(i, j) + a * at(i, j + 1))
    + b * ((1 - a) * at(i + 1, j) + a * at(i + 1, j + 1));
}

// Numbers as people read them.
// With a span, as many digits as tell apart what lies in it.
function number(x, digits = 3, span = 0) {
  if (!Number.isFinite(x)) return "–";
  if (x === 0) return "0";
  const size = Math.abs(x);
  const more = span > 0 && size > span ? Math.min(15, digits - 1 + Math.ceil(Math.log10(size / span))) : digits;
  const written = size < 1e-3 || (size >= 1e5 && more === digits) || size >= 1e15;
  const text = written ? x.toExponential(more - 1) : String(+x.toPrecision(more));
  return text.replace("-", "−");
}

function el(tag, facts = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(facts)) {
    if (name in node && name !== "list") node[name] = value;
    else node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
}

function svg(tag, facts = {}, text = "") {
  const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(facts)) node.setAttribute(name, value);
  if (text) node.textContent = text;
  return node;
}

// Round numbers from low to high, at most `most` of them.
function ticksOf(low, high, most) {
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((k) => k * power).find((k) => k >= rough * 0.999);
  const found = [];
  for (let x = Math.ceil(low / step - 1e-9) * step; x <= high + 1e-9 * step; x += step) {
    found.push(Math.abs(x) < 1e-9 * step ? 0 : x);
  }
  return found;
}
