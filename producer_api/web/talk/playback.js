/**
 * Audio thread: what is pushed sounds without a gap, from a ring buffer that grows with what it must hold.
 *
 * In: {pcm: Float32Array at 24,000 Hz}, {flush: number of the next run}. Out: {run, heard, queued, level}: seconds of this
 * run that have gone out and that wait, as counted here; after a flush once more, with `over`, for the run that it ended.
 * Runs out of sound: silence, which does not count, until there is more.
 */

import { Resampler } from "./resample.js";

const RATE = 24_000;
const REPORT = Math.round(0.03 * sampleRate);

/** Per sample: what is broken off fades within some ms instead of clicking. */
const FADE = 0.97;

class Playback extends AudioWorkletProcessor {
  #ring = new Float32Array(2 ** 18);
  #read = 0;
  #written = 0;
  #resampler = new Resampler(RATE, sampleRate);
  #run = 0;
  #last = 0;
  #unreported = 0;
  #energy = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => (data.pcm ? this.#push(data.pcm) : this.#flush(data.flush));
  }

  process(_, [[out]]) {
    const ready = Math.min(out.length, this.#written - this.#read);
    for (let n = 0; n < out.length; n += 1) {
      this.#last = n < ready ? this.#ring[(this.#read + n) % this.#ring.length] : this.#last * FADE;
      out[n] = this.#last;
      this.#energy += this.#last * this.#last;
    }
    this.#read += ready;
    this.#unreported += out.length;
    const drained = ready > 0 && this.#read === this.#written;
    if (drained || this.#unreported >= REPORT) this.#report();
    return true;
  }

  #push(pcm) {
    const samples = this.#resampler.push(pcm);
    while (this.#written - this.#read + samples.length > this.#ring.length) this.#grow();
    for (const sample of samples) {
      this.#ring[this.#written % this.#ring.length] = sample;
      this.#written += 1;
    }
  }

  #grow() {
    const larger = new Float32Array(2 * this.#ring.length);
    for (let at = this.#read; at < this.#written; at += 1) larger[at % larger.length] = this.#ring[at % this.#ring.length];
    this.#ring = larger;
  }

  #flush(next) {
    this.#report({ over: true });
    this.#read = this.#written = 0;
    this.#run = next;
    this.#resampler = new Resampler(RATE, sampleRate);
  }

  #report(more) {
    const level = Math.sqrt(this.#energy / Math.max(1, this.#unreported));
    const [heard, queued] = [this.#read / sampleRate, (this.#written - this.#read) / sampleRate];
    this.port.postMessage({ run: this.#run, heard, queued, level, ...more });
    this.#unreported = this.#energy = 0;
  }
}

registerProcessor("castline-playback", Playback);
