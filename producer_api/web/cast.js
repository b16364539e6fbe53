/** The page of one cast: the log comes in, sound and text go out. */

import { RATE } from "./chunks.js";
import { Follower } from "./frames.js";
import { Player } from "./player.js";
import { Transcript } from "./transcript.js";
import { ask, clock, recall, remember, stateLine, waitingLine } from "./words.js";

const POLL_WAITING_MS = 2_000;
const POLL_LIVE_MS = 10_000;
const REMEMBER_MS = 2_000;
const STEP_S = 5;
const WORTH_RESUMING_S = 3;
const LONG_TITLE = 60;

/** The line under the title changes with every sentence; only these are read aloud. */
const ANNOUNCED = { waiting: "Waiting", live: "Being made", done: "Complete", cancelled: "Stopped", failed: "Failed" };

const $ = (id) => document.getElementById(id);
const id = decodeURIComponent(location.pathname.split("/").filter(Boolean).pop());
const api = `/v1/casts/${encodeURIComponent(id)}`;
const memory = `castline:position:${id}`;

const player = new Player(fetchBody);
const transcript = new Transcript($("transcript"));
const follower = new Follower((offset) => `${location.origin.replace(/^http/, "ws")}${api}/follow?offset=${offset}`);

let state = "";
let status = null;
let resumeAt = Number(recall("localStorage", memory)) || 0;
let rememberedAt = 0;
let dragging = false;
let stale = false;

async function fetchBody(unit) {
  const response = await fetch(`${api}/records/${unit.seq}`);
  if (response.status === 404 || response.status === 410) return null;
  if (!response.ok) throw new TypeError(`record ${unit.seq}: ${response.status}`);
  return response.arrayBuffer();
}

// What the log says

const onRecord = {
  meta: ({ title }) => {
    if (!title) return;
    $("title").textContent = title;
    $("title").classList.toggle("long", title.length > LONG_TITLE);
    document.title = `${title} · castline`;
  },
  audio: (record) => player.append(record),
  skip: (record) => player.append(record),
  eos: () => finish("done"),
  cancelled: () => finish("cancelled"),
  error: ({ detail, title }) => {
    finish("failed");
    complain(detail || title || "The cast failed.");
  },
};

function finish(outcome) {
  setState(outcome);
  player.finish();
  refresh();
}

follower.addEventListener("record", ({ detail: record }) => {
  onRecord[record.e]?.(record);
  if (state === "waiting") setState("waiting"); // the first unit ends the wait, before the API is asked again
  stale = true; // a replay brings hundreds of records per frame
});
follower.addEventListener("unknown", () => {
  setState("unknown");
  complain("There is no cast at this address, or it has expired.");
});
follower.addEventListener("connection", ({ detail: connected }) => {
  if (connected) tellPlayhead();
  $("connection").hidden = connected || follower.over;
  $("connection").textContent = "The connection is lost; trying again. What is here goes on playing.";
});

// What the API says

async function refresh() {
  const { body, problem } = await ask(api);
  if (body) {
    status = body;
    if (!follower.over) setState(body.state);
    showLinks(body.links);
  } else if (problem.status === 404) {
    setState("unknown");
    complain(problem.detail);
    follower.close();
  }
  showState();
}

function showLinks({ audio, captions }) {
  $("mp3").href = audio.mp3;
  $("opus").href = audio.opus;
  $("vtt").href = captions;
  $("links").hidden = false;
}

/** Place in line, then pace, until the log is complete. */
async function poll() {
  await refresh();
  if (!follower.over) setTimeout(poll, player.units.length === 0 ? POLL_WAITING_MS : POLL_LIVE_MS);
}

function setState(next) {
  state = next === "waiting" && player.units.length > 0 ? "live" : next;
}

function showState() {
  stale = false;
  const unknown = state === "unknown";
  const early = !unknown && player.units.length === 0 && !follower.over && status !== null;
  const live = !follower.over && (state === "live" || state === "waiting");
  document.body.dataset.state = state;
  say("announce", ANNOUNCED[state] ?? "");
  say("state", unknown ? "Nothing here" : stateLine(state, player.units.length, player.duration, status));
  $("waiting").hidden = !early;
  if (early) say("waiting", waitingLine(status));
  $("stop").hidden = !live;
  $("play").disabled = unknown;
  $("seek").disabled = player.duration === 0;
}

/** Screen readers announce every change of a status line, so only write what is new. */
function say(where, words) {
  if ($(where).textContent !== words) $(where).textContent = words;
}

function complain(words) {
  $("problem").textContent = words;
  $("problem").hidden = false;
}

// The player

