// The page of `crispmap view`: the state of what is shown, and the controls that change it.
import { byId, make } from "./elements.js";
import { Ground } from "./ground.js";
import { ViewMap } from "./map.js";
import { Counts } from "./counts.js";
import { Legend } from "./legend.js";
import { Here } from "./here.js";
import { Measure } from "./measure.js";
import { Worst } from "./worst.js";
import { ROLES, outlines, arrows } from "./drawn.js";
import { hiddenByDefault, withShown } from "./classes.js";
import { baseMap } from "./base.js";
import { Live } from "./live.js";
import * as link from "./link.js";

const THUMB_PX = 44;
const ALIVE_EVERY_MS = 15000;

class Page {
  constructor(view, live) {
    this.view = view;
    this.live = live;
    this.ground = new Ground(view);
    const suffix = { image: "webp" };
    this.tileUrl = view.static
      ? (layer, level, x, y) => `tiles/${layer.id}/${level}/${x}/${y}.${suffix[layer.kind] || "png"}`
      : (layer, level, x, y) => `tiles/${layer.id}/${this.stampIn(layer, level, x, y)}/${level}/${x}/${y}`;
    this.state = { ...this.defaults(), ...link.read(view) };
    this.map = new ViewMap(view, byId("map"), this.tileUrl, (layer) => this.tileFailed(layer), this.ground.size(view.width / 2, view.height / 2)[0]);
    this.map.swipeAt = () => this.swipeShare();
    this.counts = new Counts(view, this.tileUrl);
    this.legend = new Legend(byId("legend"), this.counts, this.ground, (...tick) => this.set({ hidden: withShown(this.state.hidden, ...tick) }));
    this.here = new Here(byId("here"), view, this.ground, this.counts);
    if (view.base_map && this.ground.lonlats) baseMap(this.map, this.ground, view.base_map);
    this.drawOver();
    this.measure = new Measure(this.map, this.ground, byId("measured"));
    this.worst = new Worst(this);
    this.fill();
    this.listen();
    if (this.state.at) this.goTo(this.state.at);
    if (live) live.attach(this);
    this.apply();
  }

  // What tells one state of a tile from another; of a run that is followed, its views too.
  stampIn(layer, level, x, y) {
    if (!this.view.live) return layer.stamp;
    return layer.growing ? this.live.version(level, x, y) : `${layer.stamp}-${this.view.live.toString(16)}`;
  }

  // The run has something else to show: keep the place, and the layers where a person has chosen them.
  newView() {
    if (!this.chosen) history.replaceState(null, "", link.placeAlone());
    location.reload();
  }

  // Two maps side by side where there are two, over the image.
  defaults() {
    const of = (kind) => this.view.layers.filter((one) => one.kind === kind);
    const maps = of("classes").filter((one) => !/^(labels|reference)$|^labels before|\(reference\)$/.test(one.name) && !this.view.steps.includes(one.id));
    const shown = maps.length ? maps : [...of("classes"), ...of("amount")];
    const below = of("image")[0] || null, right = shown[shown.length - 1] || of("image")[1] || null;
    const left = shown.length > 1 ? shown[0] : below ? null : right;
    return { below, left, right, opacity: 0.65, swipe: 0.5, hidden: hiddenByDefault(this.view) };
  }

  drawOver() {
    this.outlines = outlines(this.map, this.view);
    this.arrows = arrows(this.map, this.view);
    byId("outlines-row").hidden = !this.view.outlines.length;
    byId("arrows-row").hidden = !this.view.arrows.length;
    for (const role of new Set(this.view.outlines.map((one) => one.role))) {
      const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
      swatch.style.background = ROLES[role];
      byId("roles").append(make("span", { class: "role" }, swatch, role));
    }
  }

  fill() {
    if (!this.live) document.title = `${this.view.title} – crispmap view`;
    byId("title").textContent = this.view.title;
    for (const side of ["left", "right", "below"]) {
      const options = this.view.layers.map((one) => make("option", { value: one.id }, one.name));
      byId(side).replaceChildren(make("option", { value: "" }, "nothing"), ...options);
    }
    this.nameTheme();
    byId("notes").hidden = !this.view.notes.length;
    byId("notes").replaceChildren(...this.view.notes.map((one) => make("p", {}, one)));
    const north = this.ground.north();
    byId("north").hidden = north === null;
    byId("north").style.transform = `rotate(${north || 0}rad)`;
    byId("steps-row").hidden = !this.view.steps.length;
    byId("steps").max = Math.max(0, this.view.steps.length - 1);
    byId("swipe").value = this.state.swipe;
    byId("opacity").value = this.state.opacity;
  }

