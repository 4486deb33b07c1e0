// Watching a designer build, from the level at hand or from chance, around what is locked.

import { named, postForEvents } from "./api.js";
import { BoardView } from "./board.js";
import { byId, fillSelect, written } from "./elements.js";
import { fromNested, layout, toNested } from "./grids.js";
import { anySeed, choices } from "./sampling.js";
import { Timeline } from "./timeline.js";

/** In about how many events a designer's work is told at most. */
const MOST_EVENTS = 2000;

export class Watch {
  /** What the designer changed, step by step: {level, cursor, metrics, step, gain}. */
  #frames = [];
  #gain = 0;
  #end = null;
  /** Counts the runs, so that one that was ended by another does not go on in it. */
  #run = 0;

  constructor(workshop) {
    this.workshop = workshop;
    this.view = new BoardView(byId("building"), (view, context) => this.#overlay(view, context));
    this.timeline = new Timeline(byId("watch-timeline"), "change", (index) => this.#show(index));
    this.timeline.rate = 20;
    byId("watch-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.run();
    });
    byId("keep").addEventListener("click", () => this.#keep());
    byId("designer").addEventListener("change", () => this.#tell());
    workshop.on("project", () => this.#open());
  }

  get designer() {
    return this.workshop.designers.find(({ name }) => name === byId("designer").value);
  }

  #open() {
    const { problem } = this.workshop.project;
    const known = this.workshop.designers.filter((designer) => designer.problem === problem.name);
    fillSelect(byId("designer"), choices(known));
    byId("watch-form").hidden = byId("watch-stage").hidden = known.length === 0;
    byId("no-designer").hidden = known.length > 0;
    this.#run++;
    this.#frames = [];
    this.#end = null;
    this.timeline.load(0);
    byId("keep").disabled = true;
    byId("progress").replaceChildren();
    this.#tell();
    this.preview();
  }

  /** Shows the level at hand until a designer has begun. */
  preview() {
    const { problem, shape, level } = this.workshop.project;
    if (!this.#frames.length) this.view.show(problem, shape, level.tiles);
  }

  #tell() {
    const { designer } = this;
    byId("designer-words").textContent = designer
      ? designer.representation +
        (designer.steps ? `, at most ${designer.steps} steps` : "") +
        (designer.targets.length ? `; can be asked for ${designer.targets.join(", ")}` : "")
      : "";
  }

  async run() {
    const { workshop, designer } = this;
    const { project } = workshop;
    const fromLevel = byId("watch-start").value === "level";
    if (fromLevel && designer.shape.join() !== project.shape.join()) {
      workshop.complain(`The ${designer.title} works on ${designer.shape.join(" x ")} tiles; this level has ${project.shape.join(" x ")}.`);
      return;
    }
    const body = {
      level: fromLevel ? toNested(project.shape, project.level.tiles) : null,
      seed: anySeed(),
      targets: Object.fromEntries([...project.targets].filter(([metric]) => designer.targets.includes(metric))),
      locked: fromLevel && project.anyLocked ? toNested(project.shape, Array.from(project.locks, Boolean)) : null,
      every: Math.max(1, Math.ceil(designer.steps / MOST_EVENTS)),
    };
    this.#frames = [];
    this.#gain = 0;
    this.#end = null;
    const run = ++this.#run;
    byId("keep").disabled = true;
    this.timeline.load(0, { growing: true, play: true });
    await workshop.work(`The ${designer.title} is building…`, async (signal) => {
      for await (const { event, data } of postForEvents(named("designers", designer.name, "run"), body, signal)) {
        if (run !== this.#run) return;
        if (event === "step") this.#add(data);
        else if (event === "end") this.#end = data.entry;
      }
    });
    if (run !== this.#run) return;
    this.timeline.growing = false;
    byId("keep").disabled = !this.#frames.length;
    if (!this.timeline.playing) this.timeline.go(this.#frames.length - 1);
    if (this.#end) workshop.say(`The designer has finished; quality ${this.#end.quality.toFixed(2)}.`);
  }

  /** Keeps an event in which the level has changed. */
  #add({ level, changed, cursor, metrics, reward, step }) {
    this.#gain += reward;
    if (this.#frames.length && !changed.length) return;
    this.#frames.push({ level: fromNested(level), cursor, metrics, step, gain: this.#gain });
    this.timeline.length = this.#frames.length;
    if (this.#frames.length === 1) this.timeline.go(0);
  }

  #show(index) {
    const { level, step, gain, metrics } = this.#frames[index];
    const { problem } = this.workshop.project;
    this.index = index;
    this.view.show(problem, level.shape, level.tiles);
    byId("building").setAttribute("aria-label", `Level of ${problem.name} being built, step ${step}`);
    const values = problem.metrics.map(({ name }) => `${name} ${written(metrics[name] ?? 0)}`);
    byId("watch-words").textContent = `Step ${step}, improvement ${written(gain)}: ${values.join(", ")}`;
    this.#draw(index);
  }

  #overlay(view, context) {
    const cursor = this.#frames[this.index]?.cursor;
    if (!cursor || !this.#frames.length) return;
    const [height, width] = this.#frames[this.index].level.shape.slice(-2);
    const [z, y, x] = cursor.length === 3 ? cursor : [0, ...cursor];
    const [row, column] = layout(this.#frames[this.index].level.shape).place((z * height + y) * width + x);
    const { size } = view;
    const thin = Math.max(2, size / 14);
    context.lineWidth = thin;
    context.strokeStyle = "#ffd046";
    context.strokeRect(column * size + thin / 2, row * size + thin / 2, size - thin, size - thin);
  }

  /** Draws how much better the level has become than it was at the start. */
  #draw(index) {
    const gains = this.#frames.map(({ gain }) => gain);
    const [low, high] = [Math.min(0, ...gains), Math.max(0, ...gains)];
    const x = (i) => (i / Math.max(gains.length - 1, 1)) * 300;
    const y = (gain) => 56 - ((gain - low) / (high - low || 1)) * 52;
    const line = gains.map((gain, i) => `${i ? "L" : "M"}${x(i).toFixed(1)} ${y(gain).toFixed(1)}`).join("");
    const svg = byId("progress");
    if (!svg.firstChild) {
      for (const name of ["gain", "now"]) {
        const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
        path.setAttribute("class", name);
        svg.append(path);
      }
    }
    svg.children[0].setAttribute("d", line);
    svg.children[1].setAttribute("d", `M${x(index)} 2V58`);
    svg.setAttribute("aria-label", `Improvement over the steps, ${written(gains[index])} at the one shown`);
  }

  /** Puts the level that is shown into the editor. */
  #keep() {
    const { workshop } = this;
    const last = this.index === this.#frames.length - 1;
    const { level } = this.#frames[this.index];
    workshop.project.take(level, "keep a designer's level", { entry: last ? this.#end : null });
    workshop.tell("level");
    workshop.say("The level is in the editor.");
  }

  leave() {
    this.timeline.pause();
  }
}
