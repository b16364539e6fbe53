/** The button that is held while one speaks, by finger, mouse, space bar or Enter; hands-free, a press turns it. */

const KEYS = [" ", "Enter"];
const OWN = "a, button, input, select, textarea, summary";

export class Hold {
  #button;
  #does;

  held = false;

  /** does: {begin, end, toggle, handsFree}. */
  constructor(button, does) {
    this.#button = button;
    this.#does = does;
    button.addEventListener("pointerdown", (event) => this.#pointer(event));
    for (const type of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(type, () => this.#end());
    button.addEventListener("contextmenu", (event) => event.preventDefault()); // a long press is no wish for a menu
    button.addEventListener("click", (event) => this.#click(event));
    addEventListener("keydown", (event) => this.#key(event));
    addEventListener("keyup", (event) => this.#keyUp(event));
    addEventListener("blur", () => this.#end()); // who is elsewhere can not let go here
  }

  #pointer(event) {
    if (event.button !== 0 || this.#does.handsFree()) return;
    this.#button.setPointerCapture(event.pointerId);
    this.#begin();
  }

  #key(event) {
    if (!this.#means(event) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault(); // no scrolling, no click
    if (event.repeat || this.#button.disabled) return;
    if (this.#does.handsFree()) this.#does.toggle();
    else this.#begin();
  }

  #keyUp(event) {
    if (this.#means(event)) event.preventDefault(); // a button is clicked when space is let go
    if (KEYS.includes(event.key)) this.#end();
  }

  /** The space bar works wherever it has no meaning of its own. */
  #means({ key, target }) {
    return target === this.#button ? KEYS.includes(key) : key === " " && !target.closest?.(OWN);
  }

  /** Screen readers click, and hold nothing: the first click begins, the second ends. */
  #click(event) {
    if (this.#does.handsFree()) this.#does.toggle();
    else if (event.detail > 0) return; // of a pointer that has held it
    else if (this.held) this.#end();
    else this.#begin();
  }

  #begin() {
    if (this.held) return;
    this.held = true;
    this.#does.begin();
  }

  #end() {
    if (!this.held) return;
    this.held = false;
    this.#does.end();
  }
}
