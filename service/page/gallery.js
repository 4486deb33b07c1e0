// The samples: small pictures in an order to choose, and how they are opened.

import { thumbnail } from "./board.js";
import { byId, counted, element, icon } from "./elements.js";
import { difference } from "./grids.js";
import { onSprites } from "./sprites.js";

/** How large pictures may be, in pixels of the page. */
const SIDE = 120;
/** Levels that are wider than so many times their height have a line of their own. */
const LONG = 4;

export class Gallery {
  #shown = [];
  #pictures = new Map();

  constructor(workshop) {
    this.workshop = workshop;
    this.list = byId("gallery");
    byId("order-by").addEventListener("change", () => this.#show());
    byId("clear-samples").addEventListener("click", () => {
      workshop.project.samples = [];
      workshop.tell("samples");
    });
    this.list.addEventListener("keydown", (event) => this.#key(event));
    workshop.on("project samples", () => this.#show());
    workshop.on("level", () => this.#mark());
    onSprites(() => this.#pictures.forEach(({ draw }) => draw()));
  }

  #show() {
    const { problem, samples } = this.workshop.project;
    const ordered = ORDERS[byId("order-by").value](samples);
    const long = samples.some(({ level }) => level.shape.at(-1) > LONG * level.shape.at(-2));
    this.list.classList.toggle("long", long);
    const side = long ? LONG * SIDE : SIDE;
    this.#pictures = new Map(
      samples.map((sample) => [sample, this.#pictures.get(sample) ?? thumbnail(problem, sample.level, side)]),
    );
    this.#shown = ordered.map((sample, i) => this.#option(sample, i));
    this.list.replaceChildren(...this.#shown.map(({ option }) => option));
    byId("gallery-words").textContent = samples.length ? String(samples.length) : "";
    byId("gallery-empty").hidden = samples.length > 0;
    this.#mark();
  }

  #option(sample, i) {
    const { entry } = sample;
    const { problem } = this.workshop.project;
    const option = element(
      "li",
      {
        role: "option",
        tabIndex: i ? -1 : 0,
        "aria-selected": "false",
        "aria-label": `Sample ${i + 1}: quality ${entry.quality.toFixed(2)}, ${told(entry, problem)}`,
        onclick: () => this.open(sample),
      },
      this.#pictures.get(sample).canvas,
      element("span", { className: "caption" }, mark(entry), entry.quality.toFixed(2)),
    );
    return { option, sample };
  }

  /** Puts a sample into the editor. */
  open(sample) {
    const { project } = this.workshop;
    if (project.level === sample.level) return;
    project.take(sample.level, "open a sample", sample);
    this.workshop.tell("level");
    this.workshop.say(`Opened a sample of quality ${sample.entry.quality.toFixed(2)}, ${told(sample.entry, project.problem)}.`);
  }

  #mark() {
    const { level } = this.workshop.project;
    for (const { option, sample } of this.#shown) {
      option.setAttribute("aria-selected", String(sample.level === level));
    }
  }

  #key(event) {
    const options = this.#shown.map(({ option }) => option);
    const at = options.indexOf(document.activeElement);
    if (at < 0) return;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.open(this.#shown[at].sample);
      return;
    }
    const across = options.filter(({ offsetTop }) => offsetTop === options[0].offsetTop).length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -across, ArrowDown: across, Home: -at, End: options.length };
    if (!(event.key in steps)) return;
    event.preventDefault();
    const next = options[Math.min(Math.max(at + steps[event.key], 0), options.length - 1)];
    options[at].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
}

const ORDERS = {
  newest: (samples) => samples,
  quality: (samples) => samples.toSorted((one, other) => other.entry.quality - one.entry.quality),
  variety,
};

/** Orders samples so that each is as far as can be from all before it, in tiles; the best comes first. */
function variety(samples) {
  const left = ORDERS.quality(samples);
  const ordered = left.splice(0, 1);
  const nearest = left.map(() => Infinity);
  while (left.length) {
    left.forEach((sample, i) => (nearest[i] = Math.min(nearest[i], difference(sample.level, ordered.at(-1).level))));
    const farthest = nearest.indexOf(Math.max(...nearest));
    nearest.splice(farthest, 1);
    ordered.push(...left.splice(farthest, 1));
  }
  return ordered;
}

/** Returns whether a level can be won, in words. */
export function told({ playable, solution, repaired }, problem) {
  const words = playable ? "can be won" : playable === false ? "cannot be won" : "not known whether it can be won";
  const moves = solution ? ` in ${length(solution.length, problem)}` : "";
  return `${words}${moves}${repaired ? ", repaired" : ""}`;
}

/** Returns how long a game is: moves or, where it runs by itself, seconds. */
export function length(moves, { ticks_per_second: ticks }) {
  return ticks ? `${(moves / ticks).toFixed(1)} seconds` : counted(moves, "move");
}

/** Returns the sign of whether a level can be won. */
export function mark({ playable }) {
  const [name, verdict] = playable ? ["check", "won"] : playable === false ? ["cross", "lost"] : ["question", "open"];
  const drawing = icon(name);
  drawing.classList.add(verdict);
  return drawing;
}
