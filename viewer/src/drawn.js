// What is drawn over the layers: outlines of areas, arrows of objects that were moved, what a run has not finished.
import Feature from "ol/Feature.js";
import LineString from "ol/geom/LineString.js";
import MultiPolygon from "ol/geom/MultiPolygon.js";
import Polygon from "ol/geom/Polygon.js";
import Point from "ol/geom/Point.js";
import Style from "ol/style/Style.js";
import Stroke from "ol/style/Stroke.js";
import RegularShape from "ol/style/RegularShape.js";
import Fill from "ol/style/Fill.js";

export const ROLES = { coarse: "#ffd34d", refiner: "#4dc3ff", validation: "#c98bff", test: "#ff6b6b" };

export function outlines(map, view) {
  const features = view.outlines.map(({ role, rings }) => {
    const shape = new MultiPolygon(rings.map((ring) => [ring.map(([col, row]) => [col, -row])]));
    return new Feature({ geometry: shape, role });
  });
  const halo = new Style({ stroke: new Stroke({ color: "#000a", width: 4.5 }) });
  const styles = Object.fromEntries(Object.entries(ROLES).map(([role, color]) =>
    [role, [halo, new Style({ stroke: new Stroke({ color, width: 2 }) })]]));
  return map.over(map.vectors(features), (feature) => styles[feature.get("role")]);
}

export function arrows(map, view) {
  const features = view.arrows.map(([x0, y0, x1, y1, sure]) =>
    new Feature({ geometry: new LineString([[x0, -y0], [x1, -y1]]), sure, angle: Math.atan2(x1 - x0, -(y1 - y0)) }));
  const halo = new Style({ stroke: new Stroke({ color: "#000a", width: 4 }) });
  return map.over(map.vectors(features), (feature) => {
    const color = feature.get("sure") >= 0.5 ? "#ffe14d" : "#ffffff";
    return [halo, new Style({ stroke: new Stroke({ color, width: 2 }) }), new Style({
      geometry: (one) => new Point(one.getGeometry().getLastCoordinate()),
      image: new RegularShape({ points: 3, radius: 6, rotation: feature.get("angle"), fill: new Fill({ color }), stroke: new Stroke({ color: "#000a", width: 1 }) }),
    })];
  });
}

const MOST_BLOCKS = 4000; // more are drawn slowly

// A veil over the blocks of a map that are not finished yet.
export function unfinished(map) {
  const source = map.vectors([]), known = new Map();
  map.over(source, new Style({ fill: new Fill({ color: "#0007" }) }));
  const box = ({ sx, sy, side }, i, j, { width, height }) => {
    const [x0, x1, y0, y1] = [j * side * sx, Math.min(width, (j + 1) * side * sx), i * side * sy, Math.min(height, (i + 1) * side * sy)];
    return new Feature(new Polygon([[[x0, -y0], [x1, -y0], [x1, -y1], [x0, -y1], [x0, -y0]]]));
  };
  const draw = (blocks, [rows, cols], found, view) => {
    if (rows * cols > MOST_BLOCKS) return;
    if (!known.size) {
      for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) known.set(`${i} ${j}`, box(blocks, i, j, view));
      source.addFeatures([...known.values()]);
    }
    for (const [i, j] of found) {
      const feature = known.get(`${i} ${j}`);
      if (feature && source.hasFeature(feature)) source.removeFeature(feature);
    }
  };
  return { draw, clear: () => source.clear() };
}
