/** The bar at the bottom: play, position, pace, the live edge; and the keys that mean the same. */

import { RATE } from "./chunks.js";
import { clock, recall, remember, say } from "./words.js";

const STEP_S = 5;
const HELD_BACK_MS = 1_000;
const PACE = "castline:pace";
const ON = ["playing", "buffering"];
const $ = (id) => document.getElementById(id);

/** Event `moved`: the listener has gone to another place. */
export class Dock extends EventTarget {
  #player;
  #dragging = false;
  #since = 0; // when the player's state has changed

  constructor(player) {
    super();
    this.#player = player;
    player.addEventListener("state", () => this.#showState());
    $("play").addEventListener("click", () => player.toggle());
    $("live").addEventListener("click", () => this.goLive());
    this.#bindPace();
    this.#bindSeek();
    addEventListener("keydown", (event) => this.#key(event));
    addEventListener("keyup", keepSentencesFromClicking);
  }

  seek(seconds) {
    this.#player.seek(seconds);
    this.dispatchEvent(new CustomEvent("moved"));
  }

  /** One sentence back (-1) or on (1). */
  sentence(step) {
    const { units, currentTime } = this.#player;
    const here = this.#player.unitAt(currentTime)?.index ?? units.length;
    const unit = units[Math.max(0, here + step)];
    if (unit) this.seek(unit.start / RATE);
  }

  /** To the newest sentence, and on with whatever comes. */
  goLive() {
    this.seek((this.#newest()?.start ?? 0) / RATE);
    this.#player.play();
  }

  /** expected: seconds that the whole will have; live: more may come. */
  draw(expected, live) {
    const { heardTime, duration, over, state } = this.#player;
    const scale = (seconds) => (expected > 0 ? `${(100 * seconds) / expected}%` : "0%");
    const shown = this.#dragging ? Number($("seek").value) : heardTime;
    $("scrub").style.setProperty("--heard", scale(shown));
    $("scrub").style.setProperty("--made", scale(duration));
    if (!this.#dragging) {
      $("seek").max = expected || 1;
      $("seek").value = heardTime;
    }
    $("seek").disabled = duration === 0;
    const spoken = `${clock(shown)} of ${clock(duration)}${over ? "" : " made so far"}`;
    if ($("seek").getAttribute("aria-valuetext") !== spoken) $("seek").setAttribute("aria-valuetext", spoken);
    say("now", clock(shown));
    const total = duration > 0 ? `${over ? "of" : "made:"} ${clock(duration)}` : "";
    const waits = state === "buffering" ? "waiting for more…" : total;
    say("total", this.#heldBack() ? "the browser waits: press play" : waits);
    $("live").hidden = !live || heardTime * RATE >= (this.#newest()?.start ?? 0);
  }

  #newest() {
    return this.#player.units.findLast((unit) => unit.samples > 0);
  }

  /** Without a gesture, or in a call, browsers let nothing sound. */
  #heldBack() {
    return this.#player.state === "starting" && performance.now() - this.#since > HELD_BACK_MS;
  }

  #showState() {
    const { state } = this.#player;
    this.#since = performance.now();
    $("play").setAttribute("aria-label", ON.includes(state) ? "Pause" : "Play");
    document.body.dataset.player = state;
  }

  #bindPace() {
    const pace = $("pace");
    const choose = () => {
      this.#player.speed = Number(pace.value);
      this.dispatchEvent(new CustomEvent("moved"));
    };
    const known = recall("localStorage", PACE);
    if ([...pace.options].some((option) => option.value === known)) pace.value = known;
    choose();
    pace.addEventListener("change", () => {
      choose();
      remember("localStorage", PACE, pace.value);
    });
  }

  #bindSeek() {
    $("seek").addEventListener("input", () => {
      this.#dragging = true;
      $("seek").value = Math.min(Number($("seek").value), this.#player.duration);
    });
    $("seek").addEventListener("change", () => {
      this.#dragging = false;
      this.seek(Number($("seek").value));
    });
  }

  /** Space and arrows work wherever they have no meaning of their own. */
  #key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const own = event.target.closest("a, button, input, select");
    const sentence = own?.closest(".transcript");
    if (event.key === " " && (!own || own.type === "range" || sentence)) {
      event.preventDefault();
      if (!event.repeat) this.#player.toggle();
    }
    const arrows = own?.type === "range" || own?.matches("select");
    if (arrows || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    event.preventDefault();
    this.seek(this.#player.currentTime + (event.key === "ArrowLeft" ? -STEP_S : STEP_S));
  }
}

/** A button fires on the release of space: not a sentence, there space was play or pause. */
function keepSentencesFromClicking(event) {
  if (event.key === " " && event.target.closest(".transcript")) event.preventDefault();
}
