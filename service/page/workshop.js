// What all parts of the page share: the lists of the service, the project at hand, one piece of work at a time, and
// messages.

import { byId } from "./elements.js";
import { get, named, post, ServiceError } from "./api.js";
import { toNested } from "./grids.js";
import { Project } from "./project.js";

/** How long the page waits after a change until the level is measured, in milliseconds. */
const SETTLING = 120;

export class Workshop {
  #listeners = new Map();
  #projects = new Map();
  #work = null;
  #measuring = null;
  #settling = 0;

  constructor() {
    byId("error-dismiss").addEventListener("click", () => this.forgive());
    byId("cancel").addEventListener("click", () => this.cancel());
  }

  /** Asks the service what it has. */
  async open() {
    const [problems, generators, designers, health] = await Promise.all(
      ["problems", "generators", "designers", "health"].map((path) => get(path)),
    );
    this.problems = new Map(problems.map((problem) => [problem.name, problem]));
    this.generators = generators;
    this.designers = designers;
    this.limits = health.limits;
  }

  /**
   * Calls a listener when something has changed: "project" (another one), "level" (its tiles or locks), "selection",
   * "entry" (what was measured), "samples", "targets" (whatever is asked of the generator), "sprites".
   */
  on(names, listener) {
    for (const name of names.split(" ")) {
      if (!this.#listeners.has(name)) this.#listeners.set(name, []);
      this.#listeners.get(name).push(listener);
    }
  }

  tell(name) {
    for (const listener of this.#listeners.get(name) ?? []) listener();
    if (name === "level" || name === "project") this.#measureSoon();
  }

  // Projects.

  /** Goes to the work on a problem, which begins where it was left. */
  switchTo(problem) {
    this.#rest();
    this.project?.finish();
    if (!this.#projects.has(problem)) {
      this.#projects.set(problem, new Project(this.problems.get(problem), this.generatorsOf(problem)));
    }
    this.project = this.#projects.get(problem);
    this.tell("project");
  }

  /** Returns the generators of a problem. */
  generatorsOf(problem) {
    return this.generators.filter((generator) => generator.problem === problem);
  }

  /** Returns the generator that is chosen. */
  get generator() {
    return this.generators.find((generator) => generator.name === this.project.generator);
  }

  /** Takes the last change back, or makes it again. */
  stepHistory(forward) {
    const { project } = this;
    // A stroke that is being made comes first.
    if (project.changing) return;
    if (!(forward ? project.canRedo : project.canUndo)) {
      this.say(forward ? "There is nothing to make again." : "There is nothing to take back.");
      return;
    }
    const words = forward ? project.redo() : project.undo();
    this.say(`${forward ? "Made again" : "Taken back"}: ${words}.`);
    this.tell("selection");
    this.tell("level");
  }

  // Measuring.

  #measureSoon() {
    clearTimeout(this.#settling);
    this.#measuring?.abort();
    this.tell("entry");
    if (!this.project.entry) this.#settling = setTimeout(() => this.#measure(), SETTLING);
  }

  async #measure() {
    const { project } = this;
    const { level } = project;
    const controller = (this.#measuring = new AbortController());
    try {
      const body = { level: toNested(level.shape, level.tiles) };
      const entry = await post(named("problems", project.problem.name, "measure"), body, controller.signal);
      if (project.level === level) project.entry = entry;
      if (this.project === project) this.tell("entry");
    } catch (error) {
      if (error.name !== "AbortError") this.fail(error);
    }
  }

  // Work that takes time.

  /** Does a piece of work, (signal) => promise, which ends the one before; shows that it is being done. */
  async work(words, job) {
    this.#rest();
    const controller = (this.#work = new AbortController());
    byId("busy-words").textContent = words;
    byId("busy").hidden = false;
    document.body.setAttribute("aria-busy", "true");
    try {
      this.forgive();
      await job(controller.signal);
    } catch (error) {
      if (error.name !== "AbortError") this.fail(error);
    } finally {
      if (this.#work === controller) this.#rest();
    }
  }

  /** Ends the piece of work that is being done; returns whether there was one. */
  cancel() {
    if (!this.#work) return false;
    this.#rest();
    this.say("Cancelled.");
    return true;
  }

  #rest() {
    this.#work?.abort();
    this.#work = null;
    byId("busy").hidden = true;
    document.body.removeAttribute("aria-busy");
  }

  // Messages.

  say(words) {
    byId("message").textContent = words;
  }

  /** Says that something cannot be done, until it is dismissed or something else is done. */
  complain(words) {
    byId("error-words").textContent = words;
    byId("error").hidden = false;
  }

  fail(error) {
    const expected = error instanceof ServiceError;
    this.complain(expected ? error.message : `The page has made a mistake: ${error.message}`);
    if (!expected) throw error;
  }

  forgive() {
    byId("error").hidden = true;
    byId("error-words").textContent = "";
  }
}
