// A run under way: how far it is, its curves, and the pieces of its maps that are finished.
import { byId, make } from "./elements.js";
import { number } from "./ground.js";
import { chart } from "./curves.js";
import { unfinished } from "./drawn.js";

const EVERY_MS = 1000;
const VERBS = { train: "Training", predict: "Mapping", refine: "Refining" };
const ENDINGS = { done: "Finished", failed: "Failed", interrupted: "Interrupted" };

export class Live {
  constructor() {
    this.page = null; // until there is something to show on a map
    this.number = 0;
    this.revision = 0;
    this.found = [];
    this.ending = null;
    this.holders = new Map();
    byId("run-section").hidden = false;
    this.ask();
  }

  // Show finished blocks on a page from now on.
  attach(page) {
    this.page = page;
    this.number = page.view.live;
    this.veil = unfinished(page.map);
  }

  // How many finished blocks touch a tile: a part of its address, so that only those that change are loaded again.
  version(level, x, y) {
    if (!this.blocks) return `${this.number.toString(16)}-0`;
    const { sx, sy, side } = this.blocks, size = this.page.view.tile * 2 ** level;
    const [left, right, top, bottom] = [x * size, (x + 1) * size, y * size, (y + 1) * size];
    const touches = ([i, j]) => j * side * sx < right && (j + 1) * side * sx > left && i * side * sy < bottom && (i + 1) * side * sy > top;
    return `${this.number.toString(16)}-${this.found.filter(touches).length.toString(16)}`;
  }

  async ask() {
    let facts = null;
    try {
      const answer = await fetch(`live/${this.number}/${this.found.length}/${this.revision}`);
      facts = answer.ok ? await answer.json() : null;
    } catch {
      this.lost();
      return;
    }
    if (facts) this.take(facts);
    // Where all went well, what was made is put together once more.
    if (!facts || !this.ending || (this.ending === "done" && !facts.last)) setTimeout(() => this.ask(), EVERY_MS);
  }

  lost() {
    if (!this.ending) this.ending = "interrupted";
    this.say(`${ENDINGS[this.ending]}. This page is not served any more; crispmap view opens it again.`);
  }

  take(facts) {
    if (this.page && facts.view > this.number) {
      this.page.newView();
      return;
    }
    this.ending = facts.ending;
    if (facts.curves) {
      this.revision = facts.revision;
      this.drawCurves(facts.curves, facts.tasks);
    }
    this.drawProgress(facts);
    if (this.page && facts.blocks && facts.view === this.number) this.grow(facts.blocks);
  }

  drawProgress(facts) {
    const running = facts.tasks.findLast((one) => !one.ended), share = running ? running.done / Math.max(1, running.total) : 0;
    const verb = VERBS[facts.title] || facts.title;
    this.say(facts.ending ? `${ENDINGS[facts.ending]} after ${time(facts.seconds)}.` : !running ? `${verb}: preparing` : running.title === "map" ? verb : `${verb}: ${running.title}`);
    byId("run-bar").hidden = Boolean(facts.ending) || !running;
    byId("run-bar").value = share;
    byId("run-bar").setAttribute("aria-valuetext", `${Math.floor(100 * share)} percent`);
    const figures = running && !facts.ending ? amounts(running, share) : "";
    byId("run-figures").textContent = figures;
    byId("run-note").textContent = facts.ending ? facts.text : facts.note;
    byId("run-done").replaceChildren(...facts.tasks.filter((one) => one.ended).map(ended));
    const at = running && !facts.ending ? `${Math.floor(100 * share)} % – ` : facts.ending ? `${ENDINGS[facts.ending]} – ` : "";
    document.title = `${at}${this.page ? this.page.view.title : verb} – crispmap`;
  }

  say(text) { if (byId("run-state").textContent !== text) byId("run-state").textContent = text; }

  drawCurves(all, tasks) {
    all.forEach(({ title, total, curves }, index) => {
      const of = (wanted) => curves.filter((one) => (one.name === "loss") === wanted && one.points.length);
      const charts = [["Loss", of(true)], ["Validation", of(false)]].filter(([, some]) => some.length);
      if (charts.length) this.holder(index, title).replaceChildren(...charts.map(([name, some]) => make("div", {}, legend(name, some), chart(some, total, tasks[index].unit))));
    });
  }

  // Where the curves of a task stand; those of the last one that has some are open, until a person closes them.
  holder(index, title) {
    if (!this.holders.has(index)) {
      const holder = make("div");
      for (const one of byId("run-curves").children) one.open = false;
      byId("run-curves").prepend(make("details", { open: "" }, make("summary", {}, `Curves: ${title}`), holder));
      this.holders.set(index, holder);
    }
    return this.holders.get(index);
  }

  grow(blocks) {
    const { width, height } = this.page.view, [rows, cols] = blocks.pixels;
    const fresh = blocks.found.slice(Math.max(0, this.found.length - blocks.since));
    const first = !this.blocks;
    this.blocks = { sx: width / cols, sy: height / rows, side: blocks.side };
    this.found.push(...fresh);
    if (!fresh.length && !first) return;
    this.veil.draw(this.blocks, blocks.shape, this.found, this.page.view);
    for (const layer of this.page.view.layers) if (layer.growing) layer.stamp = this.found.length.toString(16);
    this.page.apply();
  }
}

function legend(name, curves) {
  const parts = curves.map(({ name: of, points }, index) => make("span", { class: `key c${index}` }, `${name === "Loss" ? "" : `${of} `}${number(points.at(-1)[1])}`));
  return make("p", { class: "chart-title" }, make("b", {}, name), ...parts);
}

function ended(task) {
  const text = [task.title, task.summary || (task.ended === "failed" ? "not finished" : ""), time(task.seconds)].filter(Boolean).join(", ");
  return make("li", { class: task.ended }, text);
}

// Such as "41 % · 1,230 of 3,000 steps · 12.3 steps a second · 2 min 24 s left".
function amounts(task, share) {
  const million = task.unit === "pixels" && task.total >= 1e6, scale = million ? 1e6 : 1;
  const amount = (value) => (value / scale).toLocaleString("en", { minimumFractionDigits: million ? 1 : 0, maximumFractionDigits: million ? 1 : 0 });
  const unit = million ? "million pixels" : task.unit;
  const parts = [`${Math.floor(100 * share)} %`, `${amount(task.done)} of ${amount(task.total)} ${unit}`];
  if (task.rate > 0) parts.push(`${number(Number(task.rate.toPrecision(3)))} ${task.unit} a second`, `${time((task.total - task.done) / task.rate)} left`);
  return parts.join(" · ");
}

function time(seconds) {
  const whole = Math.round(seconds), minutes = Math.round(whole / 60), two = (value) => String(value).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  return whole < 3600 ? `${Math.floor(whole / 60)} min ${two(whole % 60)} s` : `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}
