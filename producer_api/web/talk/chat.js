/** One conversation by voice: what the server says becomes text and sound, what the user does becomes events. */

import { Items, textOf } from "./items.js";

/** What the language model is told first. */
const INSTRUCTIONS = "You are talking with somebody by voice. Answer in a few short sentences, in plain words, without markup.";
const TURNS = {
  push: null,
  pause: { type: "server_vad" },
  sense: { type: "semantic_vad" },
};

/** Events: `state`, `problem` (detail: words), `timing` (detail: ms of each stage). */
export class Chat extends EventTarget {
  #line;
  #items;
  #settings;
  #speaker = null;
  #response = null; // {item, hushed}: the one that is being made
  #wanted = false; // another one, behind it
  #asked = new Set(); // turns of push to talk whose answer is to be asked for
  #hushed = new Set(); // replies of which nothing more is to be heard
  #live = new Set(); // replies whose text comes with their sound
  #cuts = []; // {item, ms}: to be told when their reply is over
  #since = null; // {at, …}: ms of each stage behind a turn whose end this page has set

  /** settings(): {turns: push|pause|sense, voice, model, hearing, spoken}. */
  constructor(line, root, settings, changed) {
    super();
    this.#line = line;
    this.#settings = settings;
    this.#items = new Items(root, changed);
    for (const [type, heed] of Object.entries(this.#heeded())) {
      line.addEventListener(type, ({ detail }) => heed.call(this, detail));
    }
  }

  /** Whether the user speaks, by the server's ears (hands-free). */
  spokenTo = false;

  get count() {
    return this.#items.count;
  }

  get responding() {
    return this.#response !== null || this.#wanted || this.#asked.size > 0;
  }

  get playing() {
    return this.#speaker?.playing ?? false;
  }

  /** Sound comes out here from now on. */
  set speaker(speaker) {
    this.#speaker = speaker;
    speaker.addEventListener("caption", ({ detail: { item, text } }) => this.#items.add(item, text));
  }

  /** Tell the server what is set. */
  configure() {
    const { turns, voice, model, hearing, spoken } = this.#settings();
    const input = { turn_detection: TURNS[turns], transcription: { model: hearing } };
    const session = {
      instructions: INSTRUCTIONS,
      output_modalities: [spoken && this.#speaker ? "audio" : "text"],
      audio: { input, output: voice ? { voice } : {} },
    };
    if (model) session.model = model;
    this.#line.send("session.update", { session });
  }

  // What the user does

  /** pcm: ArrayBuffer, 16 bits, 24,000 Hz. */
  hear(pcm) {
    this.#line.send("input_audio_buffer.append", { audio: base64(new Uint8Array(pcm)) });
  }

  /** Push to talk: what comes is a new turn. */
  beginTurn() {
    this.stop();
    this.#line.send("input_audio_buffer.clear");
  }

  endTurn() {
    if (this.#line.send("input_audio_buffer.commit")) this.#time();
  }

  write(text) {
    this.stop();
    const content = [{ type: "input_text", text }];
    this.#time();
    if (!this.#line.send("conversation.item.create", { item: { type: "message", role: "user", content } })) return false;
    this.#ask();
    return true;
  }

  /** The reply ends, here and down to the engines. */
  stop() {
    this.#wanted = false;
    this.#asked.clear();
    if (this.#response) this.#line.send("output_audio_buffer.clear");
    this.#flush();
  }

  // What the server says

  #heeded() {
    return {
      "session.created": this.#created,
      "input_audio_buffer.speech_started": this.#speechStarted,
      "input_audio_buffer.speech_stopped": () => this.#change(() => (this.spokenTo = false)),
      "input_audio_buffer.committed": ({ item_id: id }) => this.#settings().turns === "push" && this.#asked.add(id),
      "conversation.item.added": ({ item }) => this.#added(item),
      "conversation.item.deleted": ({ item_id: id }) => this.#items.remove(id),
      "conversation.item.input_audio_transcription.delta": this.#hears,
      "conversation.item.input_audio_transcription.completed": this.#heard,
      "conversation.item.input_audio_transcription.failed": this.#unheard,
      "conversation.item.truncated": ({ item_id: id }) => this.#line.send("conversation.item.retrieve", { item_id: id }),
      "conversation.item.retrieved": ({ item }) => this.#items.settle(item.id, textOf(item), { cut: true }),
      "response.created": () => this.#change(() => (this.#response = { item: null, hushed: false })),
      "response.output_item.added": this.#replies,
      "response.output_audio_transcript.delta": ({ item_id: id, delta }) => this.#sounding(id)?.say(id, delta),
      "response.output_audio.delta": this.#sounds,
      "response.output_text.delta": this.#says,
      "response.done": this.#done,
      "castline.timing": (timing) => this.#tell("timing", timing),
      error: this.#failed,
    };
  }

  #created() {
    this.#items.clear(); // all there is comes again
    this.#live.clear();
    this.#hushed.clear();
    this.#response = null;
    this.#wanted = this.spokenTo = false;
    this.#since = null;
    this.#asked.clear();
    this.#cuts = []; // the server knows how much of a reply was heard while its connection lasts
    this.configure();
    this.#change();
  }

  #speechStarted({ item_id: id }) {
    this.#items.begin(id, "user");
    this.#flush();
    this.#change(() => (this.spokenTo = true));
  }

  #added(item) {
    if (this.#live.has(item.id)) return;
    this.#items.begin(item.id, item.role);
    if (textOf(item)) this.#items.settle(item.id, textOf(item), { cut: item.status === "incomplete" });
  }

  #hears({ item_id: id, delta }) {
    this.#items.begin(id, "user");
    this.#items.add(id, delta);
  }

  #heard({ item_id: id, transcript }) {
    this.#items.settle(id, transcript);
    if (!this.#asked.delete(id)) return;
    this.#reached("transcript_ms");
    if (transcript) this.#ask();
    else this.#tell("problem", "Nothing was heard. Hold the button while you speak.");
    this.#change();
  }

  #unheard({ item_id: id, error }) {
    this.#asked.delete(id);
    this.#change(() => this.#tell("problem", `That could not be heard: ${error.message}`));
  }

  #replies({ item }) {
    if (this.#response) this.#response.item = item.id;
    if (this.#response?.hushed) this.#hushed.add(item.id);
    this.#live.add(item.id);
    this.#items.begin(item.id, item.role);
  }

  #sounds({ item_id: id, delta }) {
    this.#reached("first_audio_ms");
    this.#sounding(id)?.push(id, bytes(delta));
  }

  #says({ item_id: id, delta }) {
    this.#reached("first_token_ms");
    this.#items.add(id, delta);
  }

