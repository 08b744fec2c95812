// How many pixels of each class are in view, counted on the tiles that are shown: the same with and without a server.
const KEPT = 256;

export class Counts {
  constructor(view, tileUrl) {
    this.view = view;
    this.tileUrl = tileUrl;
    this.kept = new Map();
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.canvas.height = view.tile;
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
  }

  // Counts by place of the class in the layer's list, over a box of pixels; null where it is not shown at this level.
  async of(layer, box) {
    const side = this.view.tile * 2 ** box.level, step = 2 ** box.level;
    if (layer.coarsest !== null && box.level > layer.coarsest) return null;
    const counts = new Float64Array(layer.classes.length);
    const jobs = [];
    for (let y = Math.floor(box.top / side); y * side < box.bottom; y++) {
      for (let x = Math.floor(box.left / side); x * side < box.right; x++) {
        jobs.push(this.tile(layer, box.level, x, y).then((places) => {
          if (!places) return;
          const from = (edge, origin) => Math.max(0, Math.round((edge - origin) / step));
          const left = from(box.left, x * side), right = Math.min(this.view.tile, from(box.right, x * side));
          const top = from(box.top, y * side), bottom = Math.min(this.view.tile, from(box.bottom, y * side));
          for (let row = top; row < bottom; row++) {
            for (let col = left; col < right; col++) {
              const place = places[row * this.view.tile + col];
              if (place < 255) counts[place] += 1;
            }
          }
        }));
      }
    }
    await Promise.all(jobs);
    return [...counts].map((one) => one * step * step);
  }

  async tile(layer, level, x, y) {
    const url = this.tileUrl(layer, level, x, y);
    if (this.kept.has(url)) return this.kept.get(url);
    const answer = await fetch(url);
    const found = answer.ok ? this.places(layer, await createImageBitmap(await answer.blob())) : null;
    this.kept.set(url, found);
    if (this.kept.size > KEPT) this.kept.delete(this.kept.keys().next().value);
    return found;
  }

  places(layer, bitmap) {
    const side = this.view.tile, context = this.context;
    context.clearRect(0, 0, side, side);
    context.drawImage(bitmap, 0, 0);
    const { data } = context.getImageData(0, 0, side, side);
    const known = new Map(layer.classes.map((one, place) => [parseInt(one.colour.slice(1), 16), place]).reverse());
    const places = new Uint8Array(side * side).fill(255);
    for (let i = 0, j = 0; j < places.length; i += 4, j++) {
      if (data[i + 3] < 128) continue;
      const place = known.get((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
      if (place !== undefined) places[j] = place;
    }
    return places;
  }
}
