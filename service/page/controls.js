// What is asked of the generator, and the orders to it: many levels, or new tiles for what is open.

import { named, post } from "./api.js";
import { byId, counted, fillSelect, written } from "./elements.js";
import { fromNested, toNested } from "./grids.js";
import { anySeed, choices, fits, kept, sample, wish } from "./sampling.js";

export class Controls {
  constructor(workshop) {
    this.workshop = workshop;
    byId("generator").addEventListener("change", (event) => {
      this.project.generator = event.target.value;
      workshop.tell("generator");
    });
    const numbers = { seed: byId("seed"), count: byId("count") };
    for (const [name, input] of Object.entries(numbers)) {
      input.addEventListener("change", () => {
        if (input.checkValidity() && input.value) this.project[name] = Number(input.value);
        input.value = this.project[name];
      });
    }
    byId("seed").addEventListener("input", () => (byId("new-seed").checked = false));
    byId("count").max = workshop.limits.count;
    byId("playable").addEventListener("change", (event) => (this.project.playable = event.target.checked));
    byId("order").addEventListener("submit", (event) => {
      event.preventDefault();
      this.generate();
    });
    byId("prompt-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#readPrompt();
    });
    byId("forget-targets").addEventListener("click", () => {
      this.project.targets.clear();
      this.project.forgetPrompt();
      byId("prompt").value = "";
      workshop.tell("targets");
    });
    byId("regenerate").addEventListener("click", () => this.regenerate());
    byId("repair").addEventListener("click", () => this.repair());
    workshop.on("project generator", () => this.#show());
    workshop.on("targets", () => {
      if (!this.project.prompt) byId("prompt-answer").replaceChildren();
    });
    workshop.on("project generator selection level", () => this.#showOrders());
  }

  get project() {
    return this.workshop.project;
  }

  // What is shown.

  #show() {
    const { project, workshop } = this;
    const { generator } = workshop;
    fillSelect(byId("generator"), choices(workshop.generatorsOf(project.problem.name)), project.generator);
    const weights = generator.parameters ? `, ${counted(generator.parameters, "weight")}` : "";
    byId("generator-words").textContent = `${generator.family}${weights}, by ${generator.engine}`;
    byId("card").hidden = !generator.card;
    byId("card-text").textContent = generator.card;
    byId("seed").value = project.seed;
    byId("count").value = project.count;
    byId("playable").checked = project.playable;
    byId("playable").disabled = !project.problem.playable;
    byId("prompt").value = project.prompt;
    byId("prompt-answer").replaceChildren();
  }

  #showOrders() {
    const { project } = this;
    const some = project.selection.size > 0;
    byId("regenerate-words").textContent = some ? "Regenerate selection" : "Regenerate";
    byId("deselect").disabled = !some;
    byId("undo").disabled = !project.canUndo;
    byId("redo").disabled = !project.canRedo;
  }

  // Orders.

  /** Samples levels for the gallery; where the level at hand is nobody's work, the best of them takes its place. */
  async generate({ another = byId("new-seed").checked } = {}) {
    const { project, workshop } = this;
    if (another) byId("seed").value = project.seed = anySeed();
    const asked = wish(project);
    const locked = project.anyLocked && fits(workshop.generator, project);
    const fixed = locked ? kept(project, (cell) => !project.locks[cell]) : null;
    await workshop.work(`Sampling ${counted(project.count, "level")}…`, async (signal) => {
      const { samples, reply } = await sample(workshop, asked, fixed, signal);
      project.addSamples(samples);
      if (samples.length && (project.origin || !project.canUndo)) {
        const best = samples.reduce((one, other) => (worth(other.entry) > worth(one.entry) ? other : one));
        project.take(best.level, "generate", best);
        workshop.tell("level");
      }
      workshop.tell("samples");
      workshop.say(outcome(reply));
    });
  }

  /** Has the generator make the selection anew, or all that is not locked. */
  async regenerate() {
    const { project, workshop } = this;
    const { generator } = workshop;
    const { selection, locks } = project;
    const open = (cell) => !locks[cell] && (!selection.size || selection.has(cell));
    const fixed = kept(project, open);
    const whole = fixed.every((tile) => tile === null);
    if (!fixed.includes(null)) {
      workshop.say("Everything that is selected is locked: there is nothing to make anew.");
      return;
    }
    if (!whole && !fits(generator, project)) {
      const [wanted, given] = [generator, project].map(({ shape }) => shape.join(" x "));
      workshop.complain(`${generator.title} makes levels of ${wanted} tiles; this one has ${given}.`);
      return;
    }
    await workshop.work("Making new tiles…", async (signal) => {
      const start = performance.now();
      const asked = wish(project, { count: 1, seed: anySeed() });
      const { samples, reply } = await sample(workshop, asked, whole ? null : fixed, signal);
      if (!samples.length) {
        workshop.say(reply.remarks.join(" "));
        return;
      }
      project.take(samples[0].level, "regenerate", samples[0]);
      workshop.tell("level");
      const all = performance.now() - start;
      performance.measure("regenerate", { start, end: start + all, detail: { service: reply.seconds * 1000 } });
      workshop.say([`New tiles in ${written(all, 0)} ms.`, ...reply.remarks].join(" "));
    });
  }

  /** Has the level changed in few places so that it can be won; what is locked stays. */
  async repair() {
    const { project, workshop } = this;
    await workshop.work("Repairing…", async (signal) => {
      const { level, shape } = project;
      const fixed = project.anyLocked ? toNested(shape, Array.from(project.locks, Boolean)) : null;
      const body = { level: toNested(shape, level.tiles), fixed };
      const entry = await post(named("problems", project.problem.name, "repair"), body, signal);
      const repaired = fromNested(entry.level);
      const changed = repaired.tiles.filter((tile, cell) => tile !== level.tiles[cell]).length;
      if (changed) project.take(repaired, "repair", { entry });
      workshop.tell("level");
      workshop.say(
        entry.playable ? `Repaired by changing ${counted(changed, "tile")}.` : "No repair was found that can be won.",
      );
    });
  }

  async #readPrompt() {
    const { project, workshop } = this;
    const text = byId("prompt").value.trim();
    for (const metric of project.prompted) project.targets.delete(metric);
    project.forgetPrompt();
    workshop.tell("targets");
    if (!text) return;
    let read = false;
    await workshop.work("Reading…", async (signal) => {
      const { problem, generator } = project;
      const answer = await post("prompt", { problem: problem.name, text, generator }, signal);
      project.targets = new Map(Object.entries(answer.targets));
      project.prompt = text;
      project.prompted = new Set(project.targets.keys());
      workshop.tell("targets");
      const { understood, remarks } = answer;
      const paragraphs = [...(understood.length ? [`Asked for: ${understood.join(", ")}.`] : []), ...remarks];
      byId("prompt-answer").replaceChildren(
        ...paragraphs.map((words) => Object.assign(document.createElement("p"), { textContent: words })),
      );
      read = true;
    });
    if (read) await this.generate();
  }
}

/** Returns how good a sample is, playable ones first. */
function worth({ playable, quality }) {
  return quality + (playable ? 1 : 0);
}

/** Returns what came of an order, in a few sentences. */
function outcome({ levels, remarks, seconds }) {
  return [`${counted(levels.length, "level")} in ${written(seconds)} s.`, ...remarks].join(" ");
}
