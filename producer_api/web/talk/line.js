/** The line to the server: events both ways, and again after every break, in the same conversation. */

import { recall, remember } from "../words.js";

const SESSION = "castline:talk:session";
const REFUSED = 4422;
const TRY_AGAIN = 1013;
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 8_000;
const TRY_AGAIN_MS = 3_000;

/** So much that has not left yet, bytes, is 8 s of speech: nobody is there. */
const STUCK = 2 ** 19;

/**
 * Server events come as events of their own `type` (detail: the event). `state` (detail: a state) says how it stands;
 * `notice` (detail: words), what a new line is to tell the user.
 */
export class Line extends EventTarget {
  #socket = null;
  #wait = FIRST_WAIT_MS;
  #timer = 0;
  #told = "";

  /** connecting, open, lost, busy (no worker, or too much work) or refused. */
  state = "connecting";

  start() {
    addEventListener("online", () => this.#again());
    addEventListener("offline", () => this.#drop());
    this.#connect();
  }

  get open() {
    return this.state === "open";
  }

  /** false: there is no line now, and it is not kept for later. */
  send(type, members) {
    if (!this.open) return false;
    this.#socket.send(JSON.stringify({ type, ...members }));
    if (this.#socket.bufferedAmount > STUCK) this.#drop();
    return true;
  }

  /** Leave this conversation for a new one. */
  renew() {
    remember("sessionStorage", SESSION, null);
    this.#connect();
  }

  #connect() {
    this.#close();
    const url = new URL("/v1/realtime?timing=1", location.href.replace(/^http/, "ws"));
    const session = recall("sessionStorage", SESSION);
    if (session) url.searchParams.set("session", session);
    const socket = new WebSocket(url);
    this.#socket = socket;
    this.#told = "";
    socket.addEventListener("message", ({ data }) => socket === this.#socket && this.#take(JSON.parse(data)));
    socket.addEventListener("close", ({ code }) => socket === this.#socket && this.#closed(code));
  }

  #take(event) {
    if (event.type === "session.created") {
      remember("sessionStorage", SESSION, event.session.id);
      this.#wait = FIRST_WAIT_MS;
      this.#become("open");
    }
    if (event.type === "error") this.#told = event.error.code;
    this.#tell(event.type, event);
    if (this.#told === "session_taken_over") this.#drop(); // by another tab, or by what was on its way before a break
  }

  #closed(code) {
    const unknown = this.#told === "unknown_log" && !this.open;
    if (unknown) remember("sessionStorage", SESSION, null);
    if (unknown) this.#tell("notice", "The conversation of before has expired. This is a new one.");
    if (code === REFUSED) {
      this.#become("refused");
      return;
    }
    const busy = code === TRY_AGAIN && !unknown;
    this.#become(busy ? "busy" : "lost");
    this.#timer = setTimeout(() => this.#connect(), busy ? TRY_AGAIN_MS : this.#wait);
    this.#wait = Math.min(LONGEST_WAIT_MS, 2 * this.#wait);
  }

  /** The other end does not know yet that nobody is here, or never will. */
  #drop() {
    if (this.state !== "open") return;
    this.#close();
    this.#closed(0);
  }

  #again() {
    if (this.state === "lost") this.#connect();
  }

  #close() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
    clearTimeout(this.#timer);
  }

  #become(state) {
    this.state = state;
    this.#tell("state", state);
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
