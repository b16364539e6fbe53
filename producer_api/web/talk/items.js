/** The conversation as it is read: who said what, while it is said. */

const WHO = { user: "You", assistant: "Reply" };

export class Items {
  #root;
  #rows = new Map(); // id -> {element, text}
  #changed;

  /** changed: called when something was added or taken away. */
  constructor(root, changed) {
    this.#root = root;
    this.#changed = changed;
  }

  get count() {
    return this.#rows.size;
  }

  clear() {
    this.#root.replaceChildren();
    this.#rows.clear();
    this.#changed();
  }

  /** A row for what somebody says; what is in it comes bit by bit. */
  begin(id, role) {
    if (this.#rows.has(id) || !(role in WHO)) return;
    const element = document.createElement("div");
    element.className = `turn ${role}`;
    element.dataset.item = id;
    const who = document.createElement("span");
    who.className = "who";
    who.textContent = WHO[role];
    const text = document.createElement("p");
    text.dir = "auto";
    element.append(who, text);
    this.#root.append(element);
    this.#rows.set(id, { element, text });
    this.#changed();
  }

  /** More of it. */
  add(id, words) {
    const row = this.#rows.get(id);
    if (!row) return;
    const piece = document.createElement("span");
    piece.textContent = words;
    row.text.append(piece);
    this.#changed();
  }

  /** All of it. cut: it was broken off here. */
  settle(id, words, { cut = false } = {}) {
    const row = this.#rows.get(id);
    if (!row) return;
    row.element.classList.toggle("cut", cut);
    if (row.text.textContent !== words) row.text.textContent = words;
    this.#changed();
  }

  remove(id) {
    this.#rows.get(id)?.element.remove();
    this.#rows.delete(id);
    this.#changed();
  }
}

/** What is said in an item. */
export function textOf(item) {
  return (item.content ?? []).map((part) => part.transcript ?? part.text ?? "").join(" ");
}
