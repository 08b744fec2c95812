// Which classes are hidden: they are made transparent in the tiles as these are drawn, with and without a server.
const KINDS = ["classes", "errors"];
const key = (layer, one) => `${layer.kind}:${one.name}`;

// What is hidden until a person says otherwise: the background, and what is right.
export function hiddenByDefault(view) {
  const of = view.layers.filter((layer) => KINDS.includes(layer.kind));
  return new Set(of.flatMap((layer) => layer.classes.filter((one) => one.hidden).map((one) => key(layer, one))));
}

// By name, so that a class is hidden on both sides of the line at once.
export const isHidden = (hidden, layer, one) => hidden.has(key(layer, one));

export function withShown(hidden, layer, one, shown) {
  const changed = new Set(hidden);
  if (shown) changed.delete(key(layer, one));
  else changed.add(key(layer, one));
  return changed;
}

// The colours of a layer's hidden classes, as numbers; those that a shown class has too are not among them.
export function hiddenColours(hidden, layer) {
  const colours = (some) => some.map((one) => parseInt(one.colour.slice(1), 16));
  const shown = new Set(colours(layer.classes.filter((one) => !isHidden(hidden, layer, one))));
  return new Set(colours(layer.classes.filter((one) => isHidden(hidden, layer, one))).filter((one) => !shown.has(one)));
}

// A picture of classes without some colours.
export function without(bitmap, colours) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  if (!colours.size) return canvas;
  const picture = context.getImageData(0, 0, canvas.width, canvas.height), { data } = picture;
  for (let i = 0; i < data.length; i += 4) {
    if (colours.has((data[i] << 16) | (data[i + 1] << 8) | data[i + 2])) data[i + 3] = 0;
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}
