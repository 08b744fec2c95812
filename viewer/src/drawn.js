// What is drawn over the layers: outlines of areas, and arrows of objects that were moved.
import Feature from "ol/Feature.js";
import LineString from "ol/geom/LineString.js";
import MultiPolygon from "ol/geom/MultiPolygon.js";
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
