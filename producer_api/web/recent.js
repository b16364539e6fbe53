/** The list of casts on the first page: where each stands, how far it was heard, off the list. */

import { books, forget, note } from "./shelf.js";
import { ask, clock, parts } from "./words.js";

const POLL_MS = 5_000;
const FINAL = { done: "made", cancelled: "stopped", failed: "failed", gone: "expired" };

let timer = 0;
const $ = (id) => document.getElementById(id);

/** Shows what the shelf has, and keeps what is not final up to date while the page is seen. */
export async function showRecent() {
  clearTimeout(timer);
  draw(books());
  if (!document.hidden) {
    for (const { id, state } of books()) if (!FINAL[state]) await refresh(id);
  }
  if (books().some(({ state }) => !FINAL[state])) timer = setTimeout(showRecent, POLL_MS);
}

async function refresh(id) {
  const { body, problem } = await ask(`/v1/casts/${encodeURIComponent(id)}`);
  if (problem?.status === 404) note(id, { state: "gone" });
  if (!body) return;
  note(id, { state: body.state, made: body.watermark, units: body.units, duration: body.audio_ms / 1000 });
  draw(books());
}

function draw(list) {
  $("recent").hidden = list.length === 0;
  const rows = new Map([...$("recent-list").children].map((row) => [row.dataset.id, row]));
  const wanted = list.map((book) => fill(rows.get(book.id) ?? newRow(book.id), book));
  for (const row of rows.values()) if (!wanted.includes(row)) row.remove();
  wanted.forEach((row, at) => {
    const there = $("recent-list").children[at];
    if (there !== row) $("recent-list").insertBefore(row, there ?? null); // what stays keeps its focus
  });
}

function newRow(id) {
  const row = document.createElement("li");
  row.dataset.id = id;
  const link = document.createElement("a");
  link.href = `/c/${encodeURIComponent(id)}`;
  link.dir = "auto";
  const line = document.createElement("span");
  line.className = "note";
  const heard = document.createElement("progress");
  heard.max = 1;
  heard.setAttribute("aria-label", "Heard");
  const remove = document.createElement("button");
  remove.type = "button";
  remove.textContent = "Remove";
  remove.addEventListener("click", () => drop(row));
  row.append(link, remove, line, heard);
  return row;
}

function fill(row, { id, title, position = 0, ...book }) {
  const [link, remove, line, heard] = row.children;
  set(link, title || "A cast");
  remove.setAttribute("aria-label", `Remove ${title || "this cast"} from the list`);
  const resume = position > 0 ? `, resume at ${clock(position)}` : "";
  set(line, `${standing(book)}${resume}`);
  heard.hidden = position === 0;
  heard.value = book.duration > 0 ? Math.min(1, position / book.duration) : 0;
  return row;
}

const set = (element, words) => element.textContent === words || (element.textContent = words);

function standing({ state, made, units, duration, opened }) {
  const day = new Date(opened).toLocaleDateString(undefined, { dateStyle: "medium" });
  if (state === "gone") return `${day}: ${FINAL.gone}`;
  if (FINAL[state]) return `${day}: ${FINAL[state]}, ${clock(duration ?? 0)}`;
  if (state === "waiting") return `${day}: waiting for its turn`;
  return made === undefined ? day : `${day}: being made, ${made} of ${parts(units)}`;
}

/** The focus goes to the next row, or to the text if there is none. */
function drop(row) {
  const next = row.nextElementSibling ?? row.previousElementSibling;
  forget(row.dataset.id);
  (next?.querySelector("button") ?? $("text")).focus();
  draw(books());
}
