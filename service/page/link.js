// Links that restore a level: what was asked of the generator or, for an edited level, the level itself, after "#".

import { byId } from "./elements.js";
import { pack, unpack } from "./grids.js";
import { interval } from "./targets.js";
import { sample, wish } from "./sampling.js";

/** How long the page waits after a change until the address follows, in milliseconds. */
const SETTLING = 150;

export class Link {
  #timer = 0;
  #known = "";

  constructor(workshop) {
    this.workshop = workshop;
    byId("copy-link").addEventListener("click", () => this.#copy());
    addEventListener("hashchange", async () => {
      const trouble = location.hash.slice(1) !== this.#known && (await this.restore());
      if (trouble) workshop.complain(trouble);
    });
    // The way to the canvas is no link to a level.
    document.querySelector(".skip").addEventListener("click", (event) => {
      event.preventDefault();
      byId("canvas").focus();
    });
    workshop.on("project generator level targets", () => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => this.write(), SETTLING);
    });
  }

  /** Returns what the link to the work at hand has after "#". */
  fragment() {
    const { project } = this.workshop;
    const asked = project.origin ?? wish(project);
    const parts = new URLSearchParams({ problem: project.problem.name, generator: asked.generator });
    parts.set("seed", asked.seed);
    parts.set("count", asked.count);
    parts.set("playable", Number(asked.playable));
    if (asked.prompt) parts.set("prompt", asked.prompt);
    for (const [metric, target] of Object.entries(asked.targets)) {
      const [low, high] = interval(target);
      parts.set(`ask.${metric}`, low === high ? low : `${low}..${high}`);
    }
    if (project.origin) parts.set("place", project.origin.place);
    else parts.set("level", pack(project.shape, project.level.tiles));
    if (project.anyLocked) parts.set("locked", pack(project.shape, project.locks));
    return parts.toString();
  }

  /** Brings the address up to date, so that loading the page again loses nothing. */
  write() {
    this.#known = this.fragment();
    history.replaceState(null, "", `#${this.#known}`);
  }

  async #copy() {
    this.write();
    try {
      await navigator.clipboard.writeText(location.href);
      this.workshop.say("The link is copied.");
    } catch {
      this.workshop.say("The browser does not let the page copy; the link stands in its address line.");
    }
  }

  /** Restores what the address says; returns null, or why it cannot, which is "" where the address says nothing. */
  async restore() {
    const { workshop } = this;
    const parts = new URLSearchParams(location.hash.slice(1));
    this.#known = location.hash.slice(1);
    const problem = workshop.problems.get(parts.get("problem"));
    if (!problem) return "";
    workshop.switchTo(problem.name);
    const { project } = workshop;
    this.#options(parts, project);
    const locked = parts.has("locked") ? unpack(parts.get("locked"), 2) : null;
    const locksFor = (level) => (locked?.tiles.length === level.tiles.length ? locked.tiles : null);
    if (parts.has("level")) {
      const level = unpack(parts.get("level"), problem.tiles.length);
      if (level?.shape.length !== problem.shape.length) return "The level in the link cannot be read.";
      project.start(level, { locks: locksFor(level) });
    } else if (parts.has("place")) {
      let chosen = null;
      await workshop.work("Sampling the level of the link…", async (signal) => {
        const { samples } = await sample(workshop, wish(project), null, signal);
        chosen = samples[Number(parts.get("place"))] ?? samples[0];
        project.addSamples(samples);
      });
      if (!chosen) return "What the link asks for yields no level.";
      project.start(chosen.level, { ...chosen, locks: locksFor(chosen.level) });
    } else {
      return "";
    }
    workshop.tell("project");
    return null;
  }

  #options(parts, project) {
    const { problem } = project;
    const number = (name) => (/^\d{1,9}$/.test(parts.get(name) ?? "") ? Number(parts.get(name)) : project[name]);
    const known = this.workshop.generatorsOf(problem.name).map(({ name }) => name);
    if (known.includes(parts.get("generator"))) project.generator = parts.get("generator");
    project.seed = number("seed");
    project.count = Math.min(Math.max(number("count"), 1), this.workshop.limits.count);
    project.playable = problem.playable && parts.get("playable") !== "0";
    project.prompt = parts.get("prompt") ?? "";
    project.targets = new Map();
    for (const [name, value] of parts) {
      const [low, high = low] = value.split("..").map(Number);
      if (!name.startsWith("ask.") || !Number.isFinite(low) || !Number.isFinite(high)) continue;
      project.targets.set(name.slice(4), low === high ? low : [low, high]);
    }
    project.prompted = new Set(project.prompt ? project.targets.keys() : []);
  }
}
