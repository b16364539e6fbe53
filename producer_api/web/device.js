/** The audio device of a page: an AudioContext, with what browsers do to it. */

import { RATE } from "./chunks.js";

/** At the cast's own rate where the browser can, so that nothing is resampled between units. */
export function openDevice() {
  try {
    return new AudioContext({ sampleRate: RATE, latencyHint: "balanced" });
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
    return new AudioContext({ latencyHint: "balanced" });
  }
}

/** Browsers that still want a gesture, or are in a call, wait or refuse; either way the context's state says so. */
export function wakeDevice(context) {
  context.resume().catch((error) => {
    if (!(error instanceof DOMException)) throw error;
  });
}

/** currentTime goes in steps of the device's buffer, which can be 80 ms; a guess that is further off is none. */
const LARGEST_STEP_S = 0.1;
const ASK_AGAIN_MS = 10_000;
const asked = new WeakMap();

/**
 * The time of the audio clock that leaves the loudspeaker now, in s: currentTime less what the device holds.
 *
 * Firefox asks the sound server each time, and waits for its answer in the page's own thread. So it is asked now and
 * then, and the clock goes on in between.
 */
export function outputTime(context) {
  const now = performance.now();
  let known = asked.get(context);
  const left = known && known.contextTime + (now - known.performanceTime) / 1000;
  const far = !known || left > context.currentTime + LARGEST_STEP_S || left < context.currentTime - known.held - LARGEST_STEP_S;
  if (context.state === "running" && (far || now - known.at > ASK_AGAIN_MS)) known = ask(context, now);
  if (!known) return context.currentTime;
  const guess = context.state === "running" ? known.contextTime + (now - known.performanceTime) / 1000 : context.currentTime - known.held;
  return Math.min(context.currentTime + LARGEST_STEP_S, guess);
}

function ask(context, now) {
  const { contextTime, performanceTime } = context.getOutputTimestamp();
  if (contextTime === 0) return null; // nothing has come out yet
  const held = Math.max(0, context.currentTime - contextTime - (now - performanceTime) / 1000);
  const known = { contextTime, performanceTime, held, at: now };
  asked.set(context, known);
  return known;
}
