// Lengths and areas drawn on the map, by pointer or by keys.
import Feature from "ol/Feature.js";
import LineString from "ol/geom/LineString.js";
import Polygon from "ol/geom/Polygon.js";
import MultiPoint from "ol/geom/MultiPoint.js";
import Style from "ol/style/Style.js";
import Stroke from "ol/style/Stroke.js";
import Fill from "ol/style/Fill.js";
import Circle from "ol/style/Circle.js";

export class Measure {
  constructor(map, ground, out) {
    this.ground = ground;
    this.out = out;
    this.mode = null;
    this.points = [];
    this.source = map.vectors([]);
    const halo = new Style({ stroke: new Stroke({ color: "#000b", width: 5 }) });
    const line = new Style({
      stroke: new Stroke({ color: "#ffe14d", width: 2.5 }), fill: new Fill({ color: "#ffe14d33" }),
      image: new Circle({ radius: 4, fill: new Fill({ color: "#ffe14d" }), stroke: new Stroke({ color: "#000b", width: 1.5 }) }),
    });
    map.over(this.source, [halo, line]).setZIndex(9);
  }

  begin(mode) {
    this.mode = mode;
    this.points = [];
    this.draw();
  }

  add([x, y]) {
    this.points.push([x, y]);
    this.draw();
  }

  clear() { this.begin(null); }

  draw() {
    this.source.clear();
    const points = this.points;
    if (points.length) this.source.addFeature(new Feature(new MultiPoint(points)));
    if (points.length > 1) {
      const shape = this.mode === "area" && points.length > 2 ? new Polygon([[...points, points[0]]]) : new LineString(points);
      this.source.addFeature(new Feature(shape));
    }
    this.out.textContent = this.text();
  }

  text() {
    if (!this.mode) return "";
    const points = this.points.map(([x, y]) => [x, -y]);
    if (this.mode === "area" && points.length > 2) return this.ground.areaText(this.ground.area(points));
    if (points.length > 1) return this.ground.lengthText(this.ground.length(points));
    return "Set points on the map.";
  }
}
