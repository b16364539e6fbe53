/** The sentences of a cast as lists of buttons: one tab stop, arrows inside, the current one in view. */

import { RATE } from "./chunks.js";
import { clock } from "./words.js";

const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const HANDS_OFF_MS = 4_000;

/** A book has thousands of sentences; browsers skip the layout of whole blocks that are out of view (see style.css). */
const BLOCK = 100;

/** Event `choose` (detail: the unit): a sentence was clicked, or Enter was pressed on it. */
export class Transcript extends EventTarget {
  #root;
  #items = [];
  #units = [];
  #current = -1;
  #stop = 0; // the one that Tab reaches
  #touchedAt = -Infinity;

  constructor(root) {
    super();
    this.#root = root;
    root.addEventListener("click", (event) => this.#click(event));
    root.addEventListener("keydown", (event) => this.#key(event));
    for (const type of ["wheel", "touchmove"]) {
      addEventListener(type, () => (this.#touchedAt = performance.now()), { passive: true });
    }
  }

  add(unit) {
    const at = this.#units.push(unit) - 1;
    const button = document.createElement("button");
    button.type = "button";
    button.tabIndex = at === this.#stop ? 0 : -1;
    const time = document.createElement("span");
    time.className = "time";
    time.textContent = clock(unit.start / RATE);
    const text = document.createElement(unit.skipped ? "s" : "span");
    text.className = "text";
    text.dir = "auto";
    text.textContent = unit.text;
    button.append(time, " ", text);
    const item = document.createElement("li");
    item.append(button);
    if (unit.skipped) this.#label(item, `not spoken: ${unit.reason || "it failed"}`);
    this.#items.push(item);
    this.#block(at).append(item);
  }

  /** The list that the next row goes to. */
  #block(at) {
    if (at % BLOCK === 0) {
      const block = document.createElement("ol");
      block.start = at + 1;
      this.#root.append(block);
    }
    return this.#root.lastElementChild;
  }

  /** This browser can not play it. */
  markBroken(unit) {
    this.#label(this.#items[unit.index], "not playable in this browser");
  }

  #label(item, why) {
    item.classList.add("skipped");
    const label = document.createElement("span");
    label.className = "why";
    label.textContent = why;
    item.firstElementChild.append(" ", label);
  }

  /** Highlight this unit (null: none) and keep it in view, unless the reader has just scrolled. */
  show(unit) {
    const index = unit?.index ?? -1;
    if (index === this.#current) return;
    this.#items[this.#current]?.removeAttribute("aria-current");
    this.#current = index;
    const item = this.#items[index];
    if (!item) return;
    item.setAttribute("aria-current", "true");
    if (!this.#root.contains(document.activeElement)) this.#moveStop(index);
    if (performance.now() - this.#touchedAt < HANDS_OFF_MS) return;
    item.scrollIntoView({ block: "center", behavior: stillness.matches ? "auto" : "smooth" });
  }

  #moveStop(index) {
    this.#items[this.#stop]?.firstElementChild.setAttribute("tabindex", "-1");
    this.#stop = index;
    this.#items[index].firstElementChild.tabIndex = 0;
  }

  #indexOf(target) {
    return this.#items.indexOf(target.closest("li"));
  }

  #click(event) {
    const index = this.#indexOf(event.target);
    if (index < 0) return;
    this.#moveStop(index);
    this.#touchedAt = -Infinity;
    this.dispatchEvent(new CustomEvent("choose", { detail: this.#units[index] }));
  }

  #key(event) {
    const step = { ArrowDown: 1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const last = this.#units.length - 1;
    const index = Math.min(last, Math.max(0, this.#indexOf(event.target) + step));
    this.#moveStop(index);
    this.#items[index].firstElementChild.focus();
    event.preventDefault();
  }
}
