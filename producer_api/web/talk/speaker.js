/**
 * The loudspeaker: sound of replies is queued with its text, and both come out together, by the count of samples that
 * have really gone out. All times are s.
 */

const MODULE = new URL("playback.js", import.meta.url);
const RATE = 24_000;

/** The last of a sound may stay in the resampler, and nobody misses it. */
const TAIL_S = 0.005;

/** Event `caption` (detail: {item, text}): what begins to sound now. */
export class Speaker extends EventTarget {
  #context;
  #node = null;
  #run = 0;
  #pushed = 0; // of this run
  #heard = 0;
  #marks = []; // {item, text, at}: captions that wait for their sound
  #spans = new Map(); // item -> {start, length} in this run
  #flushed = new Map(); // run -> what to do with the last count of it

  /** Loudness of the last 30 ms, 0 to 1. */
  level = 0;

  /** Samples that have gone out since the page was opened, at 24,000 Hz. */
  played = 0;

  constructor(context) {
    super();
    this.#context = context;
  }

  async start() {
    await this.#context.audioWorklet.addModule(MODULE);
    this.#node = new AudioWorkletNode(this.#context, "castline-playback", { numberOfInputs: 0, outputChannelCount: [1] });
    this.#node.port.onmessage = ({ data }) => this.#take(data);
    this.#node.connect(this.#context.destination);
  }

  /** Of what was queued since the last silence. */
  get heard() {
    return this.#heard;
  }

  /** Where all of it passes. */
  get output() {
    return this.#node;
  }

  get playing() {
    return this.#heard < this.#pushed - TAIL_S;
  }

  /** Text of the sound of this item that is pushed next. */
  say(item, text) {
    this.#marks.push({ item, text, at: this.#pushed });
    if (!this.playing) this.#show(this.#pushed); // nothing sounds: it may be a text that is never spoken
  }

  /** pcm: bytes, 16 bits, little-endian, 24,000 Hz. */
  push(item, pcm) {
    const view = new DataView(pcm.buffer);
    const samples = Float32Array.from({ length: pcm.length >> 1 }, (_, n) => view.getInt16(2 * n, true) / 32_768);
    const seconds = samples.length / RATE;
    const span = this.#spans.get(item) ?? { start: this.#pushed, length: 0 };
    span.length += seconds;
    this.#spans.set(item, span);
    this.#pushed += seconds;
    this.#node.port.postMessage({ pcm: samples }, [samples.buffer]);
  }

  /** Silence at once. Promise of [{item, ms}]: replies that were not heard to their end, and how much of them was. */
  flush() {
    const [spans, run] = [this.#spans, this.#run];
    this.#run += 1;
    this.#spans = new Map();
    this.#marks = [];
    this.#pushed = this.#heard = 0;
    if (this.#node === null) return Promise.resolve([]);
    this.#node.port.postMessage({ flush: this.#run });
    return new Promise((resolve) => this.#flushed.set(run, (heard) => resolve(unheard(spans, heard))));
  }

  #take({ run, heard, queued, level, over }) {
    if (over) {
      this.#flushed.get(run)?.(queued > 0 ? this.#audible(heard) : heard);
      this.#flushed.delete(run);
    }
    if (run !== this.#run) return;
    this.level = level;
    this.played += Math.max(0, Math.round((heard - this.#heard) * RATE));
    this.#heard = heard;
    this.#show(queued > 0 ? this.#audible(heard) : heard);
  }

  /**
   * What has gone out is heard a little later. The browser's own part of that is known; what the device adds is not asked
   * for: Firefox asks the sound server, and the page's own thread has been seen to wait for the answer for a minute.
   */
  #audible(heard) {
    return Math.max(0, heard - (this.#context.baseLatency || 0));
  }

  #show(heard) {
    while (this.#marks.length > 0 && this.#marks[0].at <= heard) {
      const { item, text } = this.#marks.shift();
      this.dispatchEvent(new CustomEvent("caption", { detail: { item, text } }));
    }
  }
}

function unheard(spans, heard) {
  return [...spans]
    .map(([item, { start, length }]) => ({ item, s: Math.max(0, heard - start), length }))
    .filter(({ s, length }) => s < length - 0.02)
    .map(({ item, s }) => ({ item, ms: Math.floor(1000 * s) }));
}
