// Playing the level with the keyboard, and the solver's solution as an animation that one can take over.

import { named, post } from "./api.js";
import { BoardView } from "./board.js";
import { byId, counted, element } from "./elements.js";
import { length } from "./gallery.js";
import { toNested } from "./grids.js";
import { Timeline } from "./timeline.js";

/** Keys by the names that rules of play give them, where a browser names them otherwise. */
const KEYS = { arrowup: "up", arrowdown: "down", arrowleft: "left", arrowright: "right", " ": "space", enter: "return" };
/** How many ticks may wait for the service, in games that run by themselves. */
const MOST_WAITING = 60;

export class Game {
  #level = null;
  #moves = [];
  #frames = [];
  #queue = [];
  #sending = false;
  /** Counts the games, so that answers to one that was left are not taken for the present one's. */
  #round = 0;
  #held = new Set();
  #clock = 0;
  /** "Won" or "Lost" once the game is. */
  #over = "";

  constructor(workshop) {
    this.workshop = workshop;
    this.canvas = byId("game");
    this.view = new BoardView(this.canvas);
    this.timeline = new Timeline(byId("game-timeline"), "move", (index) => this.#show(index));
    this.canvas.addEventListener("keydown", (event) => this.#key(event));
    this.canvas.addEventListener("keyup", (event) => this.#held.delete(this.#buttons[keyName(event)]));
    this.canvas.addEventListener("blur", () => this.#held.clear());
    byId("game-restart").addEventListener("click", () => this.begin());
    byId("game-undo").addEventListener("click", () => this.undo());
    byId("game-solution").addEventListener("click", () => this.solve());
    workshop.on("project", () => this.#open());
    workshop.on("project level", () => this.open && this.begin());
  }

  get #problem() {
    return this.workshop.project.problem;
  }

  /** The action or, in games that run by themselves, the button of each key. */
  get #buttons() {
    return Object.fromEntries(
      Object.entries(this.#problem.keys).flatMap(([name, keys]) => keys.map((key) => [key, name])),
    );
  }

  /** Whether the panel is being looked at. */
  get open() {
    return !byId("panel-play").hidden;
  }

  #open() {
    this.#label(0);
    const { keys, rules, ticks_per_second: ticks } = this.#problem;
    byId("game-words").textContent = rules;
    byId("game-buttons").replaceChildren(
      ...Object.entries(keys).map(([name, [key]]) => {
        const button = element(
          "button",
          { type: "button", "aria-label": name },
          element("span", {}, name.replace("-", " ")),
          element("kbd", { "aria-hidden": "true" }, keySign(key)),
        );
        if (ticks) {
          button.addEventListener("pointerdown", () => this.#hold(name));
          for (const end of ["pointerup", "pointerleave"]) button.addEventListener(end, () => this.#held.delete(name));
        }
        button.addEventListener("click", () => (ticks ? this.#tap(name) : this.#act(name)));
        return button;
      }),
    );
    this.timeline.rate = ticks || 6;
    byId("game-undo").hidden = ticks > 0;
  }

  /** Begins the level, or begins it again, with a list of moves to be shown. */
  async begin(moves = []) {
    const { problem, shape, level } = this.workshop.project;
    const round = ++this.#round;
    this.#stop();
    this.#level = toNested(shape, level.tiles);
    this.#moves = [];
    this.#queue = [];
    this.#frames = [];
    this.#sending = false;
    this.#over = "";
    byId("game-outcome").textContent = "";
    this.timeline.load(0);
    this.view.show(problem, shape, level.tiles);
    await this.#play(moves, 0);
    if (round !== this.#round) return;
    this.timeline.load(this.#frames.length, { play: moves.length > 0 });
    // Keys that were pressed too early.
    this.#send();
  }

  /** Shows how the solver wins the level. */
  async solve() {
    const { project } = this.workshop;
    const { level } = project;
    let solution = project.entry?.solution;
    if (!solution) {
      await this.workshop.work("Looking for a solution…", async (signal) => {
        const body = { level: toNested(level.shape, level.tiles), seconds: this.workshop.limits.seconds };
        const found = await post(named("problems", this.#problem.name, "solve"), body, signal);
        solution = found.solution;
        if (solution) return;
        this.workshop.say(
          found.playable === false ? "There is no solution: that is proven." : "The solver gave up before it knew.",
        );
      });
    }
    if (solution) await this.begin(solution);
  }

  /** Takes the last move back. */
  undo() {
    if (!this.timeline.index) return;
    this.#cut(this.timeline.index - 1);
    this.timeline.go(this.timeline.index);
    this.workshop.say(`Taken back; ${counted(this.#moves.length, "move")} so far.`);
  }

  // The game.

  /** Has the service play moves from where the game stands; takes the frames from a number on. */
  async #play(moves, since) {
    const round = this.#round;
    const actions = [...this.#moves, ...moves];
    const body = { level: this.#level, actions, since };
    try {
      const reply = await post(named("problems", this.#problem.name, "play"), body);
      if (round !== this.#round) return;
      this.#moves = actions.slice(0, reply.moves);
      this.#frames.push(...reply.frames.map((board, i) => ({ board, actors: reply.actors[i] })));
      this.#over = reply.won ? "Won" : reply.lost ? "Lost" : "";
    } catch (error) {
      if (round === this.#round) {
        this.#stop();
        this.workshop.fail(error);
      }
    }
  }

  /** Forgets what came after a number of moves. */
  #cut(moves) {
    this.timeline.pause();
    if (moves >= this.#moves.length) return;
    this.#round++;
    this.#sending = false;
    this.#queue = [];
    this.#moves.length = moves;
    this.#frames.length = moves + 1;
    this.#over = "";
    this.timeline.length = this.#frames.length;
    this.timeline.index = moves;
  }

  /** Plays an action from what is shown. */
  #act(action) {
    if (this.#frames.length && !this.#queue.length && !this.#sending) this.#cut(this.timeline.index);
    if (this.#over) return;
    this.#queue.push(action);
    this.#send();
  }

  async #send() {
    if (this.#sending || !this.#queue.length || !this.#frames.length) return;
    const round = this.#round;
    this.#sending = true;
    await this.#play(this.#queue.splice(0), this.#moves.length + 1);
    if (round !== this.#round) return;
    this.#sending = false;
    this.timeline.length = this.#frames.length;
    this.timeline.go(this.#frames.length - 1);
    if (this.#over) this.#stop();
    else this.#send();
  }

  #show(index) {
    const { board, actors } = this.#frames[index];
    const { problem, shape } = this.workshop.project;
    this.view.show(problem, shape, board.flat(), actors);
    if (actors.length) this.view.reveal(actors[0].row, actors[0].column);
    this.#label(index);
    const over = this.#over && index === this.#frames.length - 1;
    byId("game-outcome").textContent = over ? `${this.#over} in ${length(index, problem)}.` : "";
  }

  #label(index) {
    this.canvas.setAttribute("aria-label", `Game of ${this.#problem.name}, move ${index}`);
  }

  // Keys and buttons.

  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const name = this.#buttons[keyName(event)];
    if (name !== undefined) {
      if (this.#problem.ticks_per_second) this.#hold(name);
      else this.#act(name);
    } else if (event.key === "Backspace" || event.key === "u") {
      if (!this.#problem.ticks_per_second) this.undo();
    } else if (event.key === "r") this.begin();
    else if (event.key === "h") this.solve();
    else return;
    event.preventDefault();
  }

  // Games that run by themselves: time begins with the first button, and goes on with whatever is held down.

  #hold(button) {
    this.#held.add(button);
    if (this.#clock) return;
    if (this.#frames.length) this.#cut(this.timeline.index);
    if (this.#over) return;
    this.#clock = setInterval(() => this.#tick(), 1000 / this.#problem.ticks_per_second);
  }

  /** Holds a button for a moment. */
  #tap(button) {
    this.#hold(button);
    setTimeout(() => this.#held.delete(button), 250);
  }

  #tick() {
    if (this.#queue.length >= MOST_WAITING) return;
    const buttons = (action) => (action === "wait" ? [] : action.split("+"));
    const possible = this.#problem.actions.filter((action) => buttons(action).every((name) => this.#held.has(name)));
    const most = Math.max(...possible.map((action) => buttons(action).length));
    this.#queue.push(possible.find((action) => buttons(action).length === most));
    this.#send();
  }

  #stop() {
    clearInterval(this.#clock);
    this.#clock = 0;
  }

  /** Stops whatever moves, when the panel is left. */
  leave() {
    this.#stop();
    this.timeline.pause();
  }
}

function keyName(event) {
  const key = event.key.toLowerCase();
  if (key === "shift") return event.location === KeyboardEvent.DOM_KEY_LOCATION_RIGHT ? "right shift" : "left shift";
  return KEYS[key] ?? key;
}

/** Returns what stands on a key. */
function keySign(key) {
  const signs = { up: "↑", down: "↓", left: "←", right: "→", space: "Space", return: "Enter", "left shift": "Shift" };
  return signs[key] ?? key.toUpperCase();
}
