// Curves of a training, as small pictures that scale with the panel.
import { number } from "./ground.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM] = [300, 120, 38, 8, 8, 18];

function part(tag, attributes, text) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

// A picture of curves {name, points: [[x, y], ..]} over 0 .. total, from 0 up to the highest value.
export function chart(curves, total, unit) {
  const most = Math.max(...curves.flatMap((one) => one.points.map(([, y]) => y)), 1e-9), top = rounded(most);
  const x = (at) => LEFT + ((WIDTH - LEFT - RIGHT) * at) / Math.max(1, total);
  const y = (value) => HEIGHT - BOTTOM - ((HEIGHT - BOTTOM - TOP) * value) / top;
  const said = curves.map(({ name, points }) => `${name}: ${number(points[0][1])} at first, ${number(points.at(-1)[1])} now`);
  const svg = part("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "chart", "aria-label": said.join("; ") });
  for (const share of [0, 0.5, 1]) {
    svg.append(part("line", { class: "rule", x1: LEFT, x2: WIDTH - RIGHT, y1: y(top * share), y2: y(top * share) }));
    svg.append(part("text", { x: LEFT - 5, y: y(top * share) + 3.5, "text-anchor": "end" }, number(top * share)));
  }
  svg.append(part("text", { x: LEFT, y: HEIGHT - 4 }, "0"));
  svg.append(part("text", { x: WIDTH - RIGHT, y: HEIGHT - 4, "text-anchor": "end" }, `${total.toLocaleString("en")} ${unit}`));
  curves.forEach(({ points }, index) => {
    svg.append(part("polyline", { class: `curve c${index}`, points: points.map((one) => `${x(one[0]).toFixed(1)},${y(one[1]).toFixed(1)}`).join(" ") }));
    const [at, value] = points.at(-1);
    svg.append(part("circle", { class: `dot c${index}`, cx: x(at), cy: y(value), r: 2.5 }));
  });
  return svg;
}

// The next round number.
function rounded(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((one) => one * power >= value * 0.999) * power;
}