  listen() {
    for (const side of ["left", "right", "below"]) {
      byId(side).addEventListener("change", (event) => this.set({ [side]: this.layer(event.target.value) }));
    }
    byId("opacity").addEventListener("input", (event) => this.set({ opacity: Number(event.target.value) }));
    byId("swipe").addEventListener("input", (event) => this.set({ swipe: Number(event.target.value) }, false));
    byId("steps").addEventListener("input", (event) => this.set({ right: this.layer(this.view.steps[event.target.value]) }));
    byId("outlines").addEventListener("change", (event) => this.outlines.setVisible(event.target.checked));
    byId("arrows").addEventListener("change", (event) => this.arrows.setVisible(event.target.checked));
    for (const mode of ["length", "area"]) byId(mode).addEventListener("click", () => this.setMeasure(this.measure.mode === mode ? null : mode));
    byId("clear").addEventListener("click", () => this.setMeasure(null));
    byId("toggle").addEventListener("click", () => this.togglePanel());
    byId("theme").addEventListener("click", () => this.changeTheme());
    this.map.ol.on("click", (event) => this.pointed(event.coordinate));
    this.map.ol.on("moveend", () => this.moved());
    byId("map").addEventListener("keydown", (event) => this.key(event));
    addEventListener("resize", () => this.drawSwipe());
    new ResizeObserver(() => { this.map.ol.updateSize(); this.drawSwipe(); }).observe(byId("map"));
    addEventListener("hashchange", () => { Object.assign(this.state, link.read(this.view)); this.goTo(this.state.at); this.apply(); });
  }

  layer(id) { return this.view.layers.find((one) => one.id === id) || null; }

  set(changes, all = true) {
    if ("left" in changes || "right" in changes || "below" in changes) this.chosen = true;
    Object.assign(this.state, changes);
    if (all) this.apply();
    else this.drawSwipe();
    this.keepLink();
  }

  apply() {
    this.map.hidden = this.state.hidden;
    for (const side of ["below", "left", "right"]) {
      this.map.show(side, this.state[side], side === "below" ? 1 : this.state.opacity);
      byId(side).value = this.state[side] ? this.state[side].id : "";
    }
    byId("opacity-out").textContent = `${Math.round(100 * this.state.opacity)} %`;
    const name = (layer) => (layer ? layer.name : this.state.below ? this.state.below.name : "");
    const alike = this.state.left === this.state.right; // nothing to swipe between
    byId("swipe").hidden = byId("line").hidden = byId("badge-left").hidden = alike;
    byId("badge-left").textContent = name(this.state.left);
    byId("badge-right").textContent = name(this.state.right);
    const step = this.state.right ? this.view.steps.indexOf(this.state.right.id) : -1;
    if (step >= 0) byId("steps").value = step;
    byId("steps-out").textContent = step >= 0 ? `${step} of ${this.view.steps.length - 1}` : "–";
    this.drawSwipe();
    this.worst.follow(this.state.right);
    this.showLegend();
  }

  // Where the middle of the swipe's handle is, as a share of the width.
  swipeShare() {
    const width = byId("map").clientWidth || 1;
    return (THUMB_PX / 2 + this.state.swipe * (width - THUMB_PX)) / width;
  }

  drawSwipe() {
    const share = 100 * this.swipeShare(), swipe = byId("swipe");
    swipe.value = this.state.swipe;
    swipe.setAttribute("aria-valuetext", `${Math.round(100 * this.state.swipe)} percent from the left`);
    byId("line").style.left = `${share}%`;
    byId("badge-left").style.right = `calc(${100 - share}% + .5rem)`;
    byId("badge-right").style.left = `calc(${share}% + .5rem)`;
    this.map.ol.render();
  }

  moved() {
    this.drawScale();
    this.showLegend();
    this.keepLink();
  }

  showLegend() {
    const shown = [...new Set([this.state.right, this.state.left])].filter((one) => one && one.kind !== "image");
    clearTimeout(this.waiting);
    this.waiting = setTimeout(() => this.legend.show(shown, this.map.inView(), this.state.hidden), 120);
  }

  keepLink() {
    clearTimeout(this.linking);
    this.linking = setTimeout(() => link.write(this.state, this.map.ol.getView()), 200);
  }

