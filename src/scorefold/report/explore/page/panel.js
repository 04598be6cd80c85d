// What there is beside the canvas: which stage, what is shown, turning by buttons, time, keys.
class ControlPanel {
  constructor(root, scene, viewer) {
    this.root = root;
    this.scene = scene;
    this.viewer = viewer;
    this.reading = new Reading(viewer);
    this.readout = root.querySelector(".readout");
    this.spoken = root.querySelector(".spoken");
    this.choice();
    this.buttons();
    this.listen();
    this.select(0);
  }

  choice() {
    const { stages } = this.scene;
    const list = el("select", { id: "stage" }, ...stages.map((s, k) => el("option", { value: k, textContent: s.title })));
    list.addEventListener("change", () => this.select(+list.value));
    const label = el("label", { htmlFor: "stage", textContent: "View: " }, list);
    if (stages.length > 1) this.root.querySelector(".choose").append(label);
  }

  select(k) {
    const stage = this.stage = this.scene.stages[k], { viewer } = this;
    this.stop();
    viewer.hidden.clear();
    const layers = [...stage.layers, ...stage.bodies.flatMap((body) => body.layers)];
    layers.filter((layer) => !layer.shown).forEach((layer) => viewer.hidden.add(layer.name));
    viewer.show(stage);
    const flat = viewer.flat;
    viewer.canvas.setAttribute("aria-label", `${stage.title}: ${flat ? "arrow keys move" : "arrow keys turn"}, plus and minus zoom, 0 goes back`);
    this.root.querySelectorAll(".turning button[data-turn]").forEach((button) => {
      button.setAttribute("aria-label", `${flat ? "move" : "turn"} ${button.dataset.turn}`);
    });
    this.toggles(layers);
    this.bar();
    this.player(layers.find((layer) => layer.moving));
    this.say("");
  }

  toggles(layers) {
    const box = this.root.querySelector(".toggles");
    const rasters = this.stage.bodies.filter((body) => body.raster);
    const found = rasters.length ? [{ name: "density", words: rasters[0].how, colour: "density" }] : [];
    for (const layer of layers) {
      if (!found.some((one) => one.name === layer.name)) found.push({ name: layer.name, words: layer.name, colour: layer.colour, line: Boolean(layer.lines) });
    }
    const { hidden } = this.viewer;
    box.replaceChildren(el("legend", { textContent: "Show" }), ...found.map(({ name, words, colour, line }) => {
      const tick = el("input", { type: "checkbox", checked: !hidden.has(name) });
      tick.addEventListener("change", () => {
        if (tick.checked) hidden.delete(name); else hidden.add(name);
        this.viewer.repaint();
        this.bar();
      });
      const swatch = el("span", { className: `swatch ${line ? "line" : ""} ${colour.startsWith("#") ? "" : colour}`, ariaHidden: "true" });
      if (colour.startsWith("#")) swatch.style.background = colour;
      return el("label", {}, tick, swatch, ` ${words}`);
    }));
  }

  bar() {
    const shown = this.stage.bodies.some((body) => body.raster) && !this.viewer.hidden.has("density");
    const box = this.root.querySelector(".bar"), [low, high] = this.stage.limits;
    box.hidden = !shown;
    const stops = [];
    for (let k = 0; k <= 16; k++) stops.push(`rgb(${this.viewer.colours.slice(3 * Math.min(255, 16 * k), 3 * Math.min(255, 16 * k) + 3).join(" ")})`);
    box.querySelector(".colours").style.background = `linear-gradient(to right, ${stops.join(",")})`;
    box.querySelector(".low").textContent = `≤ ${number(low)}`;
    box.querySelector(".high").textContent = number(high);
    box.querySelector(".unit").textContent = `log density (nats, per ${this.stage.unit})`;
  }

