/**
 * Plays a cast while it grows, on a virtual timeline: a unit sounds at the sum of the samples before it, on the sample.
 * No media element and no MediaSource: chunks are decoded one by one and scheduled on the audio clock, so a seam is
 * exact in every browser, and a late chunk delays what follows instead of losing it.
 *
 * Positions inside are samples at 24 kHz; outside, seconds.
 */

import { AHEAD, Chunks, RATE, indexAt, settled } from "./chunks.js";
import { openDevice, outputTime, wakeDevice } from "./device.js";
import { stretched } from "./stretch.js";

const START_LEAD_S = 0.05;
const TOO_LATE_S = 0.004;
const FADE_S = 0.012;
const PUMP_MS = 150;

/** With this much on the audio clock one unit is stretched per pump, so that the page does not stand still. */
const AT_EASE_S = 2;

/**
 * Events: `state` (detail: the state), `unit` (detail: the unit, just added), `broken` (detail: a unit that this
 * browser can not decode; its time passes in silence).
 * State: idle (never played), starting (waits for the browser's leave), playing, buffering, paused, ended.
 */
export class Player extends EventTarget {
  /** Units in order: {index, seq, start, samples, text, skipped, reason, …}. */
  units = [];

  #chunks;
  #context = null;
  #output = null;
  #bus = null;

  #committed = 0;
  #over = false;
  #wanted = false;
  #touched = false;
  #state = "idle";
  #speed = 1;

  #held = 0; // where we are while nothing sounds
  #anchor = null; // {time, position}: this position sounds at that time of the audio clock
  #scheduled = 0; // everything before this sample is on the audio clock
  #next = 0; // index of the unit to schedule
  #sources = new Set();

  #timer = 0;

  /** fetchBody: unit -> Promise of its bytes, for a body that was let go of; see Chunks. */
  constructor(fetchBody) {
    super();
    this.#chunks = new Chunks(fetchBody, () => this.#pump(), (unit) => this.#emit("broken", unit));
  }

  /** Takes `audio` and `skip` records in order. */
  append(record) {
    const unit = this.#chunks.add(record, this.#committed);
    this.units.push(unit);
    this.#committed += unit.samples;
    this.#emit("unit", unit);
    this.#pump();
  }

  /** No more units will come. */
  finish() {
    this.#over = true;
    this.#pump();
  }

  get state() {
    return this.#state;
  }

  /** Seconds from the start of the cast. */
  get currentTime() {
    return this.#position() / RATE;
  }

