// What levels are asked for and what they have: a row for each metric.

import { byId, element, written } from "./elements.js";

export class Metrics {
  #rows = new Map();

  constructor(workshop) {
    this.workshop = workshop;
    workshop.on("project generator", () => this.#build());
    workshop.on("targets entry", () => this.#show());
  }

  #build() {
    const { project, generator } = this.workshop;
    this.#rows.clear();
    for (const metric of project.problem.metrics) {
      const condition = generator.conditions.find(({ name }) => name === metric.name);
      this.#rows.set(metric.name, condition ? this.#slider(metric, condition) : plainRow(metric));
    }
    byId("metrics").replaceChildren(...[...this.#rows.values()].map(({ item }) => item));
    byId("metric-words").replaceChildren(
      ...project.problem.metrics.flatMap(({ name, words }) => [
        element("dt", {}, name),
        element("dd", {}, `${words}.`),
      ]),
    );
    byId("no-targets").hidden = generator.conditions.length > 0;
    this.#show();
  }

  #slider(metric, condition) {
    const ask = (value) => {
      const { project } = this.workshop;
      if (value === null) project.targets.delete(metric.name);
      else project.targets.set(metric.name, value);
      if (project.prompted.has(metric.name)) {
        project.forgetPrompt();
        this.workshop.say("What the words ask for was changed by hand: the targets alone are asked for.");
      }
      this.workshop.tell("targets");
    };
    const step = metric.whole ? 1 : "any";
    const range = element("input", {
      type: "range",
      "aria-label": `${metric.name} to ask for`,
      oninput: () => ask(Number(range.value)),
    });
    Object.assign(range, { min: condition.low, max: condition.high, step });
    range.value = (condition.low + condition.high) / 2;
    const check = element("input", {
      type: "checkbox",
      onchange: () => ask(check.checked ? Number(range.value) : null),
    });
    const asked = element("span", { className: "asked" });
    const got = element("span", { className: "got" });
    const tick = element("span", { className: "tick", hidden: true, "aria-hidden": "true" });
    const item = element(
      "li",
      { className: "metric askable", title: metric.words },
      element("label", { className: "check" }, check, metric.name),
      element("span", { className: "values" }, asked, got),
      element("span", { className: "track" }, range, tick),
    );
    return { item, metric, condition, range, check, asked, got, tick };
  }

  #show() {
    const { entry, targets } = this.workshop.project;
    for (const row of this.#rows.values()) {
      const value = entry?.metrics[row.metric.name];
      (row.range ? showSlider : showPlain)(row, targets.get(row.metric.name), value);
    }
    byId("quality").textContent = entry ? `Quality ${entry.quality.toFixed(2)}` : "";
  }
}

function plainRow(metric) {
  const got = element("span", { className: "got" });
  const asked = element("span", { className: "asked" });
  const item = element(
    "li",
    { className: "metric", title: metric.words },
    element("span", { className: "name" }, metric.name),
    element("span", { className: "values" }, asked, got),
  );
  return { item, metric, asked, got };
}

function showSlider(row, target, value) {
  const { item, condition, range, check, asked, got, tick } = row;
  const on = target !== undefined;
  const [low, high] = on ? interval(target) : [0, 0];
  const share = (number) => (number - condition.low) / (condition.high - condition.low || 1);
  check.checked = on;
  if (on) range.value = (low + high) / 2;
  range.setAttribute("aria-valuetext", `${written(Number(range.value))}${on ? "" : ", not asked for"}`);
  item.classList.toggle("on", on);
  item.style.setProperty("--from", on ? Math.max(share(low), 0) : 0);
  item.style.setProperty("--to", on ? Math.min(share(high), 1) : 0);
  asked.textContent = on ? `asked ${inWords(low, high)}` : "";
  tick.hidden = value === undefined;
  item.style.setProperty("--got", value === undefined ? 0 : Math.min(Math.max(share(value), 0), 1));
  showGot(got, value, on ? [low, high] : null);
}

/** Shows a metric that the generator cannot be told; what is asked of it all the same goes before what the problem wants. */
function showPlain({ metric, asked, got }, target, value) {
  const on = target !== undefined;
  const ends = on ? interval(target) : metric.target;
  asked.textContent = on ? `asked ${inWords(...ends)}` : aim(metric);
  showGot(got, value, on || finite(metric) ? ends : null);
}

/** Shows what a level has and, where something was asked for, by how much it is off. */
function showGot(got, value, wanted) {
  got.classList.remove("met", "missed");
  if (value === undefined) {
    got.textContent = "…";
    return;
  }
  const off = wanted ? Math.max(value - wanted[1], 0) - Math.max(wanted[0] - value, 0) : 0;
  const gap = off ? ` (${off > 0 ? "+" : "−"}${written(Math.abs(off))})` : "";
  got.textContent = `got ${written(value)}${gap}${wanted && !off ? " ✓" : ""}`;
  if (wanted) got.classList.add(off ? "missed" : "met");
}

/** Returns the lowest and the highest value that a target allows. */
export function interval(target) {
  return Array.isArray(target) ? target : [target, target];
}

/** Returns an interval as a few characters. */
export function inWords(low, high) {
  return low === high ? written(low) : `${written(low)}–${written(high)}`;
}

/** Tells whether what a problem wants of a metric is more than its greatest value. */
function finite({ high, target }) {
  return target[0] < high;
}

/** Returns what a problem wants of a metric. */
function aim(metric) {
  const [low, high] = metric.target;
  if (!finite(metric)) return "the more the better";
  if (high >= metric.high) return `at least ${written(low)}`;
  return low <= metric.low && low < high ? `at most ${written(high)}` : inWords(low, high);
}