  buttons() {
    const box = this.root.querySelector(".turning"), { viewer } = this;
    const add = (text, words, act, turn) => {
      const button = el("button", { type: "button", textContent: text, ariaLabel: words });
      if (turn) button.dataset.turn = turn;
      button.addEventListener("click", () => { act(); this.announce(); });
      box.append(button);
    };
    add("←", "turn left", () => viewer.turn(-15, 0), "left");
    add("→", "turn right", () => viewer.turn(15, 0), "right");
    add("↑", "turn up", () => viewer.turn(0, 15), "up");
    add("↓", "turn down", () => viewer.turn(0, -15), "down");
    add("+", "zoom in", () => viewer.zoom(1.3));
    add("−", "zoom out", () => viewer.zoom(1 / 1.3));
    add("⟲", "go back to the first view", () => viewer.reset());
  }

  listen() {
    const { canvas } = this.viewer;
    canvas.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect();
      this.pointer = [event.clientX - box.left, event.clientY - box.top];
      this.asked ??= requestAnimationFrame(() => {
        this.asked = null;
        if (this.pointer) this.say(this.reading.at(...this.pointer));
      });
    });
    canvas.addEventListener("pointerleave", () => { this.pointer = null; this.say(""); });
    // The wheel scrolls the page until the picture has been chosen.
    canvas.addEventListener("focus", () => { this.viewer.controls.enableZoom = true; });
    canvas.addEventListener("blur", () => { this.viewer.controls.enableZoom = false; });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.focus({ preventScroll: true });
      if (event.pointerType === "touch") this.viewer.controls.enableZoom = true;
    });
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const acts = {
        ArrowLeft: () => this.viewer.turn(-10, 0), ArrowRight: () => this.viewer.turn(10, 0),
        ArrowUp: () => this.viewer.turn(0, 10), ArrowDown: () => this.viewer.turn(0, -10),
        "+": () => this.viewer.zoom(1.2), "=": () => this.viewer.zoom(1.2), "-": () => this.viewer.zoom(1 / 1.2),
        0: () => this.viewer.reset(), Home: () => this.viewer.reset(), " ": () => this.toggle?.(),
      };
      if (acts[event.key]) {
        event.preventDefault();
        acts[event.key]();
        this.announce();
      }
    });
  }

  say(text) {
    const hint = this.viewer.flat
      ? "Drag to move, scroll or pinch to zoom; what is under the pointer is said here."
      : "Drag to turn, scroll or pinch to zoom; what is under the pointer is said here.";
    this.readout.textContent = text || hint;
  }

  // After a key or a button: what is in the middle now.
  announce() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => {
      const c = this.viewer.cell(0), flat = this.viewer.flat && !this.stage.disk;
      const text = this.reading.at(c.x + c.w / 2 + (flat ? 19 : 0), c.y + c.h / 2 - (flat ? 19 : 0));
      const words = `in the middle: ${text || "nothing"}`;
      this.say(words);
      this.spoken.textContent = words;
    }, 250);
  }

  player(layer) {
    const box = this.root.querySelector(".player");
    box.hidden = !layer;
    this.toggle = null;
    if (!layer) return;
    const { times } = layer, slider = el("input", { type: "range", min: 0, max: 1000, value: 0, id: "time" });
    const play = el("button", { type: "button", textContent: "Play" });
    const said = el("output", { htmlFor: "time" });
    const go = (share) => {
      slider.value = Math.round(1000 * share);
      const words = `t = ${number(timeAt(times, share), 3)}`;
      said.textContent = words;
      slider.setAttribute("aria-valuetext", words);
      this.viewer.go(share);
    };
    slider.addEventListener("input", () => { this.stop(); go(slider.value / 1000); });
    this.stop = () => {
      cancelAnimationFrame(this.playing);
      this.playing = null;
      play.textContent = "Play";
    };
    this.toggle = () => {
      if (this.playing) return this.stop();
      const begun = performance.now(), from = +slider.value >= 1000 ? 0 : slider.value / 1000;
      play.textContent = "Pause";
      const step = (now) => {
        const share = Math.min(1, from + Math.max(0, now - begun) / 6000);
        go(share);
        if (share < 1) this.playing = requestAnimationFrame(step); else this.stop();
      };
      this.playing = requestAnimationFrame(step);
      return undefined;
    };
    play.addEventListener("click", () => this.toggle());
    box.replaceChildren(play, el("label", { htmlFor: "time", textContent: "time " }), slider, said);
    go(0);
  }

  stop() {}
}
