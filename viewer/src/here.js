// What all layers say of one point.
import { make } from "./elements.js";
import { number } from "./ground.js";

export class Here {
  constructor(root, view, ground, counts) {
    Object.assign(this, { root, view, ground, counts });
  }

  async ask([x, y]) {
    const [col, row] = [Math.floor(x), Math.floor(-y)];
    if (col < 0 || row < 0 || col >= this.view.width || row >= this.view.height) return;
    const turn = (this.turn = (this.turn || 0) + 1);
    const found = this.view.static ? await this.fromTiles(col, row) : await this.fromServer(col, row);
    if (turn === this.turn) this.root.replaceChildren(this.list(col, row, found));
  }

  async fromServer(col, row) {
    const answer = await fetch(`point/${col}/${row}`);
    return answer.ok ? (await answer.json()).layers : [];
  }

  async fromTiles(col, row) {
    const side = this.view.tile;
    const layers = this.view.layers.filter((one) => one.kind === "classes" || one.kind === "errors");
    return Promise.all(layers.map(async (layer) => {
      const places = await this.counts.tile(layer, 0, Math.floor(col / side), Math.floor(row / side));
      const place = places ? places[(row % side) * side + (col % side)] : 255;
      const one = layer.classes[place];
      return { name: layer.name, value: one ? one.value : null, class: one && one.name, colour: one && one.colour };
    }));
  }

  list(col, row, layers) {
    const list = make("dl");
    const say = (term, ...texts) => list.append(make("dt", {}, term), make("dd", {}, ...texts));
    say("Pixel", `row ${row}, column ${col}`);
    const lonlat = this.ground.lonlat(col + 0.5, row + 0.5);
    if (lonlat) say("Place", `${lonlat[1].toFixed(6)}° N, ${lonlat[0].toFixed(6)}° E`);
    if (this.view.placed) say("Coordinates", this.ground.coordinatesText(col + 0.5, row + 0.5));
    for (const one of layers) say(one.name, ...this.value(one));
    return list;
  }

  value(one) {
    if (one.problem) return [one.problem];
    if (one.value === null) return ["no data"];
    if (one.class === undefined) return [one.value.map((value) => (value === null ? "–" : number(value))).join(", ")];
    const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = one.colour || "none";
    const object = one.object_m2 ? `, object of ${one.object_cut ? "at least " : ""}${this.ground.areaText(one.object_m2)}` : "";
    return [swatch, one.class + object];
  }
}
