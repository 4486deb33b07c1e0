// The work on one problem: the level being edited, what was locked, lassoed, asked for and sampled, and its history.

import { blank, cells, same } from "./grids.js";

/** How many changes can be taken back, and how many samples are kept. */
const MOST_CHANGES = 200;
const MOST_SAMPLES = 240;

export class Project {
  #past = [];
  #future = [];
  /** Whether a change has begun and not ended. */
  changing = false;

  constructor(problem, generators) {
    this.problem = problem;
    this.level = blank(problem.shape);
    /** For each cell 1 where generators, designers and brushes must leave the tile. */
    this.locks = new Uint8Array(this.level.tiles.length);
    /** The cells that were lassoed. */
    this.selection = new Set();
    /** How a sampled level came to be, which its link tells; null for an edited one. */
    this.origin = null;
    /** What the service measured: metrics, quality, playable, solution; null until it has. */
    this.entry = null;
    this.samples = [];

    this.generator = generators.find((generator) => generator.default).name;
    this.seed = 1;
    // Large levels take longer to sample, and are larger to look at.
    this.count = cells(problem.shape) > 500 ? 4 : 12;
    this.playable = problem.playable;
    this.prompt = "";
    /** The metrics whose targets are the prompt's. */
    this.prompted = new Set();
    /** By a metric's name what is asked for: a number or [low, high]. */
    this.targets = new Map();
  }

  get shape() {
    return this.level.shape;
  }

  get anyLocked() {
    return this.locks.includes(1);
  }

  #snapshot(words) {
    const { level, locks, origin, entry } = this;
    return { level, locks, origin, entry, words };
  }

  #restore({ level, locks, origin, entry }) {
    if (level.shape.join() !== this.level.shape.join()) this.selection = new Set();
    Object.assign(this, { level, locks, origin, entry });
  }

  /** Begins a change that can be taken back; what is changed are copies from here on. */
  begin(words) {
    this.finish();
    this.changing = true;
    this.#past.push(this.#snapshot(words));
    if (this.#past.length > MOST_CHANGES) this.#past.shift();
    this.level = { shape: this.level.shape, tiles: this.level.tiles.slice() };
    this.locks = this.locks.slice();
  }

  /** Ends a change; returns whether there was one. */
  finish() {
    if (!this.changing) return false;
    this.changing = false;
    const before = this.#past.at(-1);
    const edited = !same(before.level, this.level);
    if (!edited && before.locks.every((lock, i) => lock === this.locks[i])) {
      this.#restore(this.#past.pop());
      return false;
    }
    this.#future = [];
    if (edited) {
      this.origin = null;
      this.entry = null;
    }
    return true;
  }

  /** Takes another level, which can be taken back. */
  take(level, words, { origin = null, entry = null } = {}) {
    this.begin(words);
    if (level.shape.join() !== this.level.shape.join()) {
      this.locks = new Uint8Array(level.tiles.length);
      this.selection = new Set();
    }
    this.level = level;
    this.finish();
    this.origin = origin;
    this.entry = entry;
  }

  /** Begins with a level, of which there is no history. */
  start(level, { origin = null, entry = null, locks = null } = {}) {
    this.#restore({ level, origin, entry, locks: locks ?? new Uint8Array(level.tiles.length) });
    this.#past = [];
    this.#future = [];
    this.changing = false;
  }

  get canUndo() {
    return this.#past.length > 0;
  }

  get canRedo() {
    return this.#future.length > 0;
  }

  /** Takes the last change back; returns what it was. */
  undo() {
    const before = this.#past.pop();
    this.#future.push(this.#snapshot(before.words));
    this.#restore(before);
    return before.words;
  }

  /** Makes the change again that was taken back last; returns what it is. */
  redo() {
    const after = this.#future.pop();
    this.#past.push(this.#snapshot(after.words));
    this.#restore(after);
    return after.words;
  }

  /** Asks for no prompt any more; its targets stay. */
  forgetPrompt() {
    this.prompt = "";
    this.prompted.clear();
  }

  /** Keeps samples; the oldest go where there are too many. */
  addSamples(samples) {
    this.samples = [...samples, ...this.samples].slice(0, MOST_SAMPLES);
  }
}
