// The expressive range (Smith 2010): samples by two metrics. A click opens the level there, or asks for one.

import { byId, counted, fillSelect, written } from "./elements.js";

const SVG = "http://www.w3.org/2000/svg";
/** The plot in units of its own: its size, and the margins for what is written beside it. */
const WIDTH = 320;
const HEIGHT = 220;
const LEFT = 38;
const BOTTOM = 26;
const EDGE = 12;
/** How near to a dot a click counts as on it. */
const REACH = 11;

export class Range {
  #cross = null;
  #dots = [];
  #turn = 0;
  /** Whether the axes are still to be chosen by what differs among the first samples. */
  #unchosen = true;

  constructor(workshop, open, generate) {
    this.workshop = workshop;
    this.open = open;
    this.generate = generate;
    this.plot = byId("range");
    this.plot.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    for (const axis of ["range-x", "range-y"]) {
      byId(axis).addEventListener("change", () => {
        this.#unchosen = false;
        this.#draw();
      });
    }
    this.plot.addEventListener("click", (event) => this.#click(event));
    this.plot.addEventListener("keydown", (event) => this.#key(event));
    this.plot.addEventListener("focus", () => this.#point(this.#cross ?? [0.5, 0.5]));
    this.plot.addEventListener("blur", () => this.#draw());
    workshop.on("project", () => this.#choose());
    workshop.on("generator entry", () => this.#draw());
    workshop.on("samples", () => {
      if (this.#unchosen) this.#choose();
      else this.#draw();
    });
  }

  /** Offers the metrics for the axes; at first the two in which samples differ most. */
  #choose() {
    const { problem, samples } = this.workshop.project;
    const names = problem.metrics.map(({ name }) => name);
    const kinds = (name) => new Set(samples.map(({ entry }) => entry.metrics[name])).size;
    const [x, y = x] = names.toSorted((one, other) => kinds(other) - kinds(one));
    const options = names.map((name) => [name, name]);
    fillSelect(byId("range-x"), options, x);
    fillSelect(byId("range-y"), options, y);
    this.#unchosen = samples.length === 0;
    this.#cross = null;
    this.#draw();
  }

  /** Returns an axis: its metric, what it spans, and how values and shares of it become each other. */
  #axis(select) {
    const name = select.value;
    const { entry, samples } = this.workshop.project;
    const condition = this.workshop.generator.conditions.find((known) => known.name === name);
    const values = samples.map((sample) => sample.entry.metrics[name]);
    if (entry) values.push(entry.metrics[name]);
    if (condition) values.push(condition.low, condition.high);
    let [low, high] = [Math.min(...values), Math.max(...values)];
    if (!values.length) [low, high] = [0, 1];
    if (low === high) [low, high] = [low - 1, high + 1];
    const { whole } = this.workshop.project.problem.metrics.find((metric) => metric.name === name);
    const value = (share) => low + share * (high - low);
    return {
      name,
      low,
      high,
      condition,
      share: (number) => (number - low) / (high - low),
      value: (share) => (whole ? Math.round(value(share)) : value(share)),
      step: whole ? Math.max(1 / (high - low), 0.02) : 0.04,
    };
  }

  #place([x, y]) {
    return [LEFT + x * (WIDTH - LEFT - EDGE), HEIGHT - BOTTOM - y * (HEIGHT - BOTTOM - EDGE)];
  }

  #draw() {
    const { entry, samples } = this.workshop.project;
    const [x, y] = (this.axes = [this.#axis(byId("range-x")), this.#axis(byId("range-y"))]);
    const found = new Map();
    for (const sample of samples) {
      const { metrics } = sample.entry;
      const shares = [x.share(metrics[x.name]), y.share(metrics[y.name])];
      const key = shares.join();
      if (!found.has(key)) found.set(key, { place: this.#place(shares), shares, samples: [] });
      found.get(key).samples.push(sample);
    }
    this.#dots = [...found.values()];
    const [left, bottom] = this.#place([0, 0]);
    const [right, top] = this.#place([1, 1]);
    const parts = [
      make("path", { class: "axes", d: `M${left} ${top}V${bottom}H${right}` }),
      text(left, HEIGHT - 8, "start", written(x.low)),
      text(right, HEIGHT - 8, "end", written(x.high)),
      text(left - 5, bottom, "end", written(y.low)),
      text(left - 5, top + 8, "end", written(y.high)),
    ];
    for (const dot of this.#dots) {
      const won = dot.samples.some((sample) => sample.entry.playable !== false);
      const r = Math.min(3.5 + 1.6 * Math.sqrt(dot.samples.length - 1), 10);
      parts.push(make("circle", { class: won ? "dot" : "dot lost", cx: dot.place[0], cy: dot.place[1], r }));
    }
    if (entry) {
      const [cx, cy] = this.#place([x.share(entry.metrics[x.name]), y.share(entry.metrics[y.name])]);
      parts.push(make("circle", { class: "here", cx, cy, r: 7.5 }));
    }
    if (this.#cross && document.activeElement === this.plot) {
      const [cx, cy] = this.#place(this.#cross);
      parts.push(make("path", { class: "cross", d: `M${left} ${cy}H${right}M${cx} ${top}V${bottom}` }));
    }
    this.plot.replaceChildren(...parts);
    const words = `${counted(samples.length, "sample")} by ${x.name} and ${y.name}`;
    this.plot.setAttribute("aria-label", `Expressive range: ${words}. Arrow keys move, Enter opens or asks for a level.`);
    byId("range-hint").textContent = this.#askable
      ? "Click a dot to open its level, or a free place to ask for one there. The ring is the level at hand."
      : "Click a dot to open its level. The ring is the level at hand.";
  }

  get #askable() {
    return this.axes.every(({ condition }) => condition);
  }

  /** Returns the dot near a place, if there is one; where nothing can be asked for, the nearest. */
  #near(shares) {
    const [x, y] = this.#place(shares);
    const far = ({ place }) => Math.hypot(place[0] - x, place[1] - y);
    const nearest = this.#dots.toSorted((one, other) => far(one) - far(other))[0];
    return nearest && (far(nearest) <= REACH || !this.#askable) ? nearest : null;
  }

  async #use(shares) {
    const dot = this.#near(shares);
    if (dot) {
      // Levels at the same place take turns.
      this.open(dot.samples[this.#turn++ % dot.samples.length]);
      return;
    }
    if (!this.#askable) return;
    const { targets } = this.workshop.project;
    this.axes.forEach((axis, i) => {
      const value = axis.value(shares[i]);
      targets.set(axis.name, Math.min(Math.max(value, axis.condition.low), axis.condition.high));
    });
    this.workshop.tell("targets");
    await this.generate();
  }

  #click(event) {
    const edges = this.plot.getBoundingClientRect();
    const x = ((event.clientX - edges.left) / edges.width) * WIDTH;
    const y = ((event.clientY - edges.top) / edges.height) * HEIGHT;
    const within = (share) => Math.min(Math.max(share, 0), 1);
    const shares = [
      within((x - LEFT) / (WIDTH - LEFT - EDGE)),
      within((HEIGHT - BOTTOM - y) / (HEIGHT - BOTTOM - EDGE)),
    ];
    this.#cross = shares;
    this.#use(shares);
  }

  #key(event) {
    const [x, y] = this.axes;
    const steps = {
      ArrowLeft: [-x.step, 0],
      ArrowRight: [x.step, 0],
      ArrowUp: [0, y.step],
      ArrowDown: [0, -y.step],
    };
    if (event.key in steps) {
      const within = (share) => Math.min(Math.max(share, 0), 1);
      this.#point(this.#cross.map((share, i) => within(share + steps[event.key][i])));
    } else if (event.key === "Enter" || event.key === " ") this.#use(this.#cross);
    else return;
    event.preventDefault();
  }

  /** Moves the cross, and says what is there. */
  #point(shares) {
    this.#cross = shares;
    this.#draw();
    const [x, y] = this.axes;
    const dot = this.#near(shares);
    const there = dot ? counted(dot.samples.length, "level") : "no level yet";
    const values = `${x.name} ${written(x.value(shares[0]))}, ${y.name} ${written(y.value(shares[1]))}`;
    this.workshop.say(`${values}: ${there}.`);
  }
}

function make(tag, attributes) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function text(x, y, anchor, words) {
  const made = make("text", { x, y, "text-anchor": anchor });
  made.textContent = words;
  return made;
}
