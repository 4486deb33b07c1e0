// The tile canvas: tools for the pointer and, with a cursor of its own, for the keyboard.

import { BoardView, thumbnail } from "./board.js";
import { byId, counted, element } from "./elements.js";
import { box, flood, lasso, line, moved, placeInWords } from "./grids.js";

const TOOLS = { paint: "p", erase: "e", fill: "f", lock: "l", box: "b", lasso: "s" };
const ARROWS = { ArrowUp: [0, -1, 0], ArrowDown: [0, 1, 0], ArrowLeft: [0, 0, -1], ArrowRight: [0, 0, 1] };
const STOREYS = { PageUp: [1, 0, 0], PageDown: [-1, 0, 0] };
/** The tile that erasing leaves: every problem names its empty one first. */
const EMPTY = 0;

export class Editor {
  #stroke = null;
  #anchor = null;
  #hover = -1;

  constructor(workshop, regenerate) {
    this.workshop = workshop;
    this.regenerate = regenerate;
    this.tile = 1;
    this.tool = "paint";
    this.cursor = 0;
    this.canvas = byId("canvas");
    this.view = new BoardView(this.canvas, (view, context) => this.#overlay(view, context));

    for (const input of document.querySelectorAll("input[name=tool]")) {
      input.addEventListener("change", () => this.choose(input.value));
    }
    byId("palette").addEventListener("change", (event) => this.pick(Number(event.target.value)));
    byId("zoom-in").addEventListener("click", () => this.#zoom(1));
    byId("zoom-out").addEventListener("click", () => this.#zoom(-1));
    byId("deselect").addEventListener("click", () => this.select(new Set()));
    const { canvas } = this;
    canvas.addEventListener("pointerdown", (event) => this.#press(event));
    canvas.addEventListener("pointermove", (event) => this.#drag(event));
    canvas.addEventListener("pointerup", (event) => this.#release(event));
    canvas.addEventListener("pointercancel", () => this.#abandon());
    canvas.addEventListener("pointerleave", () => this.#point(-1));
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("focus", () => this.#tell());
    canvas.addEventListener("blur", () => this.view.redraw());
    workshop.on("project", () => this.#open());
    workshop.on("level", () => this.#show());
    // Whoever gave another level meanwhile ended the stroke: it must not go on in that one.
    workshop.on("project level", () => (this.#stroke = null));
    workshop.on("selection", () => this.view.redraw());
  }

  get project() {
    return this.workshop.project;
  }

  // What is shown.

  #open() {
    const { problem } = this.project;
    this.pictures = problem.tiles.map((tile) => thumbnail(problem, { shape: [1, 1], tiles: [tile.id] }, 26));
    byId("palette-tiles").replaceChildren(
      ...problem.tiles.map((tile, i) => {
        const input = element("input", { type: "radio", name: "tile", value: String(i), className: "unseen" });
        const key = i < 9 ? ` (${i + 1})` : "";
        return element(
          "label",
          { className: "swatch", title: `${tile.name}${key}` },
          input,
          this.pictures[i].canvas,
          element("span", {}, tile.name),
        );
      }),
    );
    this.#take(Math.min(this.tile, problem.tiles.length - 1));
    this.#show();
  }

  /** Draws the palette again, when the sprites have come. */
  drawPalette() {
    for (const picture of this.pictures) picture.draw();
  }

  #show() {
    const { problem, level, shape } = this.project;
    this.cursor = Math.min(this.cursor, level.tiles.length - 1);
    const storeys = shape.length === 3 ? `${shape[0]} storeys of ` : "";
    const size = `${storeys}${shape.at(-2)} rows and ${shape.at(-1)} columns`;
    this.canvas.setAttribute("aria-label", `Tile canvas: ${problem.name} level of ${size}`);
    this.view.show(problem, shape, level.tiles);
  }

  #overlay(view, context) {
    const { locks, selection } = this.project;
    const { plan, size } = view;
    const frame = (cell, inset, colour, width) => {
      const [row, column] = plan.place(cell);
      context.strokeStyle = colour;
      context.lineWidth = width;
      const side = size - 2 * inset;
      context.strokeRect(column * size + inset, row * size + inset, side, side);
    };
    const thin = Math.max(1, Math.round(devicePixelRatio));
    context.fillStyle = "rgb(20 16 40 / 0.13)";
    if (size >= 8 * thin) {
      for (let cell = 0; cell < locks.length; cell++) {
        const [row, column] = plan.place(cell);
        context.fillRect(column * size, (row + 1) * size - thin, size, thin);
        context.fillRect((column + 1) * size - thin, row * size, thin, size);
      }
    }
    this.#drawSelection(context, plan, size, this.#stroke?.cells ?? selection, thin);
    locks.forEach((lock, cell) => lock && drawLock(context, plan.place(cell), size));
    if (this.#hover >= 0) frame(this.#hover, thin, "rgb(255 255 255 / 0.8)", thin);
    if (document.activeElement === this.canvas) {
      frame(this.cursor, 2 * thin, "#17151f", 4 * thin);
      frame(this.cursor, 2 * thin, "#ffd046", 2 * thin);
    }
  }

  #drawSelection(context, plan, size, cells, thin) {
    if (!cells.size) return;
    context.fillStyle = "rgb(92 190 245 / 0.28)";
    const edges = new Path2D();
    for (const cell of cells) {
      const [row, column] = plan.place(cell);
      const [left, top, right, bottom] = [column * size, row * size, (column + 1) * size, (row + 1) * size];
      context.fillRect(left, top, size, size);
      for (const [there, x0, y0, x1, y1] of [
        [plan.cell(row - 1, column), left, top, right, top],
        [plan.cell(row + 1, column), left, bottom, right, bottom],
        [plan.cell(row, column - 1), left, top, left, bottom],
        [plan.cell(row, column + 1), right, top, right, bottom],
      ]) {
        if (there >= 0 && cells.has(there)) continue;
        edges.moveTo(x0, y0);
        edges.lineTo(x1, y1);
      }
    }
    context.lineWidth = 3 * thin;
    context.strokeStyle = "#12324a";
    context.stroke(edges);
    context.lineWidth = 2 * thin;
    context.strokeStyle = "#8fdcff";
    context.setLineDash([5 * thin, 4 * thin]);
    context.stroke(edges);
    context.setLineDash([]);
  }

  #zoom(steps) {
    this.view.zoom = Math.min(Math.max(this.view.zoom + steps, -4), 6);
    this.view.fit();
  }

  // Tools.

  choose(tool) {
    this.tool = tool;
    this.#anchor = null;
    for (const input of document.querySelectorAll("input[name=tool]")) input.checked = input.value === tool;
    this.workshop.say(`Tool: ${tool}.`);
  }

  /** Takes a tile for the brush. */
  pick(tile) {
    const { tiles } = this.project.problem;
    if (!tiles[tile]) return;
    this.#take(tile);
    if (this.tool === "erase") this.choose("paint");
    this.workshop.say(`Brush: ${tiles[tile].name}.`);
  }

  #take(tile) {
    this.tile = tile;
    document.querySelector(`input[name=tile][value="${tile}"]`).checked = true;
  }

  select(cells) {
    this.project.selection = cells;
    this.workshop.tell("selection");
    this.workshop.say(cells.size ? `${counted(cells.size, "cell")} selected.` : "Nothing is selected.");
  }

  /** Says where the cursor is, and what is there. */
  #tell() {
    const { problem, level, locks, selection, shape } = this.project;
    const words = [placeInWords(shape, this.cursor), problem.tiles[level.tiles[this.cursor]].name];
    if (locks[this.cursor]) words.push("locked");
    if (selection.has(this.cursor)) words.push("selected");
    this.workshop.say(`${words[0][0].toUpperCase()}${words.join(", ").slice(1)}`);
    this.view.redraw();
  }

  #begin(tool, cell) {
    const { project } = this;
    const words = { paint: "paint", erase: "erase", fill: "fill", lock: project.locks[cell] ? "unlock" : "lock" }[tool];
    if (words) project.begin(words);
    this.#stroke = { tool, first: cell, lock: project.locks[cell] ? 0 : 1, refused: false };
  }

  /** Applies the tool of the stroke to cells; what is locked stays. */
  #apply(cells) {
    const { tool, lock } = this.#stroke;
    const { level, locks } = this.project;
    for (const cell of cells) {
      if (tool === "lock") locks[cell] = lock;
      else if (locks[cell]) this.#stroke.refused = true;
      else level.tiles[cell] = tool === "erase" ? EMPTY : this.tile;
    }
    this.#show();
  }

  #finish() {
    const { refused } = this.#stroke;
    this.#stroke = null;
    if (this.project.finish()) this.workshop.tell("level");
    if (refused) this.workshop.say("Locked tiles stay as they are; unlock them first (L).");
  }

  // The pointer.

  #press(event) {
    if (event.button !== 0 || this.#stroke) return;
    const at = this.view.at(event);
    const cell = this.view.plan.cell(...at.map(Math.floor));
    if (cell < 0) return;
    this.cursor = cell;
    if (event.altKey) {
      this.pick(this.project.level.tiles[cell]);
      return;
    }
    this.canvas.setPointerCapture(event.pointerId);
    this.#begin(this.tool, cell);
    this.#stroke.points = [at];
    this.#stroke.added = event.shiftKey ? this.project.selection : new Set();
    if (this.tool === "fill") this.#apply(flood(this.project.level, cell));
    else this.#drag(event);
  }

  #drag(event) {
    const at = this.view.at(event);
    this.#point(event.pointerType === "touch" ? -1 : this.view.plan.cell(...at.map(Math.floor)));
    const stroke = this.#stroke;
    if (!stroke) return;
    const { plan } = this.view;
    const last = stroke.points.at(-1);
    stroke.points.push(at);
    if (["paint", "erase", "lock"].includes(stroke.tool)) {
      this.#apply(line(plan, last, at));
    } else if (stroke.tool === "lasso") {
      const cells = lasso(plan, stroke.points, this.project.locks.length);
      stroke.cells = new Set([...stroke.added, ...cells]);
    } else if (stroke.tool === "box") {
      stroke.corner = plan.cell(...at.map(Math.floor)) < 0 ? stroke.corner : plan.cell(...at.map(Math.floor));
      stroke.cells = new Set([...stroke.added, ...box(this.project.shape, stroke.first, stroke.corner)]);
    }
    this.view.redraw();
  }

  #release() {
    const stroke = this.#stroke;
    if (!stroke) return;
    if (stroke.cells) {
      this.#stroke = null;
      this.select(stroke.cells);
    } else {
      this.#finish();
    }
  }

  #abandon() {
    if (this.#stroke?.cells) this.#stroke = null;
    else if (this.#stroke) this.#finish();
    this.view.redraw();
  }

  #point(cell) {
    if (cell === this.#hover) return;
    this.#hover = cell;
    this.view.redraw();
  }

  // The keyboard.

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const step = ARROWS[event.key] ?? (this.project.shape.length === 3 && STOREYS[event.key]);
    const tool = Object.keys(TOOLS).find((name) => TOOLS[name] === event.key.toLowerCase());
    if (step) this.#move(step, event.shiftKey);
    else if (event.key === "Home" || event.key === "End") {
      this.#move([0, 0, event.key === "Home" ? -this.project.shape.at(-1) : this.project.shape.at(-1)], event.shiftKey);
    } else if (event.key === " " || event.key === "Enter") this.#use();
    else if (tool) this.choose(tool);
    else if (/^[1-9]$/.test(event.key)) this.pick(Number(event.key) - 1);
    else if (event.key === "i") this.pick(this.project.level.tiles[this.cursor]);
    else if (event.key === "r") this.regenerate();
    else if (event.key === "Escape") this.workshop.cancel() || this.select(new Set());
    else if (["+", "=", "-"].includes(event.key)) this.#zoom(event.key === "-" ? -1 : 1);
    else return;
    event.preventDefault();
  }

  /** Moves the cursor; while shift is held, what it passes is selected as a box. */
  #move(step, selecting) {
    const { shape } = this.project;
    const from = this.cursor;
    this.cursor = moved(shape, from, step);
    if (selecting) {
      this.#anchor ??= from;
      this.project.selection = new Set(box(shape, this.#anchor, this.cursor));
      this.workshop.tell("selection");
    } else {
      this.#anchor = null;
    }
    this.view.reveal(...this.view.plan.place(this.cursor));
    this.#tell();
  }

  /** Uses the tool where the cursor is. */
  #use() {
    const { tool, cursor } = this;
    if (tool === "box" || tool === "lasso") {
      const cells = new Set(this.project.selection);
      if (!cells.delete(cursor)) cells.add(cursor);
      this.select(cells);
      return;
    }
    this.#begin(tool, cursor);
    this.#apply(tool === "fill" ? flood(this.project.level, cursor) : [cursor]);
    const { refused } = this.#stroke;
    this.#finish();
    if (!refused) this.#tell();
  }
}

function drawLock(context, [row, column], size) {
  const unit = size / 32;
  context.save();
  context.translate((column + 1) * size - 13 * unit, (row + 1) * size - 15 * unit);
  context.scale(unit, unit);
  context.lineWidth = 2.5;
  context.strokeStyle = "#17151f";
  context.fillStyle = "#ffd046";
  context.beginPath();
  context.arc(5.5, 5.5, 3, Math.PI, 0);
  context.stroke();
  context.beginPath();
  context.roundRect(0.5, 5, 10, 8, 1.5);
  context.lineWidth = 1.5;
  context.fill();
  context.stroke();
  context.restore();
}
