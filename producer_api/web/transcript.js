/** The sentences of a cast as a list of buttons: one tab stop, arrows inside, the current one in view. */

import { RATE } from "./chunks.js";
import { clock } from "./words.js";

const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const HANDS_OFF_MS = 4_000;

/** Event `choose` (detail: the unit): a sentence was clicked, or Enter was pressed on it. */
export class Transcript extends EventTarget {
  #list;
  #units = [];
  #current = -1;
  #stop = 0; // the one that Tab reaches
  #touchedAt = -Infinity;

  constructor(list) {
    super();
    this.#list = list;
    list.addEventListener("click", (event) => this.#click(event));
    list.addEventListener("keydown", (event) => this.#key(event));
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
    this.#list.append(item);
  }

  /** This browser can not play it. */
  markBroken(unit) {
    this.#label(this.#list.children[unit.index], "not playable in this browser");
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
    this.#list.children[this.#current]?.removeAttribute("aria-current");
    this.#current = index;
    const item = this.#list.children[index];
    if (!item) return;
    item.setAttribute("aria-current", "true");
    if (!this.#list.contains(document.activeElement)) this.#moveStop(index);
    if (performance.now() - this.#touchedAt < HANDS_OFF_MS) return;
    item.scrollIntoView({ block: "center", behavior: stillness.matches ? "auto" : "smooth" });
  }

  #moveStop(index) {
    this.#list.children[this.#stop]?.firstElementChild.setAttribute("tabindex", "-1");
    this.#stop = index;
    this.#list.children[index].firstElementChild.tabIndex = 0;
  }

  #indexOf(target) {
    const item = target.closest("li");
    return item === null ? -1 : Array.prototype.indexOf.call(this.#list.children, item);
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
    this.#list.children[index].firstElementChild.focus();
    event.preventDefault();
  }
}
