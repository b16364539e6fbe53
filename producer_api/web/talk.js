/** The page to talk on: what the user does, and how it stands. */

import { Chat } from "./talk/chat.js";
import { Line } from "./talk/line.js";
import { offerModels, offerVoices } from "./talk/choices.js";
import { Hold } from "./talk/hold.js";
import { microphoneProblem } from "./talk/microphone.js";
import { Sound, possible } from "./talk/sound.js";
import { recall, remember } from "./words.js";

const KEPT = ["turns", "voice", "model"];
const LINE = {
  connecting: "Connecting…",
  lost: "The connection is lost; trying again.",
  busy: "Nobody can answer now; trying again.",
  refused: "The server does not take this conversation.",
};
const INSECURE =
  "Browsers give the microphone and sound to a page on localhost or over HTTPS only. Here you can write, and replies are text.";

/** A meter is full at -10 dB and empty at -60 dB: loudness is heard by its ratios. */
const [QUIET_DB, LOUD_DB] = [-60, -10];

const $ = (id) => document.getElementById(id);
const key = (name) => `castline:talk:${name}`;
const sound = new Sound();
const { microphone } = sound;
const line = new Line();
const chat = new Chat(line, $("conversation"), settings, follow);
let hearing = "whisper";
let notice = ""; // for the user, when there is a line again
let sounding = false;

function settings() {
  const { value: turns } = $("turns");
  return { turns, hearing, voice: $("voice").value, model: $("model").value, spoken: $("spoken").checked };
}

const handsFree = () => $("turns").value !== "push";

// Sound

/** Within a gesture; false if it can not be. */
async function openSound() {
  if (!possible()) return false;
  await sound.open();
  if (!sounding) {
    sounding = true;
    chat.speaker = sound.speaker;
    chat.configure();
  }
  return true;
}

/** false, and why is said, if there is no microphone. */
async function openMicrophone() {
  try {
    if (await openSound()) await sound.openMicrophone();
  } catch (error) {
    const problem = microphoneProblem(error);
    if (problem === null) throw error;
    complain(problem);
  }
  return microphone.open;
}

microphone.addEventListener("sound", ({ detail: pcm }) => chat.hear(pcm));
microphone.addEventListener("gone", () => {
  complain("The microphone has gone away. Connect one and try again.");
  show();
});

// The user's turn

const hold = new Hold($("talk"), {
  async begin() {
    complain("");
    if (!(await openMicrophone()) || !hold.held || !line.open) return;
    chat.beginTurn();
    microphone.listen();
    show();
  },
  async end() {
    if (!microphone.listening) return;
    await microphone.pause();
    chat.endTurn();
    show();
  },
  async toggle() {
    complain("");
    if (microphone.open) microphone.close();
    else if (await openMicrophone()) microphone.listen();
    show();
  },
  handsFree,
});

$("write").addEventListener("submit", async (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (text === "") return;
  complain("");
  await openSound();
  if (chat.write(text)) $("text").value = "";
});
$("hush").addEventListener("click", () => chat.stop());
$("renew").addEventListener("click", () => {
  complain("");
  chat.stop();
  line.renew();
});
for (const name of [...KEPT, "spoken"]) {
  $(name).addEventListener("change", () => {
    if (KEPT.includes(name)) remember("localStorage", key(name), $(name).value);
    if (name === "turns") microphone.close();
    chat.configure();
    show();
  });
}

// How it stands

function stateWords() {
  if (!line.open) return LINE[line.state];
  if (microphone.listening && !handsFree()) return "Listening. Let go when you are done.";
  if (chat.spokenTo) return "You are speaking.";
  if (chat.playing) return "Speaking. Interrupt at any time.";
  if (chat.responding) return "Thinking…";
  return microphone.listening ? "Listening." : "Ready.";
}

function hintWords() {
  if (!possible()) return INSECURE;
  if (!handsFree()) return "Hold the button, or the space bar, and speak.";
  return "Press the button, or the space bar, and speak. Headphones keep the reply out of the microphone.";
}

function show() {
  const words = stateWords();
  if ($("state").textContent !== words) $("state").textContent = words;
  document.body.dataset.state = { open: "done", refused: "failed" }[line.state] ?? "waiting";
  $("talk").disabled = !line.open || !possible();
  $("talk").setAttribute("aria-pressed", String(microphone.listening));
  $("talk").setAttribute("aria-label", handsFree() ? "Listen to me" : "Hold to talk");
  $("write").querySelector("button").disabled = !line.open;
  $("hush").disabled = !(chat.playing || chat.responding);
  $("hint").hidden = chat.count > 0 && possible();
  if ($("hint").textContent !== hintWords()) $("hint").textContent = hintWords();
}

function complain(words) {
  $("problem").textContent = words;
  $("problem").hidden = words === "";
}

/** The last words in view, while they come. */
function follow() {
  $("conversation").lastElementChild?.scrollIntoView({ block: "nearest" });
}

const meter = (level) => Math.min(1, Math.max(0, (20 * Math.log10(level + 1e-9) - QUIET_DB) / (LOUD_DB - QUIET_DB)));

function draw() {
  $("mic-level").value = microphone.listening ? meter(microphone.level) : 0;
  $("reply-level").value = chat.playing ? meter(sound.speaker.level) : 0;
  show();
  requestAnimationFrame(draw);
}

async function offer(model) {
  const kept = (name) => recall("localStorage", key(name));
  const [models] = await Promise.all([
    offerModels($("model"), [kept("model"), model]),
    offerVoices($("voice"), [kept("voice")]),
  ]);
  hearing = models.hearing;
  chat.configure();
}

line.addEventListener("notice", ({ detail: words }) => (notice = words));
line.addEventListener("state", ({ detail: state }) => {
  if (state === "open") {
    complain(notice);
    notice = "";
  } else {
    microphone.pause();
  }
  show();
});
line.addEventListener("session.created", ({ detail: { session } }) => {
  offer(session.model);
  if (handsFree() && microphone.open) microphone.listen();
});
chat.addEventListener("state", show);
chat.addEventListener("problem", ({ detail: words }) => complain(words));
chat.addEventListener("timing", ({ detail }) => {
  const stages = { transcript_ms: "heard", asked_ms: "asked", first_token_ms: "first word", first_audio_ms: "first sound" };
  const said = Object.entries(stages).filter(([name]) => detail[name] !== null);
  $("timing").textContent = `After your last word: ${said.map(([name, words]) => `${words} ${detail[name]} ms`).join(", ")}.`;
  $("timing").hidden = said.length === 0;
});
addEventListener("pagehide", () => sound.close());

$("turns").value = recall("localStorage", key("turns")) ?? "push";
$("spoken").disabled = !possible();
$("spoken").checked = possible();
window.castline = { chat, line, sound };
line.start();
requestAnimationFrame(draw);
