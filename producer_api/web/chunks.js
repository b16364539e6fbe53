/**
 * The chunks of a cast in memory: compressed bytes up to a bound, decoded audio only around the listener.
 * A minute of decoded audio is 6 MB, of bytes 0.3 MB; what was let go of is fetched again when it is needed.
 */

export const RATE = 24_000;

/** Decoded this far ahead and kept this far behind, in samples. */
export const AHEAD = 30 * RATE;
const BEHIND = 10 * RATE;

const BYTES_KEPT = 16 * 2 ** 20;
const DECODES_AT_ONCE = 4;
const REFETCH_MS = 2_000;

/** Can the player pass this unit now? */
export const settled = (unit) => unit.skipped || unit.broken || unit.buffer !== null;

/** Index of the first unit with sound after this sample; units.length when there is none yet. */
export function indexAt(units, position) {
  let low = 0;
  let high = units.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const { start, samples } = units[middle];
    if (start + samples > position) high = middle;
    else low = middle + 1;
  }
  return low;
}

export class Chunks {
  #fetchBody;
  #changed;
  #onBroken;
  #decoder = null;
  #decoded = new Set();
  #decoding = 0;
  #bytes = 0;

  /**
   * fetchBody: unit -> Promise of its bytes, of null if they are gone; rejects with a TypeError without a network.
   * changed: called when a unit has been decoded. onBroken: called with a unit that can not be.
   */
  constructor(fetchBody, changed, onBroken) {
    this.#fetchBody = fetchBody;
    this.#changed = changed;
    this.#onBroken = onBroken;
  }

  /** Chunks held decoded. */
  get decodedCount() {
    return this.#decoded.size;
  }

  /** Bytes of compressed audio held. */
  get byteCount() {
    return this.#bytes;
  }

  /** The unit that a record stands for. It starts at this sample. */
  add(record, start) {
    const skipped = record.e === "skip";
    const body = skipped ? null : record.body;
    this.#bytes += body?.byteLength ?? 0;
    return {
      index: record.i,
      seq: record.seq,
      text: record.t,
      words: record.words ?? [],
      start,
      samples: skipped ? 0 : record.n,
      skipped,
      reason: record.reason ?? "",
      body,
      buffer: null,
      busy: false,
      broken: false,
      retryAt: 0,
    };
  }

  /** Decode what is ahead of units[from], drop what is far from this sample. */
  tend(units, from, position) {
    this.#letGo(units, from, position);
    for (let at = from; at < units.length; at += 1) {
      const unit = units[at];
      if (unit.start >= position + AHEAD || this.#decoding >= DECODES_AT_ONCE) return;
      if (!settled(unit) && !unit.busy && performance.now() >= unit.retryAt) this.#decode(unit);
    }
  }

  async #decode(unit) {
    unit.busy = true;
    this.#decoding += 1;
    try {
      const body = await this.#bodyOf(unit);
      if (body !== null) unit.buffer = await this.#decodeBytes(body);
      if (body !== null) this.#decoded.add(unit);
    } catch (error) {
      if (!(error instanceof DOMException)) throw error; // what decodeAudioData rejects with
      this.#giveUp(unit);
    } finally {
      unit.busy = false;
      this.#decoding -= 1;
    }
    this.#changed();
  }

  #decodeBytes(body) {
    this.#decoder ??= new OfflineAudioContext(1, 1, RATE); // needs no gesture, unlike the one that sounds
    return this.#decoder.decodeAudioData(body.slice(0)); // it detaches what it is given
  }

  /** The bytes, fetched again if need be; null when there are none now. */
  async #bodyOf(unit) {
    if (unit.body !== null) return unit.body;
    try {
      unit.body = await this.#fetchBody(unit);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      unit.retryAt = performance.now() + REFETCH_MS;
      setTimeout(this.#changed, REFETCH_MS);
      return null;
    }
    if (unit.body === null) this.#giveUp(unit);
    else this.#bytes += unit.body.byteLength;
    return unit.body;
  }

  #giveUp(unit) {
    unit.broken = true;
    this.#onBroken(unit);
  }

  #letGo(units, here, position) {
    const near = (unit, ahead) => unit.start + unit.samples >= position - BEHIND && unit.start < position + ahead;
    for (const unit of this.#decoded) {
      if (near(unit, AHEAD + BEHIND)) continue;
      unit.buffer = null;
      this.#decoded.delete(unit);
    }
    if (this.#bytes <= BYTES_KEPT) return;
    const spare = units.filter((unit) => unit.body !== null && !unit.busy && !near(unit, AHEAD + BEHIND));
    spare.sort((a, b) => Math.abs(b.index - here) - Math.abs(a.index - here));
    for (const unit of spare) {
      if (this.#bytes <= BYTES_KEPT * 0.9) return; // some slack, or every new record would sort again
      this.#bytes -= unit.body.byteLength;
      unit.body = null;
    }
  }
}
