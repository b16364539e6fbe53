/** The microphone: asked for once, listened to when it is wanted. */

const MODULE = new URL("capture.js", import.meta.url);
const WANTED = { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true };

/** Events: `sound` (detail: ArrayBuffer, PCM of 16 bits at 24,000 Hz), `gone` (it was unplugged, or taken away). */
export class Microphone extends EventTarget {
  #stream = null;
  #source = null;
  #node = null;
  #paused = null;
  #opening = null;

  /** Loudness of the last 40 ms, 0 to 1. */
  level = 0;
  listening = false;

  get open() {
    return this.#stream !== null;
  }

  /** Rejects with what microphoneProblem() puts into words. */
  start(context) {
    return (this.#opening ??= this.#open(context).finally(() => (this.#opening = null)));
  }

  async #open(context) {
    if (this.open) return;
    if (!navigator.mediaDevices) throw new DOMException("not a secure context", "SecurityError");
    const stream = await navigator.mediaDevices.getUserMedia({ audio: WANTED });
    await context.audioWorklet.addModule(MODULE);
    this.#stream = stream;
    this.#source = context.createMediaStreamSource(stream);
    this.#node = new AudioWorkletNode(context, "castline-capture", { numberOfOutputs: 0 });
    this.#node.port.onmessage = ({ data }) => this.#take(data);
    this.#source.connect(this.#node);
    stream.getAudioTracks()[0].addEventListener("ended", () => {
      this.close();
      this.dispatchEvent(new Event("gone"));
    });
  }

  listen() {
    this.listening = true;
    this.#node.port.postMessage({ listen: true });
  }

  /** Resolves when the last `sound` before the pause has been told. */
  pause() {
    if (!this.listening) return Promise.resolve();
    this.listening = false;
    const paused = new Promise((resolve) => (this.#paused = resolve));
    this.#node.port.postMessage({ listen: false });
    return paused;
  }

  /** Give it back: the browser shows that nobody listens any more. */
  close() {
    this.listening = false;
    this.level = 0;
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    this.#source?.disconnect();
    this.#stream = this.#source = this.#node = null;
    this.#paused?.();
  }

  #take({ level, pcm, paused }) {
    if (paused) this.#paused?.();
    if (level !== undefined) this.level = level;
    if (pcm?.byteLength > 0) this.dispatchEvent(new CustomEvent("sound", { detail: pcm }));
  }
}

/** What to do when there is no microphone, in words; null if the error is another one. */
export function microphoneProblem(error) {
  if (!(error instanceof DOMException)) return null;
  switch (error.name) {
    case "NotFoundError":
      return "No microphone was found. Connect one and try again, or write below.";
    case "NotAllowedError":
      return "The browser does not let this page use the microphone. Allow it beside the address, or write below.";
    case "SecurityError":
      return "Browsers give the microphone to a page on localhost or over HTTPS only. Write below, or open it there.";
    case "NotReadableError":
    case "AbortError":
      return "The microphone does not answer: another program may hold it. Close that one and try again.";
    default:
      return null;
  }
}
