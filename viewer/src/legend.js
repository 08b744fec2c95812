// The legend of what is shown: a tick that shows or hides each class, and its share and area in view.
import { make } from "./elements.js";
import { number } from "./ground.js";
import { isHidden } from "./classes.js";

const RAMP = "linear-gradient(90deg, #440154, #3b528b, #21918c, #5ec962, #fde725)";

export class Legend {
  // ``show`` is told (layer, class, whether it is to be shown) when a tick is set.
  constructor(root, counts, ground, show) {
    Object.assign(this, { root, counts, ground, tick: show });
    this.parts = new Map(); // by layer: made once, so that a tick keeps the focus while figures change
    this.turn = 0;
  }

  // Show the legends of layers; counts of those in view follow when their tiles are there.
  async show(layers, box, hidden) {
    const turn = ++this.turn;
    const wanted = layers.map((layer) => this.part(layer));
    const shown = [...this.root.children], same = wanted.length === shown.length && wanted.every((one, i) => one.element === shown[i]);
    if (!same || !wanted.length) this.root.replaceChildren(...(wanted.length ? wanted.map((one) => one.element) : [make("p", { class: "quiet" }, "No map is shown.")]));
    layers.forEach((layer, i) => wanted[i].rows.forEach((row, place) => { row.tick.checked = !isHidden(hidden, layer, layer.classes[place]); }));
    await Promise.all(layers.map(async (layer, i) => {
      if (!wanted[i].rows.length) return;
      const counts = box && (await this.counts.of(layer, box).catch(() => null));
      if (turn === this.turn) this.count(wanted[i], layer, counts, box); // else the map has moved on meanwhile
    }));
  }

  part(layer) {
    if (!this.parts.has(layer.id)) this.parts.set(layer.id, this.made(layer));
    return this.parts.get(layer.id);
  }

  made(layer) {
    if (layer.kind === "image") return { element: make("p", {}, `${layer.name}: ${layer.bands.join(", ")}`), rows: [] };
    if (layer.kind === "amount") return { element: this.ramp(layer), rows: [] };
    return this.table(layer);
  }

  ramp(layer) {
    const bar = make("span", { class: "ramp" });
    bar.style.background = RAMP;
    const ends = make("div", { class: "ends" }, ...layer.ramp.map((one) => make("span", {}, number(one))));
    return make("div", {}, make("p", {}, layer.name), bar, ends);
  }

  table(layer) {
    const rows = layer.classes.map((one) => this.row(layer, one)), caption = make("caption", {}, layer.name);
    const head = make("tr", {}, ...["Class", "Share", "Area"].map((text) => make("th", { scope: "col" }, text)));
    const body = make("tbody", {}, ...rows.map((one) => one.element));
    return { element: make("table", {}, caption, make("thead", {}, head), body), rows, caption };
  }

  row(layer, one) {
    const tick = make("input", { type: "checkbox", "aria-label": `Show ${one.name}` });
    tick.addEventListener("change", () => this.tick(layer, one, tick.checked));
    const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = one.colour;
    const name = make("th", { scope: "row" }, make("label", { class: "tick" }, tick, swatch, make("span", {}, one.name)));
    const share = make("td", {}, "–"), area = make("td", {}, "–");
    return { element: make("tr", {}, name, share, area), tick, share, area };
  }

  count(part, layer, counts, box) {
    const total = counts ? counts.reduce((sum, one) => sum + one, 0) : 0;
    const [w, h] = box ? this.ground.size((box.left + box.right) / 2, (box.top + box.bottom) / 2) : [1, 1];
    part.rows.forEach((row, place) => {
      row.share.textContent = total ? `${((100 * counts[place]) / total).toFixed(1)} %` : "–";
      row.area.textContent = total ? this.ground.areaText(counts[place] * w * h) : "–";
    });
    part.caption.textContent = layer.name + (counts === null && layer.coarsest !== null ? " (zoom in to see it)" : "");
  }
}
