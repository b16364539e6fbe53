/** Choosing a voice: those that are there by language, a mix of them as text, and what each of them sounds like. */

import { Follower } from "./frames.js";
import { Player } from "./player.js";
import { ask } from "./words.js";

/** Value of the choice that opens the field for a mix. */
const MIX = "mix";

const SAMPLE = {
  de: "Guten Tag. So klinge ich, wenn ich Ihnen vorlese.",
  en: "Hello. This is how I sound when I read to you.",
  es: "Hola. Así sueno cuando te leo.",
  fr: "Bonjour. Voici ma voix quand je vous fais la lecture.",
  hi: "नमस्ते। मेरी आवाज़ ऐसी है।",
  it: "Ciao. Ecco la mia voce quando leggo per te.",
  pt: "Olá. É assim que eu soo quando leio para você.",
};

const $ = (id) => document.getElementById(id);

/** Fills the choice; `preferred` are ids, best first. False if no voice is ready. */
export function offerVoices(voices, preferred) {
  const ready = voices.filter((voice) => voice.available);
  const select = $("voice");
  select.replaceChildren(...byLanguage(ready));
  if (ready.some((voice) => voice.mixes)) select.append(new Option("A mix of voices…", MIX));
  select.disabled = $("preview").disabled = ready.length === 0;
  preferred.find((id) => choose(id));
  showMix();
  return ready.length > 0;
}

function byLanguage(voices) {
  const names = new Intl.DisplayNames(["en"], { type: "language" });
  const groups = new Map();
  for (const { id, language, gender } of voices) {
    if (!groups.has(language)) {
      groups.set(language, Object.assign(document.createElement("optgroup"), { label: names.of(language) }));
    }
    const option = new Option(voiceName(id, gender), id);
    option.dataset.language = language;
    groups.get(language).append(option);
  }
  return groups.values();
}

/** af_heart -> "Heart, female". */
function voiceName(id, gender) {
  const [, name = id] = id.match(/^[a-z]{2}_(.+)$/) ?? [];
  const proper = name[0].toUpperCase() + name.slice(1);
  return gender === "neutral" ? proper : `${proper}, ${gender}`;
}

/** Choose a voice by its id; false if it is not there. */
export function choose(id) {
  const there = [...$("voice").options].some((option) => option.value === id);
  if (there) $("voice").value = id;
  return there;
}

/** Show the field for a mix if that is the choice. */
export function showMix() {
  $("mix-field").hidden = $("voice").value !== MIX;
}

/** What the listener wants, as POST /v1/casts takes it; "" for the default. */
export function wantedVoice() {
  return $("voice").value === MIX ? $("mix").value.trim() : $("voice").value;
}

/** A document has a language: a voice of another gives way to the first of that one, if there is any. */
export function suitLanguage(language) {
  const spoken = (tag) => (tag ?? "").split("-")[0].toLowerCase();
  const chosen = $("voice").selectedOptions[0]?.dataset.language;
  if (!language || chosen === undefined || spoken(chosen) === spoken(language)) return;
  const better = [...$("voice").options].find((option) => spoken(option.dataset.language) === spoken(language));
  if (better) $("voice").value = better.value;
}

/** The button `preview`: a short cast of the chosen voice, played in place. onProblem: told what ask() is told. */
export class Preview {
  #onProblem;
  #playing = null; // {player, follower}

  constructor(onProblem) {
    this.#onProblem = onProblem;
    $("preview").addEventListener("click", () => (this.#playing ? this.stop() : this.#start()));
  }

  stop() {
    if (this.#playing === null) return;
    this.#playing.follower?.close();
    this.#playing.player.close();
    this.#playing = null;
    this.#say("");
  }

  async #start() {
    const playing = { player: new Player(async () => null), follower: null };
    this.#playing = playing;
    playing.player.play(); // within the gesture; it waits for the first sound
    this.#say("Making it…");
    const { body, problem } = await ask("/v1/casts", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(this.#recipe()),
    });
    if (this.#playing !== playing) return;
    if (problem) {
      this.stop();
      this.#onProblem(problem);
    } else {
      this.#follow(playing, body.links.follow);
    }
  }

  #recipe() {
    const language = $("voice").selectedOptions[0].dataset.language ?? "en";
    const text = SAMPLE[language.split("-")[0]] ?? SAMPLE.en;
    return { text, voice: wantedVoice(), speed: Number($("speed").value), title: "A voice" };
  }

  #follow(playing, path) {
    const { player } = playing;
    const follower = new Follower((offset) => `${location.origin.replace(/^http/, "ws")}${path}?offset=${offset}`);
    playing.follower = follower;
    follower.addEventListener("record", ({ detail: record }) => {
      if (["audio", "skip"].includes(record.e)) player.append(record);
      if (["eos", "error", "cancelled"].includes(record.e)) player.finish();
    });
    player.addEventListener("state", () => {
      if (this.#playing !== playing) return;
      if (player.state === "playing") this.#say("Playing.");
      if (player.state === "ended") this.stop();
    });
    follower.start();
  }

  #say(words) {
    $("preview").textContent = this.#playing ? "Stop" : "Hear it";
    $("preview-note").textContent = words;
    $("preview-note").hidden = words === "";
  }
}