  drawScale() {
    const view = this.map.ol.getView(), [x, y] = view.getCenter();
    const perPixel = this.ground.size(x, -y)[0] * view.getResolution();
    const raw = 110 * perPixel, power = 10 ** Math.floor(Math.log10(raw));
    const length = [5, 2, 1].find((one) => one * power <= raw) * power;
    const text = this.ground.lengthText(length);
    byId("scale").firstElementChild.textContent = text;
    byId("scale").lastElementChild.style.width = `${length / perPixel}px`;
    byId("scale").setAttribute("aria-label", `Scale: the bar is ${text}`);
  }

  goTo(at) {
    if (!at) return;
    this.map.ol.getView().setResolution(at[2]);
    this.map.ol.getView().setCenter([at[0], -at[1]]);
  }

  pointed(coordinate) {
    if (this.measure.mode) this.measure.add(coordinate);
    else this.here.ask(coordinate);
  }

  setMeasure(mode) {
    this.measure.begin(mode);
    byId("map").classList.toggle("measuring", Boolean(mode));
    for (const one of ["length", "area"]) byId(one).setAttribute("aria-pressed", String(one === mode));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = event.key === "[" ? -0.05 : event.key === "]" ? 0.05 : 0;
    if (event.key === "Enter") this.pointed(this.map.ol.getView().getCenter());
    else if (event.key === "Escape") this.setMeasure(null);
    else if (event.key === "0") this.map.showAll();
    else if (event.key === "s") this.set({ left: this.state.right, right: this.state.left });
    else if (step) this.set({ swipe: Math.min(1, Math.max(0, this.state.swipe + step)) }, false);
    else return;
    event.preventDefault();
  }

  togglePanel() {
    const closed = document.body.classList.toggle("closed");
    byId("toggle").setAttribute("aria-expanded", String(!closed));
  }

  isDark() { return getComputedStyle(document.documentElement).colorScheme === "dark"; }

  changeTheme() {
    document.documentElement.dataset.theme = this.isDark() ? "light" : "dark";
    this.nameTheme();
  }

  nameTheme() { byId("theme").textContent = this.isDark() ? "Light" : "Dark"; }

  say(text) { byId("status").textContent = text; }

  async tileFailed(layer) {
    if (this.view.static || this.asking) return;
    this.asking = true;
    try {
      const answer = await fetch(`tiles/${layer.id}/${layer.stamp}/${this.view.levels - 1}/0/0`);
      if (answer.status === 410) this.say((await answer.json()).problem);
    } catch {
      this.say("The server has ended: start crispmap view again.");
    } finally {
      this.asking = false;
    }
  }

  // Tell the server that somebody looks, and show anew what has changed on the disk.
  async alive() {
    try {
      const stamps = await (await fetch("alive")).json();
      let changed = false;
      for (const layer of this.view.layers) {
        const stamp = stamps[layer.id];
        if (stamp && stamp !== layer.stamp && !layer.growing) {
          layer.stamp = stamp;
          changed = true;
        }
      }
      if (changed) this.apply();
      const gone = this.view.layers.filter((one) => !stamps[one.id]).map((one) => one.name);
      this.say(gone.length ? `No longer on the disk: ${gone.join(", ")}` : "");
    } catch {
      this.say("The server has ended: start crispmap view again.");
    }
  }

  stayAlive() {
    if (this.view.static) return;
    setInterval(() => this.alive(), ALIVE_EVERY_MS);
    document.addEventListener("visibilitychange", () => document.hidden || this.alive());
    addEventListener("pagehide", () => fetch("bye", { keepalive: true }).catch(() => {}));
  }
}

async function viewFacts() {
  const answer = await fetch("view.json");
  if (!answer.ok) throw new Error(`view.json: ${answer.status}`);
  return answer.json();
}

// Of a run that is followed, the map takes some seconds longer than the rest.
async function start() {
  let view = await viewFacts();
  const live = typeof view.live === "number" ? new Live() : null;
  while (view.preparing) {
    byId("status").textContent = "The map is being prepared …";
    await new Promise((done) => setTimeout(done, 500));
    view = await viewFacts();
  }
  byId("status").textContent = "";
  const page = new Page(view, live);
  page.stayAlive();
  window.crispmap = page;
}

start().catch((error) => { byId("status").textContent = `The view cannot be shown: ${error.message}`; });
