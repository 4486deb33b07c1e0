// The studio page: fetches what the service has, puts the parts together, and opens what the address says.

import { Blocks } from "./blocks.js";
import { Compare } from "./compare.js";
import { Controls } from "./controls.js";
import { Editor } from "./editor.js";
import { byId, fillSelect } from "./elements.js";
import { Files } from "./files.js";
import { Gallery, mark, told } from "./gallery.js";
import { Link } from "./link.js";
import { Metrics } from "./targets.js";
import { Game } from "./play.js";
import { Range } from "./range.js";
import { onSprites } from "./sprites.js";
import { Watch } from "./watch.js";
import { Workshop } from "./workshop.js";

const workshop = new Workshop();
try {
  await workshop.open();
  start();
} catch (error) {
  workshop.fail(error);
}

async function start() {
  const controls = new Controls(workshop);
  const editor = new Editor(workshop, () => controls.regenerate());
  new Metrics(workshop);
  new Blocks(workshop);
  const gallery = new Gallery(workshop);
  const game = new Game(workshop);
  const watch = new Watch(workshop);
  new Files(workshop);
  const link = new Link(workshop);
  const open = (sample) => {
    gallery.open(sample);
    show("edit");
  };
  new Range(workshop, (sample) => gallery.open(sample), () => controls.generate());
  new Compare(workshop, open);
  onSprites(() => editor.drawPalette());

  // Panels.
  const tabs = [...document.querySelectorAll("[role=tab]")];
  const panels = { play: game, watch };
  function show(name) {
    for (const tab of tabs) {
      const chosen = tab.id === `tab-${name}`;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
      byId(tab.getAttribute("aria-controls")).hidden = !chosen;
      if (!chosen) panels[tab.id.slice(4)]?.leave();
    }
    if (name === "play") game.begin();
    if (name === "watch") watch.preview();
  }
  for (const [i, tab] of tabs.entries()) {
    tab.addEventListener("click", () => show(tab.id.slice(4)));
    tab.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, Home: -i, End: -i - 1 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      const next = tabs.at((i + steps[event.key]) % tabs.length);
      show(next.id.slice(4));
      next.focus();
    });
  }

  // The problem and the history.
  const names = [...workshop.problems.keys()];
  fillSelect(
    byId("problem"),
    names.map((name) => [name, name]),
  );
  byId("problem").addEventListener("change", async (event) => {
    workshop.switchTo(event.target.value);
    await begin();
  });
  byId("undo").addEventListener("click", () => workshop.stepHistory(false));
  byId("redo").addEventListener("click", () => workshop.stepHistory(true));
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && !event.defaultPrevented) workshop.cancel();
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.target.matches("input[type=text], input[type=number]")) {
      return;
    }
    const key = event.key.toLowerCase();
    if (key !== "z" && key !== "y") return;
    event.preventDefault();
    workshop.stepHistory(key === "y" || event.shiftKey);
  });

  workshop.on("project", () => {
    const { problem } = workshop.project;
    byId("problem").value = problem.name;
    byId("problem-words").textContent = `${problem.title[0].toUpperCase()}${problem.title.slice(1)}`;
    byId("tab-play").disabled = !problem.playable;
    byId("count-rules").textContent = problem.count_rules.join(" ");
    if (!problem.playable && !byId("panel-play").hidden) show("edit");
    if (!byId("panel-watch").hidden) watch.preview();
  });

  // Whether the level can be won.
  workshop.on("entry", () => {
    const { entry, problem } = workshop.project;
    byId("verdict").replaceChildren(
      ...(entry && problem.playable ? [mark(entry), sentence(told(entry, problem))] : [entry ? "" : "Measuring…"]),
    );
    byId("watch-solution").hidden = !entry?.solution;
    byId("repair").hidden = !problem.playable || !entry || entry.playable === true;
  });
  byId("watch-solution").addEventListener("click", async () => {
    show("play");
    byId("game").focus();
    await game.solve();
  });
  byId("keys").addEventListener("click", () => byId("keys-dialog").showModal());

  /** Samples first levels for a problem that nothing has been done for. */
  async function begin() {
    const { project } = workshop;
    if (!project.samples.length && !project.canUndo) await controls.generate({ another: false });
  }

  const trouble = await link.restore();
  if (trouble !== null) {
    if (!workshop.project) workshop.switchTo(workshop.generators[0]?.problem ?? names[0]);
    await begin();
    // Sampling takes away what was complained of before.
    if (trouble) workshop.complain(trouble);
  }
  document.body.dataset.ready = "true";
}

function sentence(words) {
  return `${words[0].toUpperCase()}${words.slice(1)}.`;
}
