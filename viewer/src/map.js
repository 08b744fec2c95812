// The map: tiles of one view in pixel coordinates, one layer below, and one on each side of the swipe line.
import OlMap from "ol/Map.js";
import View from "ol/View.js";
import TileLayer from "ol/layer/Tile.js";
import VectorLayer from "ol/layer/Vector.js";
import VectorSource from "ol/source/Vector.js";
import TileImage from "ol/source/TileImage.js";
import TileGrid from "ol/tilegrid/TileGrid.js";
import TileState from "ol/TileState.js";
import Projection from "ol/proj/Projection.js";
import Zoom from "ol/control/Zoom.js";
import { defaults } from "ol/interaction/defaults.js";
import { getRenderPixel } from "ol/render.js";
import { hiddenColours, without } from "./classes.js";

const DEEPEST = 5; // a pixel may become 2^5 of the screen's

export class ViewMap {
  // ``metres`` is the side of a pixel.
  constructor(view, element, tileUrl, failed, metres) {
    this.view = view;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.extent = [0, -view.height, view.width, 0];
    const projection = new Projection({
      code: "pixels", units: "pixels", extent: outside(this.extent, 2), metersPerUnit: metres, getPointResolution: (resolution) => resolution,
    });
    const resolutions = Array.from({ length: view.levels }, (_, z) => 2 ** (view.levels - 1 - z));
    this.grid = new TileGrid({ extent: this.extent, origin: [0, 0], resolutions, tileSize: view.tile });
    this.sources = new Map();
    this.tileUrl = tileUrl;
    this.failed = failed;
    this.hidden = new Set();
    this.projection = projection;
    this.swipeAt = () => 0.5;
    this.below = this.tiles();
    this.left = this.tiles("left");
    this.right = this.tiles("right");
    this.ol = new OlMap({
      target: element,
      controls: [new Zoom()],
      interactions: defaults({ altShiftDragRotate: false, pinchRotate: false }),
      keyboardEventTarget: element,
      layers: [this.below, this.left, this.right],
      view: new View({
        projection, center: [view.width / 2, -view.height / 2], showFullExtent: true, enableRotation: false,
        minResolution: 2 ** -DEEPEST, maxResolution: 2 * Math.max(1, view.width / 64, view.height / 64),
        extent: outside(this.extent, 0.5),
      }),
    });
    this.showAll();
  }

  tiles(side) {
    const layer = new TileLayer({ preload: 0, extent: this.extent, className: side ? `ol-${side}` : "ol-below" });
    if (side) {
      layer.on("prerender", (event) => this.clip(event, side));
      layer.on("postrender", (event) => event.context.restore());
    }
    return layer;
  }

  clip(event, side) {
    const context = event.context, [width, height] = this.ol.getSize(), x = this.swipeAt() * width;
    const [from, to] = side === "left" ? [0, x] : [x, width];
    const corners = [[from, 0], [to, 0], [to, height], [from, height]].map((one) => getRenderPixel(event, one));
    context.save();
    context.beginPath();
    corners.forEach(([cx, cy], i) => (i ? context.lineTo(cx, cy) : context.moveTo(cx, cy)));
    context.closePath();
    context.clip();
  }

  show(place, layer, opacity) {
    const target = this[place], source = layer ? this.source(layer) : null;
    if (target.getSource() !== source) target.setSource(source);
    target.setVisible(Boolean(source));
    target.setOpacity(layer && layer.kind !== "image" ? opacity : 1);
  }

  // Another key makes the map ask for tiles anew; those of the last one stay until the new ones are there.
  source(layer) {
    if (!this.sources.has(layer.id)) this.sources.set(layer.id, { source: this.newSource(layer), key: null });
    const known = this.sources.get(layer.id), key = this.keyOf(layer);
    if (known.key !== key) known.source.setKey(known.key = key);
    return known.source;
  }

  keyOf(layer) { return [layer.stamp, ...(hasClasses(layer) ? hiddenColours(this.hidden, layer) : [])].join(" "); }

  newSource(layer) {
    const source = new TileImage({
      projection: this.projection, tileGrid: this.grid, wrapX: false, transition: 0,
      interpolate: layer.kind === "image", cacheSize: 512,
      tileUrlFunction: ([z, x, y]) => {
        const level = this.view.levels - 1 - z;
        return layer.coarsest !== null && level > layer.coarsest ? undefined : this.tileUrl(layer, level, x, y);
      },
      ...(hasClasses(layer) ? { tileLoadFunction: (tile, url) => this.loadClasses(layer, tile, url) } : {}),
    });
    source.on("tileloaderror", () => this.failed(layer));
    return source;
  }

  async loadClasses(layer, tile, url) {
    try {
      const answer = await fetch(url);
      if (!answer.ok) throw new Error(String(answer.status));
      tile.setImage(without(await createImageBitmap(await answer.blob()), hiddenColours(this.hidden, layer)));
    } catch {
      tile.setState(TileState.ERROR);
    }
  }

  over(source, style) {
    const layer = new VectorLayer({ source, style, updateWhileInteracting: true });
    this.ol.addLayer(layer);
    return layer;
  }

  vectors(features) { return new VectorSource({ features, wrapX: false }); }

  showAll() { this.ol.getView().fit(this.extent, { padding: [30, 30, 30, 30] }); }

  flyTo(extent) {
    const view = this.ol.getView();
    view.cancelAnimations();
    view.fit(extent, { padding: [40, 40, 40, 40], duration: this.calm ? 0 : 500, minResolution: 0.25 });
  }

  // The level whose pixels are nearest to those of the screen, and the tiles of it that are in view.
  inView() {
    const view = this.ol.getView(), size = this.ol.getSize();
    if (!size) return null;
    const z = this.grid.getZForResolution(view.getResolution(), 0), resolution = this.grid.getResolution(z);
    const [x0, y0, x1, y1] = view.calculateExtent(size);
    const box = {
      left: Math.max(0, x0), right: Math.min(this.view.width, x1), top: Math.max(0, -y1), bottom: Math.min(this.view.height, -y0),
    };
    return { level: this.view.levels - 1 - z, resolution, ...box };
  }
}

const hasClasses = (layer) => layer.kind === "classes" || layer.kind === "errors";

function outside([x0, y0, x1, y1], share) {
  const side = share * Math.max(x1 - x0, y1 - y0);
  return [x0 - side, y0 - side, x1 + side, y1 + side];
}
