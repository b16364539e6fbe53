/** The first page: text in, link out. */

import { loneAddress, readAddress, readFile } from "./documents.js";
import { showRecent } from "./recent.js";
import { Preview, offerVoices, showMix, suitLanguage, wantedVoice } from "./voices.js";
import { ask, recall, remember, roughly, say } from "./words.js";

const DRAFT = "castline:draft";
const CHARACTERS_PER_SECOND = 15;
const $ = (id) => document.getElementById(id);
const form = $("form");
const KEPT = ["text", "title", "voice", "mix", "speed"];
const FIELDS = ["text", "title", "voice", "speed"];

let reading = 0; // of several documents the last one counts

function readDraft() {
  try {
    return JSON.parse(recall("sessionStorage", DRAFT)) ?? {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

function keepDraft() {
  const draft = Object.fromEntries(KEPT.map((name) => [name, $(name).value]));
  remember("sessionStorage", DRAFT, JSON.stringify(draft));
}

function describe() {
  const { value: text } = $("text");
  const speed = Number($("speed").value);
  const characters = (count) => `${count.toLocaleString("en")} character${count === 1 ? "" : "s"}`;
  const time = roughly(text.length / CHARACTERS_PER_SECOND / speed);
  say("text-note", text === "" ? "No text yet." : `${characters(text.length)}, ${time} of speech.`);
  say("speed-value", `${speed}×`);
  $("read-page").hidden = loneAddress(text) === "";
}

function showProblem({ field, detail }) {
  const name = FIELDS.includes(field) ? field : "form";
  const place = $(`${name}-error`);
  place.textContent = detail;
  place.hidden = false;
  if (name === "form") return;
  $(name).setAttribute("aria-invalid", "true");
}

function clearProblems() {
  for (const name of [...FIELDS, "form"]) {
    $(`${name}-error`).hidden = true;
    $(name).removeAttribute?.("aria-invalid");
  }
}

// Documents

/** name: what is read; document: promise of what ask() gives. */
async function take(name, document) {
  clearProblems();
  reading += 1;
  const mine = reading;
  say("source-state", `Reading ${name}…`);
  $("drop").setAttribute("aria-busy", "true");
  const { body, problem } = await document;
  if (mine !== reading) return;
  $("drop").removeAttribute("aria-busy");
  say("source-state", problem ? "" : `Read ${name}.`);
  if (problem) {
    showProblem({ detail: problem.detail, field: "text" });
    return;
  }
  $("text").value = body.text;
  $("text").setSelectionRange(0, 0);
  $("title").value = (body.title ?? "").slice(0, $("title").maxLength);
  suitLanguage(body.language);
  describe();
  keepDraft();
}

function takeFiles(files) {
  if (files.length > 0) take(files[0].name, readFile(files[0]));
}

$("file").addEventListener("change", () => {
  takeFiles($("file").files);
  $("file").value = ""; // the same one may be chosen again
});
$("read-page").addEventListener("click", () => {
  const address = loneAddress($("text").value);
  take(address, readAddress(address));
});
for (const type of ["dragenter", "dragover"]) {
  addEventListener(type, (event) => {
    if (!event.dataTransfer.types.includes("Files")) return; // text goes where it always goes
    event.preventDefault();
    $("drop").dataset.over = "yes";
  });
}
addEventListener("dragleave", (event) => {
  if (event.relatedTarget === null) delete $("drop").dataset.over;
});
addEventListener("drop", (event) => {
  delete $("drop").dataset.over;
  if (event.dataTransfer.files.length === 0) return;
  event.preventDefault();
  takeFiles(event.dataTransfer.files);
});

// The cast

async function submit() {
  clearProblems();
  preview.stop();
  const wanted = { text: $("text").value, speed: Number($("speed").value) };
  if (wantedVoice()) wanted.voice = wantedVoice();
  if ($("title").value.trim()) wanted.title = $("title").value.trim();
  $("submit").disabled = true;
  const { body, problem } = await ask("/v1/casts", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(wanted),
  });
  $("submit").disabled = false;
  if (problem) {
    showProblem(problem);
    if (FIELDS.includes(problem.field)) $(problem.field).focus();
    return;
  }
  const link = $("made-link");
  link.href = body.links.page;
  link.textContent = link.href;
  $("made").hidden = false;
  location.assign(link.href);
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  submit();
});
form.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey) || $("submit").disabled) return;
  event.preventDefault();
  form.requestSubmit();
});
form.addEventListener("input", () => {
  describe();
  keepDraft();
});
$("voice").addEventListener("change", () => {
  preview.stop();
  showMix();
});

const preview = new Preview((problem) => {
  clearProblems();
  showProblem({ detail: problem.detail, field: "voice" });
});
const draft = readDraft();
for (const name of ["text", "title", "mix", "speed"]) if (draft[name]) $(name).value = draft[name];
describe();
showRecent();
addEventListener("pageshow", (event) => event.persisted && showRecent());
const { body: voices, problem } = await ask("/v1/voices");
if (problem) showProblem({ ...problem, field: "voice" });
else if (!offerVoices(voices.voices, [draft.voice, voices.default])) {
  const detail = "No voice is ready yet: no worker has registered. Text is accepted and waits.";
  showProblem({ field: "voice", detail });
}
