/**
 * The casts made or opened in this browser: kept in it, and nowhere else. Newest first, bounded.
 * A book: {id, title, opened (ms since 1970), position and duration (s), state (last seen)}.
 */

import { recall, remember } from "./words.js";

const KEY = "castline:casts";
const MOST = 50;

/** All of them; what another program left under the key is no book. */
export function books() {
  let kept;
  try {
    kept = JSON.parse(recall("localStorage", KEY));
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  return Array.isArray(kept) ? kept.filter((book) => typeof book?.id === "string") : [];
}

/** The one of this id; undefined. */
export const book = (id) => books().find((one) => one.id === id);

/** A cast was opened: it comes first. */
export function shelve(id, facts) {
  const rest = books();
  const known = rest.find((one) => one.id === id);
  write([{ ...known, ...facts, id, opened: Date.now() }, ...rest.filter((one) => one.id !== id)].slice(0, MOST));
}

/** Something about a cast has changed; one that was taken off the list stays off. */
export function note(id, facts) {
  write(books().map((one) => (one.id === id ? { ...one, ...facts } : one)));
}

/** Off the list; the cast itself stays where it is. */
export function forget(id) {
  write(books().filter((one) => one.id !== id));
}

function write(list) {
  remember("localStorage", KEY, list.length > 0 ? JSON.stringify(list) : null);
}
