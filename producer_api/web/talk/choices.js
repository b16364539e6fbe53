/** What there is to choose from: models that answer, voices that speak. */

import { ask } from "../words.js";

/** Models that hear, the better one first. */
const EARS = ["whisper", "echo"];

/** Fill the choice of language models; preferred: best first. Promise of {hearing}: the model that hears. */
export async function offerModels(select, preferred) {
  const [models, speech] = await Promise.all([ask("/v1/models"), ask("/v1/audio/models")]);
  const names = (models.body?.data ?? []).map(({ id }) => id);
  const voices = (speech.body?.models ?? []).map(({ id }) => id);
  const writing = names.filter((id) => !voices.includes(id) && !EARS.includes(id));
  const options = writing.map((id) => new Option(id, id));
  offer(select, options, preferred);
  return { hearing: EARS.find((id) => names.includes(id)) ?? EARS[0] };
}

/** Fill the choice of voices; preferred: best first. */
export async function offerVoices(select, preferred) {
  const { body } = await ask("/v1/voices");
  const ready = (body?.voices ?? []).filter((voice) => voice.available);
  const names = new Intl.DisplayNames(["en"], { type: "language" });
  const options = ready.map(({ id, language }) => new Option(`${id} (${names.of(language)})`, id));
  offer(select, options, [...preferred, body?.default]);
}

function offer(select, options, preferred) {
  select.replaceChildren(...(options.length > 0 ? options : [new Option("None is running", "")]));
  select.disabled = options.length === 0;
  const chosen = preferred.find((id) => options.some(({ value }) => value === id));
  if (chosen !== undefined) select.value = chosen;
}
