// Two generators side by side: equal orders, their levels, and what became of them on average.

import { thumbnail } from "./board.js";
import { byId, element, fillSelect, written } from "./elements.js";
import { difference } from "./grids.js";
import { mark, told } from "./gallery.js";
import { choices, sample, wish } from "./sampling.js";
import { interval, inWords } from "./targets.js";
import { onSprites } from "./sprites.js";

const SIDES = ["a", "b"];

export class Compare {
  #results = new Map();
  #pictures = [];

  constructor(workshop, open) {
    this.workshop = workshop;
    this.open = open;
    byId("compare-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.run();
    });
    workshop.on("project", () => this.#choose());
    onSprites(() => this.#pictures.forEach(({ draw }) => draw()));
  }

  #choose() {
    const { project } = this.workshop;
    const options = choices(this.workshop.generatorsOf(project.problem.name));
    const [other] = options.find(([name]) => name !== project.generator) ?? options[0];
    fillSelect(byId("compare-a"), options, project.generator);
    fillSelect(byId("compare-b"), options, other);
    this.#results.clear();
    this.#show();
  }

  /** Gives both generators the same order. */
  async run() {
    const { workshop } = this;
    const { count } = workshop.project;
    await workshop.work("Sampling from both…", async (signal) => {
      const results = await Promise.all(
        SIDES.map((side) => {
          const generator = byId(`compare-${side}`).value;
          const asked = wish(workshop.project, { count, generator, playable: false });
          return sample(workshop, asked, null, signal).then((result) => ({ ...result, asked }));
        }),
      );
      this.#results = new Map(results.map((result, i) => [SIDES[i], result]));
      this.#show();
      workshop.say(`Compared ${results.map((result) => this.#title(result)).join(" and ")}.`);
    });
  }

  /** Returns what people call the generator of a result. */
  #title({ asked }) {
    return this.workshop.generators.find(({ name }) => name === asked.generator).title;
  }

  #show() {
    const { problem } = this.workshop.project;
    this.#pictures = [];
    for (const side of SIDES) {
      const samples = this.#results.get(side)?.samples ?? [];
      byId(`levels-${side}`).replaceChildren(
        ...samples.map((sample, i) => {
          const picture = thumbnail(problem, sample.level, 104);
          this.#pictures.push(picture);
          const label = `${this.#title(this.#results.get(side))}, level ${i + 1}: ${told(sample.entry, problem)}. Edit it.`;
          return element(
            "button",
            { type: "button", className: "level", "aria-label": label, onclick: () => this.open(sample) },
            picture.canvas,
            mark(sample.entry),
          );
        }),
      );
    }
    const both = SIDES.map((side) => this.#results.get(side));
    byId("compare-table").hidden = byId("compare-note").hidden = !this.#results.size;
    if (!this.#results.size) return;
    byId("compare-heads").replaceChildren(
      element("td", {}),
      ...both.map((result) => element("th", { scope: "col" }, this.#title(result))),
    );
    const rows = [
      ["can be won", ({ samples }) => percent(samples.filter(({ entry }) => entry.playable).length / samples.length)],
      ["quality", ({ samples }) => mean(samples.map(({ entry }) => entry.quality)).toFixed(2)],
      ["variety", ({ samples }) => percent(variety(samples.map(({ level }) => level)))],
      ["raw samples a level", ({ samples, reply }) => written(reply.tried / samples.length, 2)],
      ["milliseconds a level", ({ samples, reply }) => written((reply.seconds * 1000) / samples.length)],
      ...problem.metrics.map(({ name }) => [name, (result) => average(name, result)]),
    ];
    byId("compare-rows").replaceChildren(
      ...rows.map(([name, value]) =>
        element(
          "tr",
          {},
          element("th", { scope: "row" }, name),
          ...both.map((result) => element("td", {}, value(result))),
        ),
      ),
    );
  }
}

/** Returns the mean of a metric and, where it was asked for, what was. */
function average(name, { samples, asked }) {
  const got = written(mean(samples.map(({ entry }) => entry.metrics[name])));
  const target = asked.targets[name];
  return target === undefined ? got : `${got} (asked ${inWords(...interval(target))})`;
}

function mean(values) {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

function percent(share) {
  return `${written(share * 100, 0)} %`;
}

/** Returns the mean share of tiles in which two of the levels differ. */
function variety(levels) {
  const pairs = levels.flatMap((level, i) => levels.slice(i + 1).map((other) => difference(level, other)));
  return pairs.length ? mean(pairs) : 0;
}
