// The list of the places where a map differs most from the reference; a press on one flies there.
import { byId, make } from "./elements.js";

export class Worst {
  constructor(page) {
    this.page = page;
    this.layers = page.view.layers.filter((one) => one.kind === "errors" && one.coarsest === null);
    this.shown = null;
    if (!this.layers.length) return;
    byId("worst-section").hidden = false;
    const select = byId("worst-of");
    select.replaceChildren(...this.layers.map((one) => make("option", { value: one.id }, one.name.replace(/^errors of /, ""))));
    select.addEventListener("change", () => this.list(page.layer(select.value)));
  }

  // Show the places of the map that is on the right.
  follow(layer) {
    if (!this.layers.length) return;
    const of = this.layers.find((one) => layer && (one === layer || one.name === `errors of ${layer.name}`));
    const wanted = of || this.shown || this.layers[this.layers.length - 1];
    byId("worst-of").value = wanted.id;
    this.list(wanted);
  }

  async list(layer) {
    if (this.shown === layer) return;
    this.shown = layer;
    const answer = await fetch(this.page.view.static ? `worst/${layer.id}.json` : `worst/${layer.id}`);
    const places = answer.ok ? await answer.json() : [];
    if (this.shown !== layer) return;
    const rows = places.map((place, index) => make("li", {}, this.button(layer, place, index)));
    byId("worst").replaceChildren(...(rows.length ? rows : [make("li", { class: "quiet" }, "No errors are seen.")]));
  }

  button(layer, place, index) {
    const { ground } = this.page, [w, h] = ground.size(place.col, place.row);
    const kinds = [["missed", place.missed], ["false", place.false], ["wrong class", place.wrong]];
    const text = kinds.filter(([, count]) => count).map(([name, count]) => `${ground.areaText(count * w * h)} ${name}`);
    const button = make("button", { type: "button" }, `${index + 1}. ${text.join(", ")}`);
    button.addEventListener("click", () => {
      const margin = 0.5 * place.width;
      this.page.map.flyTo([place.col - margin, -(place.row + place.height + margin), place.col + place.width + margin, -(place.row - margin)]);
      this.page.set({ right: layer, swipe: Math.min(0.2, this.page.state.swipe) }); // the place must not lie behind the line
    });
    return button;
  }
}
