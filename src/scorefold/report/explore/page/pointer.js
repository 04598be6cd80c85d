// What is under a place of the canvas, in words.
class Reading {
  constructor(viewer) {
    this.viewer = viewer;
    this.rays = new THREE.Raycaster();
  }

  // (x, y) in CSS pixels from the upper left of the canvas.
  at(x, y) {
    const { viewer } = this;
    const k = viewer.bodies.findIndex((_, i) => {
      const c = viewer.cell(i);
      return x >= c.x && x < c.x + c.w && y >= c.y && y < c.y + c.h;
    });
    if (k < 0) return "";
    const c = viewer.cell(k), body = viewer.bodies[k];
    const screen = new THREE.Vector2(2 * (x - c.x) / c.w - 1, 1 - 2 * (y - c.y) / c.h);
    this.rays.setFromCamera(screen, viewer.camera);
    const hit = body.surface && this.rays.intersectObject(body.surface)[0];
    const near = this.nearest(body, screen, c, hit ? hit.distance + 0.05 : Infinity);
    const parts = [];
    if (hit) parts.push(...this.surface(body, hit.point));
    if (near) {
      const where = viewer.stage.shape === "cloud" ? ` at ${this.three(near.place)}` : "";
      parts.push(`here: ${near.name}${where}`);
    }
    return parts.join("; ");
  }

  surface(body, point) {
    const { viewer } = this, { stage } = viewer;
    const [u, v] = SURFACES[stage.shape].back(point, stage.half);
    if (u < 0 || u > 1 || v < 0 || v > 1) return [];
    const where = this.words(u, v, point);
    if (viewer.hidden.has("density")) return [where];
    const those = stage.same ? viewer.bodies : [body];
    const values = those.filter((one) => one.raster).map((one) => {
      const log = rasterAt(one.raster, u, v, viewer.around, one.cell);
      const name = stage.same && those.length > 1 ? `${one.body.title}: ` : "";
      if (!Number.isFinite(log)) return `${name}no density shown`;
      return `${name}log density ${number(log)} nats (density ${number(Math.exp(log))} per ${stage.unit})`;
    });
    return [where, ...values];
  }

  words(u, v, point) {
    const { stage } = this.viewer, { rulers } = stage;
    const value = (k, share) => rulers[k].low + share * (rulers[k].high - rulers[k].low);
    if (stage.disk) {
      const r = Math.min(Math.hypot(point.x, point.y), 0.999999);
      const turn = Math.atan2(point.y, point.x) / THREE_DEGREES;
      return `distance ${number(2 * Math.atanh(r))} from the middle, direction ${number(turn)}°`;
    }
    if (stage.shape === "globe") {
      const lat = value(1, v), lon = value(0, u);
      if (stage.earth) {
        return `${Math.abs(lat).toFixed(1)}° ${lat < 0 ? "S" : "N"}, ${Math.abs(lon).toFixed(1)}° ${lon < 0 ? "W" : "E"}`;
      }
      return `latitude ${number(+lat.toFixed(1))}°, longitude ${number(+lon.toFixed(1))}°`;
    }
    return [u, v].map((share, k) => `${rulers[k].label}: ${number(value(k, share), 4, rulers[k].high - rulers[k].low)}`).join(", ");
  }

  three(p) {
    return this.viewer.stage.rulers.map(({ label, low, high }, k) =>
      `${label} ${number(low + (p.getComponent(k) + 1) / 2 * (high - low), 3, high - low)}`).join(", ");
  }

  // The visible point that is nearest on the screen, within 9 pixels.
  nearest(body, screen, c, deepest) {
    const { camera } = this.viewer, p = new THREE.Vector3();
    let best = 9, found = null;
    for (const { layer, object } of body.layers) {
      if (!object.visible || !object.isPoints) continue;
      const place = object.geometry.attributes.position;
      for (let i = 0; i < place.count; i++) {
        p.fromBufferAttribute(place, i);
        if (!this.viewer.flat && p.distanceTo(camera.position) > deepest) continue;
        const q = p.clone().project(camera);
        const away = Math.hypot((q.x - screen.x) * c.w / 2, (q.y - screen.y) * c.h / 2);
        if (away < best) {
          best = away;
          found = { name: `${layer.name}, point ${i + 1}`, place: p.clone() };
        }
      }
    }
    return found;
  }
}