  /** Where sound of this reply goes; null if it is not to be heard any more. */
  #sounding(id) {
    return this.#hushed.has(id) ? null : this.#speaker;
  }

  #done({ response }) {
    this.#response = null;
    const failure = response.status_details?.error;
    if (failure) this.#tell("problem", failure.message);
    this.#tellCuts();
    if (this.#since && this.#since.asked_ms !== null) {
      this.#tell("timing", this.#since);
      this.#since = null;
    }
    if (this.#wanted) this.#ask();
    this.#change();
  }

  #failed({ error }) {
    const short = error.param === "input_audio_buffer";
    this.#tell("problem", short ? "That was too short. Hold the button while you speak." : error.message);
  }

  // Between

  /** A response; behind the one there is, if there is one. */
  #ask() {
    this.#wanted = this.#response !== null;
    if (!this.#wanted) {
      this.#reached("asked_ms");
      this.#line.send("response.create");
    }
    this.#change();
  }

  #time() {
    const never = { transcript_ms: null, asked_ms: null, first_token_ms: null, first_audio_ms: null };
    this.#since = { at: performance.now(), ...never };
  }

  /** The server times the turns that it ends itself. */
  #reached(stage) {
    if (this.#since) this.#since[stage] ??= Math.round(performance.now() - this.#since.at);
  }

  /** Silence at once; what was not heard was not said. */
  async #flush() {
    if (this.#response) this.#response.hushed = true;
    if (this.#response?.item) this.#hushed.add(this.#response.item);
    if (!this.playing) return;
    const cuts = await this.#speaker.flush();
    this.#cuts.push(...cuts);
    this.#tellCuts();
  }

  /** Of replies that are over: before, the server has no end to move. */
  #tellCuts() {
    const over = ({ item }) => item !== this.#response?.item;
    for (const { item, ms } of this.#cuts.filter(over)) {
      this.#line.send("conversation.item.truncate", { item_id: item, content_index: 0, audio_end_ms: ms });
    }
    this.#cuts = this.#cuts.filter((cut) => !over(cut));
  }

  #change(work) {
    work?.();
    this.dispatchEvent(new Event("state"));
  }

  #tell(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const base64 = (data) => btoa(String.fromCharCode(...data));
