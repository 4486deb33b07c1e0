// Levels from generators: what is asked of them, and samples as the page keeps them.

import { named, post } from "./api.js";
import { fromNested, toNested } from "./grids.js";

/** What the page asks of a generator, as a link tells it: all that the levels depend on. */
export function wish(project, changes = {}) {
  const { generator, seed, count, playable, prompt, targets } = project;
  return { generator, seed, count, playable, prompt, targets: Object.fromEntries(targets), ...changes };
}

/**
 * Samples levels.
 *
 * `fixed` is null or has a tile or null for each cell, flat. Returns {samples, reply}; a sample is {level, entry,
 * origin}, its origin the wish and its place among what came.
 */
export async function sample(workshop, asked, fixed, signal) {
  const { generator, seed, count, playable, prompt, targets } = asked;
  const body = { count, seed, targets, fixed: fixed && toNested(workshop.project.shape, fixed), playable };
  if (prompt) body.prompt = prompt;
  const reply = await post(named("generators", generator, "sample"), body, signal);
  const samples = reply.levels.map((entry, place) => ({
    level: fromNested(entry.level),
    entry,
    // What was fixed stands in no link, so that such a level is told tile by tile.
    origin: fixed ? null : { ...asked, place },
  }));
  return { samples, reply };
}

/** Returns what stays while a level is made anew: its tiles, null where anything may come. */
export function kept(project, free) {
  return Array.from(project.level.tiles, (tile, cell) => (free(cell) ? null : tile));
}

/** Tells whether a generator makes levels of the shape that is being edited. */
export function fits(generator, project) {
  return generator.shape.join() === project.shape.join();
}

/** Returns generators or designers to choose from, as [name, what people call it]. */
export function choices(models) {
  return models.map(({ name, title }) => [name, title]);
}

/** Returns a random seed that people can still read out. */
export function anySeed() {
  return Math.floor(Math.random() * 1_000_000);
}
