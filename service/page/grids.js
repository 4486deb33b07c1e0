// Levels as the page holds them: {shape, tiles}, the tiles flat, row by row and storey by storey from the lowest up.

/** Returns a level of one tile. */
export function blank(shape, tile = 0) {
  return { shape, tiles: new Uint8Array(cells(shape)).fill(tile) };
}

/** Returns how many cells a shape has. */
export function cells(shape) {
  return shape.reduce((product, size) => product * size, 1);
}

/** Returns the level that nested lists describe. */
export function fromNested(nested) {
  const shape = [];
  for (let part = nested; Array.isArray(part); part = part[0]) shape.push(part.length);
  return { shape, tiles: Uint8Array.from(nested.flat(shape.length)) };
}

/** Returns values, one for each cell, as nested lists. */
export function toNested(shape, values) {
  let parts = Array.from(values);
  for (const size of shape.slice(1).reverse()) {
    parts = Array.from({ length: parts.length / size }, (_, i) => parts.slice(i * size, (i + 1) * size));
  }
  return parts;
}

/** Tells whether two levels are the same. */
export function same(one, other) {
  return one.shape.join() === other.shape.join() && one.tiles.every((tile, i) => tile === other.tiles[i]);
}

/** Returns the share of cells in which two levels differ; 1 for levels of different shapes. */
export function difference(one, other) {
  if (one.tiles.length !== other.tiles.length) return 1;
  let differing = 0;
  for (let i = 0; i < one.tiles.length; i++) if (one.tiles[i] !== other.tiles[i]) differing++;
  return differing / one.tiles.length;
}

/**
 * Returns how levels lie on the screen: storeys side by side, a gap of one cell between them; a flat level is one
 * storey. `place(cell)` gives the [row, column] of a cell, `cell(row, column)` the cell there, -1 where there is none.
 */
export function layout(shape) {
  const [height, width] = shape.slice(-2);
  const depth = shape.length === 3 ? shape[0] : 1;
  const across = Math.ceil(Math.sqrt(depth));
  const plan = height * width;
  return {
    rows: Math.ceil(depth / across) * (height + 1) - 1,
    columns: across * (width + 1) - 1,
    place(cell) {
      const storey = Math.floor(cell / plan);
      return [
        Math.floor(storey / across) * (height + 1) + Math.floor((cell % plan) / width),
        (storey % across) * (width + 1) + (cell % width),
      ];
    },
    cell(row, column) {
      const storey = Math.floor(row / (height + 1)) * across + Math.floor(column / (width + 1));
      const [y, x] = [row % (height + 1), column % (width + 1)];
      const inside = row >= 0 && column >= 0 && y < height && x < width && storey < depth && column < this.columns;
      return inside ? storey * plan + y * width + x : -1;
    },
  };
}

/** Returns the cell that lies so many storeys, rows and columns away, or the last one on the way there. */
export function moved(shape, cell, [storeys, rows, columns]) {
  const [height, width] = shape.slice(-2);
  const within = (value, size) => Math.min(Math.max(value, 0), size - 1);
  const x = within((cell % width) + columns, width);
  const y = within((Math.floor(cell / width) % height) + rows, height);
  const z = within(Math.floor(cell / (width * height)) + storeys, shape.length === 3 ? shape[0] : 1);
  return (z * height + y) * width + x;
}

/** Returns where a cell is, in words, counted from 1. */
export function placeInWords(shape, cell) {
  const [height, width] = shape.slice(-2);
  const words = `row ${(Math.floor(cell / width) % height) + 1}, column ${(cell % width) + 1}`;
  return shape.length === 3 ? `storey ${Math.floor(cell / (width * height)) + 1}, ${words}` : words;
}

/** Returns the cells of the box that two cells span. */
export function box(shape, one, other) {
  const [height, width] = shape.slice(-2);
  const span = (a, b) => [Math.min(a, b), Math.max(a, b)];
  const [left, right] = span(one % width, other % width);
  const [top, bottom] = span(Math.floor(one / width) % height, Math.floor(other / width) % height);
  const [low, high] = span(Math.floor(one / (width * height)), Math.floor(other / (width * height)));
  const found = [];
  for (let z = low; z <= high; z++)
    for (let y = top; y <= bottom; y++) for (let x = left; x <= right; x++) found.push((z * height + y) * width + x);
  return found;
}

/** Returns the cells that a straight line passes through, given two [row, column] in cells on the screen. */
export function line(plan, [row, column], [toRow, toColumn]) {
  const steps = Math.max(1, Math.ceil(4 * Math.max(Math.abs(toRow - row), Math.abs(toColumn - column))));
  const found = new Set();
  for (let i = 0; i <= steps; i++) {
    const cell = plan.cell(
      Math.floor(row + ((toRow - row) * i) / steps),
      Math.floor(column + ((toColumn - column) * i) / steps),
    );
    if (cell >= 0) found.add(cell);
  }
  return found;
}

/** Returns the cells within a closed line, [row, column] in cells on the screen each, and those that it touches. */
export function lasso(plan, points, count) {
  const found = new Set();
  points.forEach((point, i) => {
    for (const cell of line(plan, points[i - 1] ?? point, point)) found.add(cell);
  });
  for (let cell = 0; cell < count; cell++) {
    const [row, column] = plan.place(cell).map((value) => value + 0.5);
    let inside = false;
    points.forEach(([y, x], i) => {
      const [y0, x0] = points.at(i - 1);
      if (y > row !== y0 > row && column < ((x0 - x) * (row - y)) / (y0 - y) + x) inside = !inside;
    });
    if (inside) found.add(cell);
  }
  return found;
}

/** Returns the cells around a cell that are joined to it by cells of the same tile in its storey. */
export function flood(level, start) {
  const found = new Set([start]);
  for (const cell of found) {
    for (const step of [[0, -1, 0], [0, 1, 0], [0, 0, -1], [0, 0, 1]]) {
      const next = moved(level.shape, cell, step);
      if (level.tiles[next] === level.tiles[start]) found.add(next);
    }
  }
  return found;
}

// What a link may say is a level has at most so many cells.
const MOST_CELLS = 65536;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/** Returns values below 52, one for each cell, as a short text: "7x11.B12A3…", a letter and how often it follows. */
export function pack(shape, values) {
  let text = `${shape.join("x")}.`;
  for (let i = 0, next; i < values.length; i = next) {
    for (next = i + 1; next < values.length && values[next] === values[i]; ) next++;
    text += LETTERS[values[i]] + (next - i > 1 ? next - i : "");
  }
  return text;
}

/** Returns the {shape, tiles} that `pack` wrote, or null where the text is no such thing; values are below `limit`. */
export function unpack(text, limit) {
  const parts = /^(\d{1,5}(?:x\d{1,5}){1,2})\.((?:[A-Za-z]\d{0,7})+)$/.exec(text);
  if (!parts) return null;
  const shape = parts[1].split("x").map(Number);
  if (cells(shape) > MOST_CELLS) return null;
  const tiles = new Uint8Array(cells(shape));
  let filled = 0;
  for (const [, letter, times] of parts[2].matchAll(/([A-Za-z])(\d*)/g)) {
    const value = LETTERS.indexOf(letter);
    const end = filled + (times ? Number(times) : 1);
    if (value >= limit || end > tiles.length) return null;
    tiles.fill(value, filled, end);
    filled = end;
  }
  return filled === tiles.length && filled ? { shape, tiles } : null;
}
