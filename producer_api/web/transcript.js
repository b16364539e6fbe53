/** The sentences of a cast as lists of buttons: one tab stop, arrows inside, the current one in view, word by word. */

import { RATE } from "./chunks.js";
import { clock } from "./words.js";

const stillness = matchMedia("(prefers-reduced-motion: reduce)");
const HANDS_OFF_MS = 4_000;

/** A book has thousands of sentences; browsers skip the layout of whole blocks that are out of view (see style.css). */
const BLOCK = 100;

/** The text as nodes: each word that is found in it a span, in order, and what is between them. Empty without words. */
function wordNodes({ text, words }) {
  const nodes = [];
  let done = 0;
  for (const { w: word, s: begin } of words) {
    const at = text.indexOf(word, done);
    if (word === "" || at < 0) continue;
    const span = document.createElement("span");
    span.className = "word";
    span.dataset.begin = begin;
    span.textContent = word;
    nodes.push(text.slice(done, at), span);
    done = at + word.length;
  }
  return nodes.length === 0 ? [] : [...nodes, text.slice(done)];
}

/**
 * Event `choose` (detail: {unit, ms}): a sentence was clicked, or Enter was pressed on it; ms from its start, more than
 * 0 for a word that was clicked.
 */
export class Transcript extends EventTarget {
  #root;
  #items = [];
  #units = [];
  #current = -1;
  #words = []; // spans of the current sentence: one of a book's, not all of them
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

  /** Highlight what sounds in this unit (null: none) ms after its start, and keep it in view. */
  show(unit, ms) {
    const index = unit?.index ?? -1;
    if (index !== this.#current) this.#showUnit(index);
    const word = this.#words.findLast((span) => Number(span.dataset.begin) <= ms);
    if (word?.dataset.now) return;
    for (const span of this.#words) delete span.dataset.now;
    if (word) word.dataset.now = "yes";
  }

  #showUnit(index) {
    if (this.#words.length > 0) this.#text(this.#current).textContent = this.#units[this.#current].text;
    this.#items[this.#current]?.removeAttribute("aria-current");
    this.#current = index;
    this.#words = [];
    const item = this.#items[index];
    if (!item) return;
    item.setAttribute("aria-current", "true");
    const nodes = wordNodes(this.#units[index]);
    if (nodes.length > 0) this.#text(index).replaceChildren(...nodes);
    this.#words = [...item.querySelectorAll(".word")];
    if (!this.#root.contains(document.activeElement)) this.#moveStop(index);
    if (performance.now() - this.#touchedAt < HANDS_OFF_MS) return; // the reader has just scrolled
    item.scrollIntoView({ block: "center", behavior: stillness.matches ? "auto" : "smooth" });
  }

  #text(index) {
    return this.#items[index].querySelector(".text");
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
    const ms = Number(event.target.closest(".word")?.dataset.begin ?? 0);
    this.dispatchEvent(new CustomEvent("choose", { detail: { unit: this.#units[index], ms } }));
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
