/**
 * Audio thread: the microphone, as 24,000 Hz PCM of 16 bits in blocks of 40 ms, while it is listened to.
 *
 * In: {listen: true | false}. Out: {level} for every block, with {pcm} while it is listened to; {paused: true} when the
 * last sample before a pause has gone out. A ring buffer keeps what came just before: people speak before they press.
 */

import { Resampler } from "./resample.js";

const RATE = 24_000;
const BLOCK = Math.round(0.04 * sampleRate);
const BEFORE = Math.round(0.2 * sampleRate);
const SIZE = 2 ** Math.ceil(Math.log2(BLOCK + BEFORE + 4_096));

class Capture extends AudioWorkletProcessor {
  #ring = new Float32Array(SIZE);
  #written = 0; // samples since the microphone was opened
  #sent = 0; // of these, up to here
  #blockEnd = BLOCK;
  #listens = false;
  #resampler = null;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => this.#listen(data.listen);
  }

  process([[channel]]) {
    for (const sample of channel ?? []) {
      this.#ring[this.#written % SIZE] = sample;
      this.#written += 1;
    }
    if (this.#written >= this.#blockEnd) {
      this.#emit();
      this.#blockEnd = this.#written + BLOCK;
    }
    return true;
  }

  #listen(listens) {
    if (listens && !this.#listens) {
      this.#sent = Math.max(this.#sent, this.#written - BEFORE);
      this.#resampler = new Resampler(sampleRate, RATE);
    }
    if (!listens) {
      if (this.#listens) this.#emit();
      this.port.postMessage({ paused: true });
    }
    this.#listens = listens;
  }

  #emit() {
    const level = rms(this.#since(Math.max(0, this.#written - BLOCK)));
    if (!this.#listens) {
      this.port.postMessage({ level });
      return;
    }
    const pcm = pcm16(this.#resampler.push(this.#since(this.#sent)));
    this.#sent = this.#written;
    this.port.postMessage({ level, pcm }, [pcm]);
  }

  #since(from) {
    return Float32Array.from({ length: this.#written - from }, (_, n) => this.#ring[(from + n) % SIZE]);
  }
}

const rms = (samples) => Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / Math.max(1, samples.length));

/** Little-endian, whatever this machine is. */
function pcm16(samples) {
  const view = new DataView(new ArrayBuffer(2 * samples.length));
  samples.forEach((x, n) => view.setInt16(2 * n, Math.round(32_767 * Math.min(1, Math.max(-1, x))), true));
  return view.buffer;
}

registerProcessor("castline-capture", Capture);
