// Levels of three axes as blocks: a picture beside the plans of the storeys that are painted on.

import { named, postForFile } from "./api.js";
import { byId } from "./elements.js";
import { toNested } from "./grids.js";

/** Half the width of a block in pixels. */
const SIZE = 18;

export class Blocks {
  #shown = null;

  constructor(workshop) {
    this.workshop = workshop;
    this.image = byId("blocks").querySelector("img");
    workshop.on("entry", () => this.#show());
  }

  async #show() {
    const { problem, level, shape, entry } = this.workshop.project;
    const deep = shape.length === 3;
    byId("blocks").hidden = byId("storeys").hidden = !deep;
    if (!deep || !entry || level === this.#shown) return;
    this.#shown = level;
    try {
      const body = { level: toNested(shape, level.tiles), size: SIZE };
      const { blob } = await postForFile(named("problems", problem.name, "level.png"), body);
      if (level !== this.#shown) return;
      URL.revokeObjectURL(this.image.src);
      this.image.src = URL.createObjectURL(blob);
    } catch (error) {
      this.workshop.fail(error);
    }
  }
}
