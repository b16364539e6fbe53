/** The page of one cast: the log comes in, sound and text go out. */

import { RATE } from "./chunks.js";
import { Dock } from "./dock.js";
import { Follower } from "./frames.js";
import { bindLockScreen } from "./lockscreen.js";
import { Player } from "./player.js";
import { bindSharing } from "./share.js";
import { book, forget, note, shelve } from "./shelf.js";
import { Transcript } from "./transcript.js";
import { ask, say, stateLine, waitingLine } from "./words.js";

const POLL_WAITING_MS = 2_000;
const POLL_LIVE_MS = 10_000;
const KEEP_MS = 2_000;
const WORTH_RESUMING_S = 3;
const LONG_TITLE = 60;

/** The line under the title changes with every sentence; only these are read aloud. */
const ANNOUNCED = { waiting: "Waiting", live: "Being made", done: "Complete", cancelled: "Stopped", failed: "Failed" };

const $ = (id) => document.getElementById(id);
const id = decodeURIComponent(location.pathname.split("/").filter(Boolean).pop());
const api = `/v1/casts/${encodeURIComponent(id)}`;

const player = new Player(fetchBody);
const transcript = new Transcript($("transcript"));
const follower = new Follower((offset) => `${location.origin.replace(/^http/, "ws")}${api}/follow?offset=${offset}`);
const dock = new Dock(player);
const lockScreen = bindLockScreen(player, {
  play: () => player.play(),
  pause: () => player.pause(),
  seek: (seconds) => dock.seek(seconds),
  sentence: (step) => dock.sentence(step),
});

let state = "";
let status = null;
let resumeAt = book(id)?.position ?? 0;
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
    shelve(id, { title });
    lockScreen.tellTitle(title || "A cast");
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
  note(id, { state: outcome, duration: player.duration });
  refresh();
}

follower.addEventListener("record", ({ detail: record }) => {
  onRecord[record.e]?.(record);
  if (state === "waiting") setState("waiting"); // the first unit ends the wait, before the API is asked again
  stale = true; // a replay brings hundreds of records per frame
});
follower.addEventListener("unknown", () => nothingHere("There is no cast at this address, or it has expired."));
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
    follower.expect(body.watermark + 1); // and meta
    showLinks(body.links);
  } else if (problem.status === 404) {
    nothingHere(problem.detail);
    follower.close();
  }
  showState();
}

function showLinks({ audio, captions }) {
  for (const format of ["mp3", "opus", "flac", "wav"]) $(format).href = audio[format];
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

function nothingHere(why) {
  setState("unknown");
  forget(id);
  complain(why);
}

const live = () => !follower.over && (state === "live" || state === "waiting");

function showState() {
  stale = false;
  const unknown = state === "unknown";
  const early = !unknown && player.units.length === 0 && !follower.over && status !== null;
  document.body.dataset.state = state;
  say("announce", ANNOUNCED[state] ?? "");
  say("state", unknown ? "Nothing here" : stateLine(state, player.units.length, player.duration, status));
  $("waiting").hidden = !early;
  if (early) say("waiting", waitingLine(status));
  $("stop").hidden = !live();
  $("play").disabled = unknown;
}

function complain(words) {
  $("problem").textContent = words;
  $("problem").hidden = false;
}

// The player

player.addEventListener("unit", ({ detail: unit }) => {
  transcript.add(unit);
  if (player.state === "playing") lockScreen.tellPosition(); // there is more of it now
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
  if (now !== "buffering") tellPlayhead(); // whoever waits for more has said where he is
  keepPosition();
});
dock.addEventListener("moved", () => {
  lockScreen.tellPosition();
  tellPlayhead();
  keepPosition();
});
transcript.addEventListener("choose", ({ detail: { unit, ms } }) => {
  dock.seek(unit.start / RATE + ms / 1000);
  player.play();
});

/** What is heard soonest is made first. Before the first play the server takes it that we begin at the beginning. */
function tellPlayhead() {
  if (player.state === "idle" || follower.over) return;
  follower.tell(player.state === "paused" ? null : Math.round(player.currentTime * 1000));
}

function keepPosition() {
  if (player.state === "idle") return; // before anything was heard the place from last time stands
  const { currentTime, duration } = player;
  const worth = currentTime > WORTH_RESUMING_S && !(player.over && currentTime > duration - 1);
  note(id, { position: worth ? currentTime : 0, duration });
}

function draw() {
  if (stale) showState();
  dock.draw(Math.max(player.duration, player.over ? 0 : expectedDuration()), live());
  const unit = player.state === "idle" ? null : player.unitAt(player.heardTime);
  transcript.show(unit, unit && player.heardTime * 1000 - (unit.start * 1000) / RATE);
  requestAnimationFrame(draw);
}

/** Guess the whole from the part, by units. */
function expectedDuration() {
  const made = player.units.length;
  return made > 0 && status?.units > made ? (player.duration * status.units) / made : player.duration;
}

// The listener

addEventListener("pagehide", keepPosition);
setInterval(() => player.state === "playing" && keepPosition(), KEEP_MS);
bindSharing();

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
