// Levels from files and as files, and new ones.

import { named, post, postForFile, ServiceError } from "./api.js";
import { byId, counted, element } from "./elements.js";
import { blank, cells, fromNested, toNested } from "./grids.js";

/** How large tiles are in pictures that are saved, in pixels. */
const TILE = 32;
/** How many levels of a file are shown beside its first. */
const MOST_SHOWN = 24;
/** How long a side of a new level may be, in tiles. */
const LONGEST = 256;
/** What people call the formats whose own names say less. */
const TITLES = { text: "Text", xsb: "Sokoban (.xsb)", boxoban: "Boxoban" };

export class Files {
  constructor(workshop) {
    this.workshop = workshop;
    const input = byId("file");
    byId("open-file").addEventListener("click", () => input.click());
    input.addEventListener("change", () => {
      if (input.files.length) this.read(input.files[0]);
      input.value = "";
    });
    const stage = byId("panel-edit");
    stage.addEventListener("dragover", (event) => event.preventDefault());
    stage.addEventListener("drop", (event) => {
      event.preventDefault();
      if (event.dataTransfer.files.length) this.read(event.dataTransfer.files[0]);
    });
    const menu = byId("download");
    menu.addEventListener("focusout", (event) => {
      if (event.relatedTarget && !menu.contains(event.relatedTarget)) menu.open = false;
    });
    menu.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.#closeMenu();
    });
    byId("new-level").addEventListener("click", () => this.#askSize());
    byId("new-dialog").addEventListener("close", () => {
      if (byId("new-dialog").returnValue === "create") this.#create();
    });
    workshop.on("project", () => this.#offer());
  }

  /** Offers the formats that the problem's levels can be written in. */
  #offer() {
    const { formats } = this.workshop.project.problem;
    byId("file").accept = formats.filter(({ read }) => read).map(({ extension }) => extension).join(",");
    const choices = [["Picture", "level.png", { size: TILE, border: false }]];
    for (const { name, write, text } of formats) {
      if (name === "tiled") choices.push(["Tiled map and its tiles", "level.zip", { size: TILE }]);
      else if (write && text) choices.push([TITLES[name] ?? name, "level.txt", { format: name }]);
    }
    byId("download-menu").replaceChildren(
      ...choices.map(([words, what, options]) =>
        element("button", { type: "button", onclick: () => this.#save(what, options) }, words),
      ),
    );
  }

  #closeMenu() {
    byId("download").open = false;
    byId("download").querySelector("summary").focus();
  }

  async #save(what, options) {
    const { workshop } = this;
    const { problem, shape, level } = workshop.project;
    this.#closeMenu();
    await workshop.work("Writing the file…", async (signal) => {
      const body = { level: toNested(shape, level.tiles), ...options };
      const { blob, name } = await postForFile(named("problems", problem.name, what), body, signal);
      const address = URL.createObjectURL(blob);
      element("a", { href: address, download: name }).click();
      setTimeout(() => URL.revokeObjectURL(address), 10_000);
      workshop.say(`Saved ${name}.`);
    });
  }

  /** Reads a level file: its first level goes to the editor, and what it holds among the samples. */
  async read(file) {
    const { workshop } = this;
    const { project } = workshop;
    await workshop.work(`Reading ${file.name}…`, async (signal) => {
      const { levels, remarks } = await this.#converted(file, signal);
      project.take(fromNested(levels[0]), `open ${file.name}`);
      workshop.tell("level");
      workshop.say([`${counted(levels.length, "level")} in ${file.name}.`, ...remarks].join(" "));
      for (const level of levels.slice(0, MOST_SHOWN)) {
        const entry = await post(named("problems", project.problem.name, "measure"), { level }, signal);
        project.addSamples([{ level: fromNested(level), entry, origin: null }]);
        workshop.tell("samples");
      }
    });
  }

  /** Returns what the service makes of a file. Formats may share an ending; then each is tried, and the first told of. */
  async #converted(file, signal) {
    const { problem } = this.workshop.project;
    const ending = file.name.slice(file.name.lastIndexOf(".")).toLowerCase();
    const fitting = problem.formats.filter(({ read, extension }) => read && extension === ending);
    let refusal = null;
    for (const { name } of fitting.length ? fitting : problem.formats.slice(0, 1)) {
      const form = new FormData();
      for (const [field, value] of Object.entries({ file, problem: problem.name, from: name, to: "text" })) {
        form.append(field, value);
      }
      try {
        return await post("convert/file", form, signal);
      } catch (error) {
        if (!(error instanceof ServiceError)) throw error;
        refusal ??= error;
      }
    }
    throw refusal;
  }

  // New levels.

  #askSize() {
    const { problem, shape } = this.workshop.project;
    const names = shape.length === 3 ? ["Storeys", "Rows", "Columns"] : ["Rows", "Columns"];
    byId("new-sizes").replaceChildren(
      ...names.map((name, axis) => {
        const input = element("input", { type: "number", required: true, name: "size", value: String(shape[axis]) });
        Object.assign(input, { min: problem.least[axis], max: LONGEST });
        return element("label", { className: "field" }, name, input);
      }),
    );
    byId("new-tile").replaceChildren(...problem.tiles.map(({ id, name }) => new Option(name, id)));
    byId("new-dialog").returnValue = "";
    byId("new-dialog").showModal();
  }

  #create() {
    const { workshop } = this;
    const { most } = workshop.project.problem;
    const shape = Array.from(byId("new-form").querySelectorAll("input[name=size]"), (input) => Number(input.value));
    if (cells(shape) > most) {
      workshop.complain(`A level may have at most ${most} tiles; that would be ${cells(shape)}.`);
      return;
    }
    workshop.project.take(blank(shape, Number(byId("new-tile").value)), "new level");
    workshop.tell("level");
    workshop.say(`A new level of ${counted(cells(shape), "tile")}.`);
    byId("canvas").focus();
  }
}
