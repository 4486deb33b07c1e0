// The suite's own sprites as the service draws them, laid on the floor and shaded like those of all its pictures.

import { getPicture, named } from "./api.js";

/** The sides in pixels of the sprites that are fetched; few, for they take the service seconds to draw. */
const SIDES = [32, 64, 128];
/** How far, how softly and how darkly walls throw their shadow to the lower right, in thirty-seconds of a tile. */
const RIGHT = 4;
const DOWN = 6.5;
const BLUR = 3;
const STRENGTH = 0.36;
const COLOUR = [46, 36, 66];
/** How many shades there are: 1 for a wall above, 2 to the left, 4 above to the left. The next row has no floor. */
const SHADES = 8;
/** Where sprites stand without the floor. */
export const ALONE = SHADES;

const sheets = new Map();
const waiting = new Set();

/** Calls a listener whenever sprites have come that were not there when something was drawn. */
export function onSprites(listener) {
  waiting.add(listener);
}

/**
 * Returns a problem's sprites, {picture, side}, in the size nearest to the one that is wanted of those that have come,
 * and sees to it that the right one comes; null at first. Sprites stand side by side, in rows from shade to shade.
 */
export function spritesOf(problem, size) {
  if (!sheets.has(problem.name)) sheets.set(problem.name, new Map());
  const known = sheets.get(problem.name);
  const side = SIDES.find((one) => one >= size) ?? SIDES.at(-1);
  if (!known.has(side)) {
    known.set(side, null);
    getPicture(named("problems", problem.name, `tiles.png?size=${side}`)).then(
      (picture) => {
        known.set(side, { picture: shaded(problem, picture, side), side });
        for (const listener of waiting) listener();
      },
      () => known.delete(side),
    );
  }
  const come = [...known.values()].filter((found) => found);
  return come.toSorted((one, other) => Math.abs(one.side - side) - Math.abs(other.side - side))[0] ?? null;
}

/** Returns sprites on the floor in every shade, and below them alone. */
function shaded(problem, sprites, side) {
  const sheet = new OffscreenCanvas(sprites.width, (SHADES + 1) * side);
  const context = sheet.getContext("2d");
  const floor = problem.sprites.lastIndexOf("floor") * side;
  for (let shade = 0; shade < SHADES; shade++) {
    const shadow = shadowOf(shade, side);
    for (const i of problem.sprites.keys()) {
      const place = [i * side, shade * side];
      context.drawImage(sprites, floor, 0, side, side, ...place, side, side);
      context.drawImage(sprites, i * side, 0, side, side, ...place, side, side);
      if (!problem.tall[i]) context.drawImage(shadow, ...place);
    }
  }
  context.drawImage(sprites, 0, ALONE * side);
  return sheet;
}

function shadowOf(shade, side) {
  const canvas = new OffscreenCanvas(side, side);
  const context = canvas.getContext("2d");
  const image = context.createImageData(side, side);
  const within = (value) => Math.min(Math.max(value, 0), 1);
  for (let y = 0; y < side; y++) {
    for (let x = 0; x < side; x++) {
      const left = within((RIGHT + BLUR - ((x + 0.5) * 32) / side) / (2 * BLUR));
      const top = within((DOWN + BLUR - ((y + 0.5) * 32) / side) / (2 * BLUR));
      const parts = [top * (1 - left), (1 - top) * left, top * left];
      const dark = parts.reduce((sum, part, bit) => sum + ((shade >> bit) & 1) * part, 0);
      image.data.set([...COLOUR, 255 * STRENGTH * dark], 4 * (y * side + x));
    }
  }
  context.putImageData(image, 0, 0);
  return canvas;
}
