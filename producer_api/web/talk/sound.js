/**
 * The sound of the page: one audio context, opened by the first gesture, for the microphone and for the loudspeaker. What
 * it plays is what the browser takes out of the microphone's sound. It runs at the rate of the machine, which every browser
 * can do; the audio threads change to the rate of the wire and back.
 */

import { Microphone } from "./microphone.js";
import { Speaker } from "./speaker.js";

/** Browsers have worklets and microphones on secure pages only: on localhost, or over HTTPS. */
export const possible = () => globalThis.isSecureContext && "AudioWorkletNode" in globalThis;

export class Sound {
  #opening = null;
  context = null;
  speaker = null;
  microphone = new Microphone();

  /** Within a gesture. Resolves when sound can be queued. */
  open() {
    this.#opening ??= this.#open();
    this.context?.resume(); // a phone call may have stopped it
    return this.#opening;
  }

  async #open() {
    this.context = new AudioContext({ latencyHint: "interactive" });
    this.speaker = new Speaker(this.context);
    await this.speaker.start();
  }

  /** The page goes away. */
  close() {
    this.microphone.close();
    this.context?.close();
  }

  async openMicrophone() {
    await this.open();
    await this.microphone.start(this.context);
  }
}
