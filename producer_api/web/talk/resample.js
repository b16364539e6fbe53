/**
 * Sound at another rate, block by block: a windowed sinc, so that what the lower rate can not carry is taken away
 * instead of folded back as noise.
 */

/** Zero crossings of the sinc on each side, at the lower of the rates. */
const ZEROS = 24;

/** Of the Kaiser window: what is folded back is 80 dB down. */
const BETA = 8;

/** Of the lower rate's half, what passes; behind it the filter falls off. */
const PASS = 0.92;

export class Resampler {
  #up;
  #down;
  #half;
  #phases = [];
  #kept;
  #phase = 0;

  /** from, to: Hz, whole. */
  constructor(from, to) {
    const common = gcd(from, to);
    const ratio = Math.min(1, to / from);
    this.#up = to / common;
    this.#down = from / common;
    this.#half = Math.ceil(ZEROS / ratio);
    this.#kept = new Float32Array(this.#half - 1); // silence before the first sample
    if (from === to) return;
    for (let phase = 0; phase < this.#up; phase += 1) {
      this.#phases.push(taps(this.#half, phase / this.#up, PASS * ratio));
    }
  }

  /** Samples that follow the last ones; as many as can be told by now at the other rate (it lags by some ms). */
  push(samples) {
    if (this.#phases.length === 0) return samples;
    const input = new Float32Array(this.#kept.length + samples.length);
    input.set(this.#kept);
    input.set(samples, this.#kept.length);
    const width = 2 * this.#half;
    const output = [];
    let at = 0;
    while (at + width <= input.length) {
      const weights = this.#phases[this.#phase];
      let sum = 0;
      for (let n = 0; n < width; n += 1) sum += weights[n] * input[at + n];
      output.push(sum);
      this.#phase += this.#down;
      at += Math.floor(this.#phase / this.#up);
      this.#phase %= this.#up;
    }
    this.#kept = input.slice(Math.min(at, input.length));
    return Float32Array.from(output);
  }
}

const gcd = (a, b) => (b === 0 ? a : gcd(b, a % b));

/** Weights of the samples around a point that lies this part of a sample behind one of them; they add up to 1. */
function taps(half, part, cutoff) {
  const weights = Float32Array.from({ length: 2 * half }, (_, n) => {
    const x = n - (half - 1) - part;
    return sinc(cutoff * x) * kaiser(x / half);
  });
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}

const sinc = (x) => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const kaiser = (x) => (Math.abs(x) > 1 ? 0 : bessel(BETA * Math.sqrt(1 - x * x)) / bessel(BETA));

/** Modified Bessel function of the first kind, order 0, by its series. */
function bessel(x) {
  let [sum, term] = [1, 1];
  for (let k = 1; term > 1e-9 * sum; k += 1) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
