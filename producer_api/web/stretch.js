/**
 * Speech at another pace, at its own pitch: WSOLA (waveform similarity overlap-add, Verhelst and Roelands 1993).
 * The sound is cut into short hops that are laid closer together or further apart; each is taken from where, within a
 * few ms, it continues the one before best. So time stays linear to those few ms, and captions stay in step.
 */

/** 15 ms at 24 kHz: every hop is faded into the next over its whole length. */
const HOP = 360;

/** 8 ms to either side: together more than a period of the lowest voice. */
const REACH = 192;

/** The search looks at every fourth place and sample first. */
const COARSE = 4;

const RISE = Float32Array.from({ length: HOP }, (_, at) => 0.5 - 0.5 * Math.cos((Math.PI * (at + 0.5)) / HOP));

/** An AudioBuffer (its first channel) that takes 1 / speed of the time. */
export function stretched(buffer, speed) {
  const samples = stretch(buffer.getChannelData(0), speed);
  const other = new AudioBuffer({ length: Math.max(1, samples.length), sampleRate: buffer.sampleRate });
  other.copyToChannel(samples, 0);
  return other;
}

/** Float32Array -> Float32Array of round(length / speed) samples. */
export function stretch(samples, speed) {
  const out = new Float32Array(Math.round(samples.length / speed));
  const padded = new Float32Array(samples.length + 4 * HOP + 2 * REACH);
  padded.set(samples, REACH);
  let follows = REACH; // where what was laid down last would go on
  for (let at = 0; at < out.length; at += HOP) {
    const middle = (at + HOP) * speed; // where what is taken is loudest
    const target = REACH + Math.min(Math.max(0, Math.round(middle) - HOP), samples.length);
    const taken = at === 0 ? follows : closest(padded, follows, target);
    const count = Math.min(HOP, out.length - at);
    for (let j = 0; j < count; j += 1) {
      out[at + j] = padded[follows + j] * (1 - RISE[j]) + padded[taken + j] * RISE[j];
    }
    follows = taken + HOP;
  }
  return out;
}

/** The start near target from which the sound is most like the one that starts at follows. */
function closest(padded, follows, target) {
  const rough = best(padded, follows, target - REACH, target + REACH, COARSE);
  return best(padded, follows, Math.max(target - REACH, rough - COARSE), Math.min(target + REACH, rough + COARSE), 1);
}

function best(padded, follows, from, to, step) {
  let found = from;
  let highest = -Infinity;
  for (let start = from; start <= to; start += step) {
    let product = 0;
    let energy = 1e-9;
    for (let j = 0; j < HOP; j += step) {
      const sample = padded[start + j];
      product += sample * padded[follows + j];
      energy += sample * sample;
    }
    const likeness = product / Math.sqrt(energy);
    if (likeness > highest) [found, highest] = [start, likeness];
  }
  return found;
}
