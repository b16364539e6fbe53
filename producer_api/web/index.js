/** The first page: text in, link out. */

import { ask, recall, remember, roughly } from "./words.js";

const DRAFT = "castline:draft";
const CHARACTERS_PER_SECOND = 15;
const $ = (id) => document.getElementById(id);
const form = $("form");
const FIELDS = ["text", "voice", "speed"];

/** Voices that are there, by language, the default one chosen. */
function offerVoices({ voices, default: chosen }) {
  const names = new Intl.DisplayNames(["en"], { type: "language" });
  const groups = new Map();
  for (const voice of voices.filter((v) => v.available)) {
    if (!groups.has(voice.language)) groups.set(voice.language, []);
    groups.get(voice.language).push(voice);
  }
  const select = $("voice");
  select.replaceChildren();
  for (const [language, members] of groups) {
    const group = document.createElement("optgroup");
    group.label = names.of(language);
    group.append(...members.map((voice) => new Option(voiceName(voice), voice.id)));
    select.append(group);
  }
  select.disabled = groups.size === 0;
  if (groups.size === 0) {
    showProblem({ field: "voice", detail: "No voice is ready yet: no worker has registered. Text is accepted and waits." });
    return;
  }
  choose(select, readDraft().voice) || choose(select, chosen);
}

/** af_heart -> "Heart, female". */
function voiceName({ id, gender }) {
  const [, name = id] = id.match(/^[a-z]{2}_(.+)$/) ?? [];
  const proper = name[0].toUpperCase() + name.slice(1);
  return gender === "neutral" ? proper : `${proper}, ${gender}`;
}

function choose(select, value) {
  const there = [...select.options].some((option) => option.value === value);
  if (there) select.value = value;
  return there;
}

function readDraft() {
  try {
    return JSON.parse(recall("sessionStorage", DRAFT)) ?? {};
  } catch (error) {
    if (error instanceof SyntaxError) return {};
    throw error;
  }
}

function keepDraft() {
  const draft = Object.fromEntries(FIELDS.map((name) => [name, $(name).value]));
  remember("sessionStorage", DRAFT, JSON.stringify(draft));
}

function describe() {
  const { length } = $("text").value;
  const speed = Number($("speed").value);
  const characters = (count) => `${count.toLocaleString("en")} character${count === 1 ? "" : "s"}`;
  const time = roughly(length / CHARACTERS_PER_SECOND / speed);
  $("text-note").textContent = length === 0 ? "No text yet." : `${characters(length)}, ${time} of speech.`;
  $("speed-value").textContent = `${speed}×`;
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
    $(name).removeAttribute("aria-invalid");
  }
}

async function submit() {
  clearProblems();
  const wanted = { text: $("text").value, speed: Number($("speed").value) };
  if ($("voice").value) wanted.voice = $("voice").value;
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

const draft = readDraft();
if (draft.text) $("text").value = draft.text;
if (draft.speed) $("speed").value = draft.speed;
describe();
const { body: voices, problem } = await ask("/v1/voices");
if (problem) showProblem({ ...problem, field: "voice" });
else offerVoices(voices);
