/** Figures and states in words, and small memories that may be forbidden. */

/** 3725.4 -> "1:02:05". */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes, rest] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(rest)}` : `${minutes}:${two(rest)}`;
}

/** 95 -> "about 1 min 35 s"; coarser as it grows, because it is an estimate. */
export function roughly(seconds) {
  if (seconds < 10) return "a few seconds";
  if (seconds < 60) return `about ${Math.round(seconds / 5) * 5} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 5) return `about ${minutes} min ${Math.round((seconds % 60) / 10) * 10} s`.replace(" 0 s", "");
  if (minutes < 100) return `about ${Math.round(seconds / 60)} min`;
  return `about ${Math.round(seconds / 360) / 10} h`;
}

/** Units are sentences, and clauses of the first one. */
export const parts = (count) => (count === 1 ? "1 part" : `${count.toLocaleString("en")} parts`);

/** The line under the title. made: units received; seconds: of audio received; status: of the API, or null. */
export function stateLine(state, made, seconds, status) {
  const of = status?.units > made ? `${made.toLocaleString("en")} of ${parts(status.units)}` : parts(made);
  const pace = status?.xrt > 0 ? `, ${status.xrt.toFixed(1)} times as fast as speech` : "";
  switch (state) {
    case "waiting":
      return "Waiting for its turn";
    case "live":
      return `Being made: ${of}${pace}`;
    case "done":
      return `Made: ${parts(made)}, ${clock(seconds)}`;
    case "cancelled":
      return `Stopped before its end: ${of}`;
    case "failed":
      return `Failed: ${of}`;
    default:
      return "Looking it up…";
  }
}

/** What to say before the first sound. */
export function waitingLine({ state, position, eta_ms: eta, workers }) {
  if (workers === 0) return "No worker is running now. It will be spoken as soon as one is there.";
  const when = Number.isFinite(eta) && eta > 0 ? ` First sound in ${roughly(eta / 1000)}.` : "";
  if (state !== "waiting") return `The first sentence is being spoken.${when}`;
  if (position === 0) return `Next in line.${when}`;
  return `In line: ${position === 1 ? "one other cast comes" : `${position} other casts come`} first.${when}`;
}

/** Screen readers announce every change of a status line, so only write what is new. where: an element's id. */
export function say(where, words) {
  const element = document.getElementById(where);
  if (element.textContent !== words) element.textContent = words;
}

/** Web storage throws where it is forbidden or full; without it a page only forgets. */
export function recall(storage, key) {
  try {
    return globalThis[storage].getItem(key);
  } catch (error) {
    if (error instanceof DOMException) return null;
    throw error;
  }
}

/** value null forgets the key. */
export function remember(storage, key, value) {
  try {
    if (value === null) globalThis[storage].removeItem(key);
    else globalThis[storage].setItem(key, value);
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

/** A fetch whose failure is always {title, detail, field}: from the problem body, or made of what is known. */
export async function ask(url, options) {
  let response;
  try {
    response = await fetch(url, options);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return { problem: { status: 0, detail: "The server can not be reached. Try again in a moment.", field: "" } };
  }
  const body = await response.json().catch(() => null);
  if (response.ok && body !== null) return { body };
  const detail = body?.detail || body?.title || `The server answered ${response.status}.`;
  const field = body?.field?.split(".").pop() ?? "";
  return { problem: { status: response.status, detail, field } };
}
