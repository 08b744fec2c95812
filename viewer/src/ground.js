// Metres, longitudes and areas on the view, whose coordinates are pixels: x is the column, y the row counted upwards.
export class Ground {
  constructor(view) {
    this.view = view;
    const { side, sizes, lonlat } = view.lattice;
    this.side = side;
    const known = sizes.find((one) => one);
    this.sizes = sizes.map((one) => one || known || [1, 1]);
    this.lonlats = lonlat && unwrapped(lonlat);
    this.unit = view.crs || view.placed ? "m" : "px";
  }

  // The (x, y) size in metres of the pixel at a column and row.
  size(col, row) { return this.between(this.sizes, col, row); }

  lonlat(col, row) {
    if (!this.lonlats) return null;
    const [lon, lat] = this.between(this.lonlats, col, row);
    return [((lon + 540) % 360) - 180, lat];
  }

  // The same outside of the view too, where the nearest nodes tell how it goes on.
  lonlatBeyond(col, row) { return this.between(this.lonlats, col, row, true); }

  // Between the four nodes about a place, linearly.
  between(values, col, row, beyond = false) {
    const last = this.side - 1, within = (value) => (beyond ? value : clamp(value, 0, last));
    const x = within((col / this.view.width) * last), y = within((row / this.view.height) * last);
    const left = clamp(Math.floor(x), 0, last - 1), top = clamp(Math.floor(y), 0, last - 1);
    const right = x - left, down = y - top;
    const at = (i, j) => values[j * this.side + i];
    return [0, 1].map((axis) =>
      (at(left, top)[axis] * (1 - right) + at(left + 1, top)[axis] * right) * (1 - down) +
      (at(left, top + 1)[axis] * (1 - right) + at(left + 1, top + 1)[axis] * right) * down);
  }

  coordinates(col, row) {
    const [a, b, c, d, e, f] = this.view.transform;
    return [a * col + b * row + c, d * col + e * row + f];
  }

  // The same as text, to a tenth of a pixel.
  coordinatesText(col, row) {
    const [a, b, , d, e] = this.view.transform, pixel = Math.min(Math.hypot(a, d), Math.hypot(b, e));
    const digits = Math.min(12, Math.max(0, Math.ceil(-Math.log10(pixel)) + 1));
    return this.coordinates(col, row).map((one) => one.toFixed(digits)).join(", ");
  }

  // The length of a line of points [col, row], summed over pieces over which the size of a pixel hardly changes.
  length(points) {
    let sum = 0;
    for (let i = 1; i < points.length; i++) {
      const [[x0, y0], [x1, y1]] = [points[i - 1], points[i]];
      for (let part = 0; part < 32; part++) {
        const middle = (part + 0.5) / 32;
        const [w, h] = this.size(x0 + (x1 - x0) * middle, y0 + (y1 - y0) * middle);
        sum += Math.hypot(((x1 - x0) / 32) * w, ((y1 - y0) / 32) * h);
      }
    }
    return sum;
  }

  // The area of a polygon of points [col, row], as a fan of triangles, each with the pixel size at its middle.
  area(points) {
    let sum = 0;
    const [x0, y0] = points[0];
    for (let i = 2; i < points.length; i++) {
      const [[x1, y1], [x2, y2]] = [points[i - 1], points[i]];
      const [w, h] = this.size((x0 + x1 + x2) / 3, (y0 + y1 + y2) / 3);
      sum += (((x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0)) / 2) * w * h;
    }
    return Math.abs(sum);
  }

  lengthText(metres) {
    if (this.unit === "px") return `${number(metres)} px`;
    return metres >= 1000 ? `${number(metres / 1000)} km` : `${number(metres)} m`;
  }

  areaText(metres) {
    if (this.unit === "px") return `${number(metres)} px²`;
    if (metres >= 1e6) return `${number(metres / 1e6)} km²`;
    return metres >= 1e4 ? `${number(metres / 1e4)} ha` : `${number(metres)} m²`;
  }

  // The angle by which the north of the coordinate system is turned clockwise from up, in radians; null without one.
  north() {
    const [a, b, , d, e] = this.view.transform, area = a * e - b * d;
    return this.view.crs ? Math.atan2(-b / area, -a / area) : null;
  }
}

export function number(value) {
  const digits = value === 0 ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.abs(value))));
  return value.toLocaleString("en", { maximumFractionDigits: Math.min(digits, 6) });
}

// Longitudes that do not jump by a turn from one node to the next.
function unwrapped(lonlats) {
  const [first] = lonlats[0];
  return lonlats.map(([lon, lat]) => [lon - 360 * Math.round((lon - first) / 360), lat]);
}

function clamp(value, least, most) { return Math.min(most, Math.max(least, value)); }