player.addEventListener("unit", ({ detail: unit }) => {
  transcript.add(unit);
  if (resumeAt > 0 && player.state === "idle" && player.duration > resumeAt) {
    player.seek(resumeAt);
    resumeAt = 0;
  }
});
player.addEventListener("broken", ({ detail: unit }) => {
  transcript.markBroken(unit);
  complain("This browser can not play some sentences of this cast. The MP3 below has them all.");
});
player.addEventListener("state", ({ detail: now }) => {
  const on = ["playing", "buffering", "starting"].includes(now);
  $("play").setAttribute("aria-label", on ? "Pause" : "Play");
  document.body.dataset.player = now;
  if (now !== "buffering") tellPlayhead(); // whoever waits for more has said where he is
  keepPosition();
});

/** What is heard soonest is made first. Before the first play the server takes it that we begin at the beginning. */
function tellPlayhead() {
  if (player.state === "idle" || follower.over) return;
  follower.tell(player.state === "paused" ? null : Math.round(player.currentTime * 1000));
}

function seek(seconds) {
  player.seek(seconds);
  tellPlayhead();
}

function keepPosition() {
  rememberedAt = performance.now();
  const { currentTime } = player;
  const worth = currentTime > WORTH_RESUMING_S && !(player.over && currentTime > player.duration - 1);
  remember("localStorage", memory, worth ? currentTime.toFixed(1) : null);
}

function draw() {
  if (stale) showState();
  const { currentTime, duration, over, state: playing } = player;
  const expected = Math.max(duration, over ? 0 : expectedDuration());
  const scale = (seconds) => (expected > 0 ? `${(100 * seconds) / expected}%` : "0%");
  const shown = dragging ? Number($("seek").value) : currentTime;
  $("scrub").style.setProperty("--heard", scale(shown));
  $("scrub").style.setProperty("--made", scale(duration));
  if (!dragging) {
    $("seek").max = expected || 1;
    $("seek").value = currentTime;
  }
  $("seek").setAttribute("aria-valuetext", `${clock(shown)} of ${clock(duration)}${over ? "" : " made so far"}`);
  say("now", clock(shown));
  const total = duration > 0 ? `${over ? "of" : "made:"} ${clock(duration)}` : "";
  say("total", playing === "buffering" ? "waiting for more…" : total);
  transcript.show(playing === "idle" ? null : player.unitAt(currentTime));
  if (playing === "playing" && performance.now() - rememberedAt > REMEMBER_MS) keepPosition();
  requestAnimationFrame(draw);
}

/** Guess the whole from the part, by units. */
function expectedDuration() {
  const made = player.units.length;
  return made > 0 && status?.units > made ? (player.duration * status.units) / made : player.duration;
}

// The listener

$("play").addEventListener("click", () => player.toggle());
$("seek").addEventListener("input", () => {
  dragging = true;
  $("seek").value = Math.min(Number($("seek").value), player.duration);
});
$("seek").addEventListener("change", () => {
  dragging = false;
  seek(Number($("seek").value));
});
transcript.addEventListener("choose", ({ detail: unit }) => {
  seek(unit.start / RATE);
  player.play();
});

/** Space and arrows work wherever they have no meaning of their own. */
addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const own = event.target.closest("a, button, input");
  const sentence = own?.closest(".transcript");
  if (event.key === " " && (!own || own.type === "range" || sentence)) {
    event.preventDefault();
    if (!event.repeat) player.toggle();
  }
  if (own?.type === "range" || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
  event.preventDefault();
  seek(player.currentTime + (event.key === "ArrowLeft" ? -STEP_S : STEP_S));
});
/** A button fires on the release of space: not a sentence, there space was play or pause. */
addEventListener("keyup", (event) => {
  if (event.key === " " && event.target.closest(".transcript")) event.preventDefault();
});
addEventListener("pagehide", keepPosition);

$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    $("copied").textContent = "Copied.";
  } catch (error) {
    // No clipboard without https, or the listener said no: show what to copy.
    if (!(error instanceof DOMException || error instanceof TypeError)) throw error;
    $("copied").textContent = location.href;
  }
});

/** Twice, because it can not be undone. */
$("stop").addEventListener("click", async () => {
  if ($("stop").dataset.armed !== "yes") {
    $("stop").dataset.armed = "yes";
    $("stop").textContent = "Really stop?";
    return;
  }
  const { problem } = await ask(api, { method: "DELETE" });
  const failed = problem && !(problem.status >= 200 && problem.status < 300); // success may have no body
  if (failed) complain(problem.detail);
});

window.castline = { player, follower };
follower.start();
poll();
requestAnimationFrame(draw);