  /** As currentTime, of what comes out of the loudspeaker now: devices are late, wireless ones by 200 ms and more. */
  get heardTime() {
    if (this.#anchor === null) return this.currentTime;
    const late = (this.#context.currentTime - outputTime(this.#context)) * this.#speed;
    return Math.max(Math.min(this.currentTime, this.#anchor.position / RATE), this.currentTime - late);
  }

  /** Of playback, pitch kept: 2 is twice as fast. */
  get speed() {
    return this.#speed;
  }

  set speed(speed) {
    this.#hold(this.#position());
    this.#speed = speed;
    this.#pump();
  }

  /** Seconds that can be played now: the live edge. */
  get duration() {
    return this.#committed / RATE;
  }

  /** True when duration is final. */
  get over() {
    return this.#over;
  }

  /** Chunks held decoded. */
  get decodedCount() {
    return this.#chunks.decodedCount;
  }

  /** The audio context once play() has been called, and the node that everything sounds through. */
  get context() {
    return this.#context;
  }

  get output() {
    return this.#output;
  }

  /** The unit that sounds at this position in seconds; null past the live edge. */
  unitAt(seconds) {
    return this.units[indexAt(this.units, Math.round(seconds * RATE))] ?? null;
  }

  /** Must first be called from a gesture: that is when browsers let a page make sound. */
  play() {
    if (this.#state === "ended") this.seek(0);
    this.#wanted = true;
    this.#touched = true;
    this.#context ??= this.#openContext();
    wakeDevice(this.#context);
    this.#timer ||= setInterval(() => this.#pump(), PUMP_MS);
    this.#pump();
  }

  pause() {
    if (!this.#wanted) return;
    this.#hold(this.#position());
    this.#wanted = false;
    this.#stopTimer();
    // Let the fade be heard; a play() in between takes precedence.
    setTimeout(() => this.#wanted || this.#context.state === "closed" || this.#context.suspend(), 4_000 * FADE_S);
    this.#pump();
  }

  /** A press while the browser holds the sound back asks for it again. */
  toggle() {
    if (this.#wanted && !["ended", "starting"].includes(this.#state)) this.pause();
    else this.play();
  }

  /** After a call, an alarm or a time in the background: go on, if that is what the listener wants. */
  wake() {
    if (this.#wanted) wakeDevice(this.#context);
    this.#pump();
  }

  /** For good: gives the audio device back. */
  close() {
    this.#wanted = false;
    this.#stopTimer();
    this.#context?.close();
  }

  /** Seconds; clamped to what is committed. */
  seek(seconds) {
    const target = Math.min(Math.max(0, Math.round(seconds * RATE)), this.#committed);
    this.#hold(target);
    this.#touched ||= target > 0;
    this.#pump();
  }

  #openContext() {
    const context = openDevice();
    context.onstatechange = () => this.#pump();
    this.#output = new GainNode(context);
    this.#output.connect(context.destination);
    return context;
  }

  #position() {
    if (this.#anchor === null) return this.#held;
    const elapsed = Math.max(0, this.#context.currentTime - this.#anchor.time);
    return Math.min(this.#anchor.position + elapsed * RATE * this.#speed, this.#scheduled);
  }

  /** Take everything off the audio clock, without a click, and stand at this sample. */
  #hold(position) {
    this.#held = Math.round(position);
    this.#anchor = null;
    if (this.#sources.size === 0) return;
    const now = this.#context.currentTime;
    this.#bus.gain.setTargetAtTime(0, now, FADE_S / 4);
    for (const source of this.#sources) source.stop(now + FADE_S);
    this.#sources.clear();
    this.#bus = null;
  }

  /** Brings decoding, scheduling and the state up to date; harmless at any time. */
  #pump() {
    if (this.#wanted && this.#context.state === "running") {
      if (this.#anchor !== null && this.#context.currentTime >= this.#timeOf(this.#scheduled)) this.#runDry();
      if (this.#anchor === null) this.#raiseAnchor();
      if (this.#anchor !== null) this.#schedule();
    }
    const position = this.#position();
    this.#chunks.tend(this.units, indexAt(this.units, position), position);
    this.#tellState();
  }

  #timeOf(position) {
    return this.#anchor.time + (position - this.#anchor.position) / (RATE * this.#speed);
  }

  /** All that was scheduled has been heard. */
  #runDry() {
    this.#held = this.#scheduled;
    this.#anchor = null;
    this.#sources.clear();
    this.#bus = null;
  }

  #raiseAnchor() {
    const index = indexAt(this.units, this.#held);
    const unit = this.units[index];
    if (unit === undefined || !settled(unit)) return;
    const { currentTime, sampleRate } = this.#context;
    const time = Math.ceil((currentTime + START_LEAD_S) * sampleRate) / sampleRate; // on a sample of the device
    this.#anchor = { time, position: this.#held };
    this.#scheduled = this.#held;
    this.#next = index;
    this.#bus = new GainNode(this.#context);
    this.#bus.connect(this.#output);
  }

  #schedule() {
    const horizon = this.#position() + AHEAD;
    for (; this.#next < this.units.length && this.#scheduled < horizon; this.#next += 1) {
      const unit = this.units[this.#next];
      if (!settled(unit)) return;
      const when = this.#timeOf(this.#scheduled);
      if (when < this.#context.currentTime + TOO_LATE_S) {
        this.#runDry(); // it would start late and overlap its successor: shift the timeline instead, at the next pump
        return;
      }
      if (unit.buffer) this.#startSource(unit, when);
      this.#scheduled = unit.start + unit.samples;
      if (this.#speed !== 1 && when > this.#context.currentTime + AT_EASE_S) {
        this.#next += 1;
        return;
      }
    }
  }

  #startSource(unit, when) {
    const buffer = this.#speed === 1 ? unit.buffer : stretched(unit.buffer, this.#speed);
    const source = new AudioBufferSourceNode(this.#context, { buffer });
    const pace = RATE * this.#speed;
    source.connect(this.#bus);
    source.start(when, (this.#scheduled - unit.start) / pace, (unit.start + unit.samples - this.#scheduled) / pace);
    source.onended = () => {
      this.#sources.delete(source);
      this.#pump();
    };
    this.#sources.add(source);
  }

  #tellState() {
    const atEnd = this.#anchor === null && this.#over && this.#held >= this.#committed;
    if (atEnd && this.#wanted && this.#touched) this.#stopAtEnd();
    const state = this.#currentState(atEnd);
    if (state === this.#state) return;
    this.#state = state;
    this.#emit("state", state);
  }

  #currentState(atEnd) {
    if (atEnd && this.#touched && this.#context !== null) return "ended";
    if (!this.#wanted) return this.#touched ? "paused" : "idle";
    if (this.#context.state !== "running") return "starting";
    return this.#anchor === null ? "buffering" : "playing";
  }

  #stopAtEnd() {
    this.#wanted = false;
    this.#stopTimer();
  }

  #stopTimer() {
    clearInterval(this.#timer);
    this.#timer = 0;
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}
