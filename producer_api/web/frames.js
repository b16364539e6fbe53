/**
 * The follow socket: binary frames in, records in order out, across any number of broken connections.
 * A frame is a 4-byte big-endian length, that many bytes of JSON head {seq, e, …}, and the body.
 */

const TERMINAL = new Set(["eos", "error", "cancelled"]);
const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 15_000;
const SUSPICIOUS_SILENCE_MS = 30_000;
const LONG_OVERDUE_MS = 5_000;
const NORMAL = 1000;
const UNKNOWN_LOG = 4404;
const text = new TextDecoder("utf-8", { fatal: true });

/** One frame -> {seq, e, …headers, body: ArrayBuffer}. Throws RangeError or SyntaxError for what is not a frame. */
export function decodeFrame(buffer) {
  const headEnd = 4 + new DataView(buffer).getUint32(0);
  if (headEnd > buffer.byteLength) throw new RangeError("a frame shorter than its head");
  const head = JSON.parse(text.decode(new Uint8Array(buffer, 4, headEnd - 4)));
  return { ...head, body: buffer.slice(headEnd) };
}

/**
 * Follows one log. Events: `record` (detail: the record; every seq once, in order), `connection` (detail: true or
 * false), `unknown` (there is no such log). It stops by itself after a terminal record.
 */
export class Follower extends EventTarget {
  #url;
  #next = 0;
  #failures = 0;
  #socket = null;
  #timer = 0;
  #heardAt = 0;
  #over = false;

  /** url: offset -> address of the socket. */
  constructor(url) {
    super();
    this.#url = url;
  }

  /** The seq that comes next. */
  get offset() {
    return this.#next;
  }

  /** True after a terminal record, an unknown log, or close(). */
  get over() {
    return this.#over;
  }

  start() {
    addEventListener("online", this.#startOver);
    document.addEventListener("visibilitychange", this.#distrustOldSilence);
    this.#connect();
  }

  /** Say where the player is, in ms (null: it has paused); unsaid while there is no connection. */
  tell(position) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ position_ms: position }));
  }

  /** Somebody else says that there are this many records: a socket that has been silent for long is dead. */
  expect(count) {
    if (count > this.#next && performance.now() - this.#heardAt > LONG_OVERDUE_MS) this.#startOver();
  }

  close() {
    this.#over = true;
    clearTimeout(this.#timer);
    removeEventListener("online", this.#startOver);
    document.removeEventListener("visibilitychange", this.#distrustOldSilence);
    this.#socket?.close(NORMAL);
  }

  #connect() {
    const socket = new WebSocket(this.#url(this.#next));
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.#emit("connection", true);
    socket.onmessage = (event) => this.#receive(socket, event.data);
    socket.onclose = (event) => this.#closed(socket, event.code);
    this.#socket = socket;
    this.#heardAt = performance.now();
  }

  #receive(socket, data) {
    if (socket !== this.#socket) return;
    this.#heardAt = performance.now();
    const record = decodeFrame(data);
    if (record.seq < this.#next) return; // sent twice around a reconnect
    if (record.seq > this.#next) {
      socket.close(); // a hole: ask again from where we are
      return;
    }
    this.#next += 1;
    this.#failures = 0;
    this.#emit("record", record);
    if (TERMINAL.has(record.e)) this.close();
  }

  #closed(socket, code) {
    if (socket !== this.#socket || this.#over) return;
    this.#socket = null;
    this.#emit("connection", false);
    if (code === UNKNOWN_LOG) {
      this.close();
      this.#emit("unknown", null);
      return;
    }
    const bound = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#timer = setTimeout(() => this.#connect(), bound * (0.5 + Math.random() / 2));
  }

  /** On another network the old socket may stay open for ever and say nothing. */
  #startOver = () => {
    if (this.#over) return;
    clearTimeout(this.#timer);
    this.#failures = 0;
    const old = this.#socket;
    this.#socket = null;
    old?.close();
    this.#connect();
  };

  /** A phone that slept may hold a socket that will never say anything again, not even that it is closed. */
  #distrustOldSilence = () => {
    const silence = performance.now() - this.#heardAt;
    if (document.hidden || this.#socket === null || silence < SUSPICIOUS_SILENCE_MS) return;
    this.#startOver();
  };

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
