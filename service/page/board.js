// Drawing levels and games on canvases, with the suite's own sprites.

import { layout } from "./grids.js";
import { ALONE, onSprites, spritesOf } from "./sprites.js";

/** Below so many pixels tiles are drawn in their plain colours. */
const LEAST = 6;

/**
 * Draws a board: sprites' numbers, flat, for each cell.
 *
 * @param {number} size the side of a tile in pixels of the canvas
 * @param {{sprite: number, row: number, column: number, mirrored: boolean}[]} actors what stands between cells
 */
export function drawBoard(context, problem, plan, board, size, actors = []) {
  const sprites = size < LEAST ? null : spritesOf(problem, size);
  context.imageSmoothingQuality = "high";
  const tall = (row, column) => {
    const cell = plan.cell(row, column);
    return cell >= 0 && problem.tall[board[cell]];
  };
  for (let cell = 0; cell < board.length; cell++) {
    const [row, column] = plan.place(cell);
    if (sprites) {
      const shade = tall(row - 1, column) + 2 * tall(row, column - 1) + 4 * tall(row - 1, column - 1);
      const { picture, side } = sprites;
      context.drawImage(picture, board[cell] * side, shade * side, side, side, column * size, row * size, size, size);
    } else {
      context.fillStyle = (problem.tiles[board[cell]] ?? problem.tiles[0]).colour;
      context.fillRect(column * size, row * size, size, size);
    }
  }
  if (!sprites) return;
  // The player, who comes first, is drawn last, so that nothing hides it.
  for (const { sprite, row, column, mirrored } of actors.toReversed()) {
    context.save();
    context.translate(Math.round(column * size) + (mirrored ? size : 0), Math.round(row * size));
    if (mirrored) context.scale(-1, 1);
    const { picture, side } = sprites;
    context.drawImage(picture, sprite * side, ALONE * side, side, side, 0, 0, size, size);
    context.restore();
  }
}

/** Returns a small picture of a level, no wider and no higher than so many pixels of the page. */
export function thumbnail(problem, level, most) {
  const plan = layout(level.shape);
  const density = devicePixelRatio;
  const canvas = document.createElement("canvas");
  const size = Math.max(1, Math.floor((most * density) / Math.max(plan.rows, plan.columns)));
  canvas.width = plan.columns * size;
  canvas.height = plan.rows * size;
  canvas.style.width = `${canvas.width / density}px`;
  const draw = () => drawBoard(canvas.getContext("2d"), problem, plan, level.tiles, size);
  draw();
  return { canvas, draw };
}

/** A canvas that shows boards of a problem as large as its frame allows. */
export class BoardView {
  #frame;
  #shape = null;
  #wanted = null;
  #pending = false;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {(view: BoardView, context: CanvasRenderingContext2D) => void} overlay draws over the board
   */
  constructor(canvas, overlay = () => {}) {
    this.canvas = canvas;
    this.overlay = overlay;
    this.zoom = 0;
    this.board = null;
    this.#frame = canvas.parentElement;
    new ResizeObserver(() => this.fit()).observe(this.#frame);
    onSprites(() => this.redraw());
  }

  /** Shows a board: {board, actors}. */
  show(problem, shape, board, actors = []) {
    Object.assign(this, { problem, board, actors });
    if (this.#shape?.join() !== shape.join()) {
      this.#shape = shape;
      this.plan = layout(shape);
      this.zoom = 0;
      this.fit();
    } else {
      this.redraw();
    }
  }

  /** Chooses the size of tiles: as large as the frame allows, times 1.25 for each step of zoom. */
  fit() {
    if (!this.board || !this.#frame.clientWidth) return;
    const style = getComputedStyle(this.#frame);
    const room = this.#frame.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    const most = parseFloat(style.getPropertyValue("--most-height")) || 100;
    const height = Math.max(220, (innerHeight * most) / 100);
    const fitting = Math.min(room / this.plan.columns, height / this.plan.rows, 80);
    // Wide levels are scrolled rather than drawn too small to be painted on.
    const size = Math.max(fitting, Math.min(height / this.plan.rows, 20)) * 1.25 ** this.zoom;
    this.#wanted = Math.floor(Math.min(Math.max(size * devicePixelRatio, 4), 192));
    this.redraw();
  }

  /** The side of a tile in pixels of the canvas. */
  get size() {
    return this.#wanted;
  }

  /** Draws soon, once for all that has changed until then. */
  redraw() {
    if (this.#pending || !this.board) return;
    this.#pending = true;
    requestAnimationFrame(() => {
      this.#pending = false;
      this.#draw();
    });
  }

  #draw() {
    if (!this.size) return;
    const { canvas, plan, size } = this;
    if (canvas.width !== plan.columns * size || canvas.height !== plan.rows * size) {
      canvas.width = plan.columns * size;
      canvas.height = plan.rows * size;
      canvas.style.width = `${canvas.width / devicePixelRatio}px`;
      canvas.style.height = `${canvas.height / devicePixelRatio}px`;
    }
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    drawBoard(context, this.problem, plan, this.board, size, this.actors);
    this.overlay(this, context);
  }

  /** Returns where a pointer is, [row, column] in cells with parts of them. */
  at(event) {
    const side = this.size / devicePixelRatio;
    const edges = this.canvas.getBoundingClientRect();
    return [(event.clientY - edges.top) / side, (event.clientX - edges.left) / side];
  }

  /** Scrolls the frame so that a place, in cells on the screen, is well in it. */
  reveal(row, column) {
    const side = this.size / devicePixelRatio;
    const frame = this.#frame;
    for (const [at, start, size] of [
      [column * side, "scrollLeft", frame.clientWidth],
      [row * side, "scrollTop", frame.clientHeight],
    ]) {
      const margin = Math.min(3 * side, size / 3);
      if (at < frame[start] + margin) frame[start] = at - margin;
      else if (at + side > frame[start] + size - margin) frame[start] = at + side + margin - size;
    }
  }
}
