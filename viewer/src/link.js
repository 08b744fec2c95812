// What is looked at, kept in the address: place, zoom, layers, opacity, the swipe line and hidden classes.
export function read(view) {
  const given = new URLSearchParams(location.hash.slice(1)), found = Object.fromEntries(given);
  const named = (name) => view.layers.find((one) => one.name === name) || null;
  const state = {};
  for (const side of ["left", "right", "below"]) if (side in found) state[side] = named(found[side]);
  for (const name of ["opacity", "swipe"]) {
    const value = parseFloat(found[name]);
    if (value >= 0 && value <= 1) state[name] = value;
  }
  if (given.has("hide")) state.hidden = new Set(given.getAll("hide").filter(Boolean));
  const place = (found.at || "").split(",").map(Number);
  if (place.length === 3 && place.every(Number.isFinite) && place[2] > 0) state.at = place;
  return state;
}

// The address with the place, opacity and hidden classes alone.
export function placeAlone() {
  const words = new URLSearchParams(location.hash.slice(1));
  for (const side of ["left", "right", "below"]) words.delete(side);
  return `#${words}`;
}

export function write(state, olView) {
  const [x, y] = olView.getCenter();
  const facts = {
    at: [x.toFixed(1), (-y).toFixed(1), olView.getResolution().toPrecision(4)].join(","),
    left: state.left ? state.left.name : "", right: state.right ? state.right.name : "",
    below: state.below ? state.below.name : "", opacity: state.opacity, swipe: Number(state.swipe.toFixed(3)),
  };
  const words = new URLSearchParams(facts);
  for (const one of state.hidden.size ? state.hidden : [""]) words.append("hide", one); // nothing is hidden: said too
  history.replaceState(null, "", `#${words}`);
}
