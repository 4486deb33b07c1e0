// Goes through frames that something else shows: by itself, step by step, or by hand.

import { element, icon } from "./elements.js";

const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const SPEEDS = [0.25, 0.5, 1, 2, 4];

export class Timeline {
  #timer = 0;
  #speed = 1;

  /**
   * @param {HTMLElement} holder gets the button, the slider and the speed
   * @param {string} noun what is counted ("move")
   * @param {(index: number) => void} show shows a frame
   */
  constructor(holder, noun, show) {
    this.noun = noun;
    this.show = show;
    this.index = 0;
    this.length = 0;
    /** How many frames pass in a second at the speed of 1. */
    this.rate = 6;
    /** Whether more frames are still to come. */
    this.growing = false;
    this.button = element("button", { type: "button", className: "icon-button", onclick: () => this.#toggle() });
    this.slider = element("input", { type: "range", min: 0, step: 1, oninput: () => this.#seek() });
    this.slider.setAttribute("aria-label", `Which ${noun} is shown`);
    this.output = element("output", { className: "numbers" });
    const speed = element(
      "select",
      { "aria-label": "Speed", onchange: () => (this.#speed = Number(speed.value)) },
      ...SPEEDS.map((times) => new Option(`${times}×`, times, times === 1, times === 1)),
    );
    holder.append(this.button, this.slider, this.output, speed);
    this.#tell();
  }

  get playing() {
    return this.#timer !== 0;
  }

  /** Begins anew with so many frames. */
  load(length, { growing = false, play = false } = {}) {
    this.pause();
    this.growing = growing;
    this.length = length;
    this.go(0);
    // Nothing moves by itself for those who asked for that.
    if (play && !CALM.matches) this.play();
  }

  /** Shows a frame. */
  go(index) {
    this.index = Math.min(Math.max(index, 0), Math.max(this.length - 1, 0));
    if (this.length) this.show(this.index);
    this.#tell();
  }

  play() {
    if (this.index >= this.length - 1 && !this.growing) this.go(0);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#next(), 1000 / (this.rate * this.#speed));
    this.#tell();
  }

  pause() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#tell();
  }

  #next() {
    if (this.index < this.length - 1) this.go(this.index + 1);
    if (this.index < this.length - 1 || this.growing) this.play();
    else this.pause();
  }

  #toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  #seek() {
    const index = Number(this.slider.value);
    this.pause();
    this.go(index);
  }

  #tell() {
    const last = Math.max(this.length - 1, 0);
    const words = this.playing ? "Pause" : "Play on";
    if (this.button.title !== words) {
      this.button.replaceChildren(icon(this.playing ? "pause" : "play"));
      this.button.title = words;
      this.button.setAttribute("aria-label", words);
    }
    this.button.disabled = this.slider.disabled = last === 0 && !this.growing;
    this.slider.max = last;
    this.slider.value = this.index;
    this.slider.setAttribute("aria-valuetext", `${this.noun} ${this.index} of ${last}`);
    this.output.textContent = `${this.index} / ${last}`;
  }
}
