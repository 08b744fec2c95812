// The legend of what is shown, with the share and the area of each class in view.
import { make } from "./elements.js";
import { number } from "./ground.js";

const RAMP = "linear-gradient(90deg, #440154, #3b528b, #21918c, #5ec962, #fde725)";

export class Legend {
  constructor(root, counts, ground) {
    this.root = root;
    this.counts = counts;
    this.ground = ground;
    this.turn = 0;
  }

  // Show the legends of layers; counts of those in view follow when their tiles are there.
  async show(layers, box) {
    const turn = ++this.turn;
    const parts = await Promise.all(layers.map((layer) => this.part(layer, box)));
    if (turn !== this.turn) return; // the map has moved on meanwhile
    this.root.replaceChildren(...(parts.length ? parts : [make("p", { class: "quiet" }, "No map is shown.")]));
  }

  async part(layer, box) {
    if (layer.kind === "image") return make("p", {}, `${layer.name}: ${layer.bands.join(", ")}`);
    if (layer.kind === "amount") return this.ramp(layer);
    const counts = box && (await this.counts.of(layer, box).catch(() => null));
    return this.table(layer, counts, box);
  }

  ramp(layer) {
    const bar = make("span", { class: "ramp" });
    bar.style.background = RAMP;
    const ends = make("div", { class: "ends" }, ...layer.ramp.map((one) => make("span", {}, number(one))));
    return make("div", {}, make("p", {}, layer.name), bar, ends);
  }

  table(layer, counts, box) {
    const total = counts ? counts.reduce((sum, one) => sum + one, 0) : 0;
    const [w, h] = box ? this.ground.size((box.left + box.right) / 2, (box.top + box.bottom) / 2) : [1, 1];
    const rows = layer.classes.map((one, place) => {
      const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = one.colour;
      const share = total ? `${((100 * counts[place]) / total).toFixed(1)} %` : "–";
      const area = total ? this.ground.areaText(counts[place] * w * h) : "–";
      return make("tr", {}, make("th", { scope: "row" }, swatch, one.name), make("td", {}, share), make("td", {}, area));
    });
    const head = make("tr", {}, ...["Class", "Share", "Area"].map((text) => make("th", { scope: "col" }, text)));
    const far = counts === null && layer.coarsest !== null ? " (zoom in to see it)" : "";
    return make("table", {}, make("caption", {}, layer.name + far), make("thead", {}, head), make("tbody", {}, ...rows));
  }
}
