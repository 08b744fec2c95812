// A map of streets under everything, warped from Web Mercator into the pixels of the view. Only where it is asked for.
import TileLayer from "ol/layer/Tile.js";
import XYZ from "ol/source/XYZ.js";
import { addCoordinateTransforms, fromLonLat, get } from "ol/proj.js";
import { byId, make } from "./elements.js";

export function baseMap(map, ground, facts) {
  const forward = ([x, y]) => ground.lonlatBeyond(x, -y);
  const mercator = (point) => fromLonLat(forward(point));
  addCoordinateTransforms(map.projection, get("EPSG:3857"), mercator, (point) => inverse(mercator, point, map.view));
  addCoordinateTransforms(map.projection, get("EPSG:4326"), forward, (lonlat) => inverse(mercator, fromLonLat(lonlat), map.view));
  // Servers of tiles ask who shows them: they are told this machine's name for itself, and no token.
  const layer = new TileLayer({ source: new XYZ({ url: facts.url, crossOrigin: "anonymous", transition: 0, referrerPolicy: "origin" }), className: "ol-base" });
  map.ol.getLayers().insertAt(0, layer);
  byId("base-row").hidden = byId("credit").hidden = false;
  byId("credit").replaceChildren(facts.link ? make("a", { href: facts.link, rel: "noreferrer", target: "_blank" }, facts.credit) : facts.credit);
  byId("base").addEventListener("change", (event) => {
    layer.setVisible(event.target.checked);
    byId("credit").hidden = !event.target.checked;
  });
}

// The point of the view that a transform brings to a target, by Newton's method.
function inverse(transform, target, view) {
  let [x, y] = [view.width / 2, -view.height / 2];
  for (let turn = 0; turn < 8; turn++) {
    const [a, b] = transform([x, y]), [a1, b1] = transform([x + 1, y]), [a2, b2] = transform([x, y + 1]);
    const [xx, xy, yx, yy] = [a1 - a, a2 - a, b1 - b, b2 - b], det = xx * yy - xy * yx;
    const [da, db] = [target[0] - a, target[1] - b];
    x += (da * yy - db * xy) / det;
    y += (db * xx - da * yx) / det;
  }
  return [x, y];
}
