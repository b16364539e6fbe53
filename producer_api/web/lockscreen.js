/**
 * What stands outside of the page: the lock screen and the keys of a headset (Media Session), calls that interrupt, and
 * the background that phones put pages to.
 */

const SILENCE_S = 10; // browsers take what is shorter than 5 s for a notification
const SILENCE_RATE = 8_000;
const STEP_S = 10;

/** Firefox 153 deadlocks on PulseAudio when two outputs of a page start and stop together: no second one there. */
const ONE_OUTPUT = /Firefox\//.test(navigator.userAgent) && !/Android/.test(navigator.userAgent);

/** A WAV file of nothing: 8 bits, mono. */
function silence() {
  const count = SILENCE_S * SILENCE_RATE;
  const bytes = new Uint8Array(44 + count).fill(128, 44);
  const view = new DataView(bytes.buffer);
  const word = (at, text) => bytes.set(new TextEncoder().encode(text), at);
  word(0, "RIFF");
  view.setUint32(4, 36 + count, true);
  word(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, 1, true); // PCM
  view.setUint16(22, 1, true);
  view.setUint32(24, SILENCE_RATE, true);
  view.setUint32(28, SILENCE_RATE, true);
  view.setUint16(32, 1, true);
  view.setUint16(34, 8, true);
  word(36, "data");
  view.setUint32(40, count, true);
  return new Blob([bytes], { type: "audio/wav" });
}

/** Binds a player to it. act: {play, pause, seek(seconds), sentence(step)}. Returns {tellTitle, tellPosition}. */
export function bindLockScreen(player, act) {
  addEventListener("visibilitychange", () => document.hidden || player.wake());
  addEventListener("pageshow", () => player.wake());
  if (navigator.audioSession) navigator.audioSession.type = "playback"; // iOS: sounds with the switch on silent, too
  if (!navigator.mediaSession) return { tellTitle: () => {}, tellPosition: () => {} };
  bindKeys(player, act);
  const anchor = ONE_OUTPUT ? null : mediaElement();
  player.addEventListener("state", () => {
    const on = ["starting", "playing", "buffering"].includes(player.state);
    navigator.mediaSession.playbackState = on ? "playing" : player.state === "paused" ? "paused" : "none";
    if (on) anchor?.play().catch(onlyRefused);
    else anchor?.pause();
    tellPosition(player);
  });
  return {
    tellTitle: (title) => (navigator.mediaSession.metadata = new MediaMetadata({ title, artist: "castline" })),
    tellPosition: () => tellPosition(player),
  };
}

/** Sound of an AudioContext alone shows on no lock screen: a media element that plays nothing stands for it. */
function mediaElement() {
  const element = new Audio(URL.createObjectURL(silence()));
  element.loop = true;
  return element;
}

/** A pause that overtakes a play, or a browser without media: the cast itself sounds all the same. */
function onlyRefused(error) {
  if (!(error instanceof DOMException)) throw error;
}

function bindKeys(player, { play, pause, seek, sentence }) {
  const actions = {
    play,
    pause,
    stop: pause,
    seekto: ({ seekTime }) => seek(seekTime),
    seekbackward: ({ seekOffset }) => seek(player.currentTime - (seekOffset || STEP_S)),
    seekforward: ({ seekOffset }) => seek(player.currentTime + (seekOffset || STEP_S)),
    previoustrack: () => sentence(-1),
    nexttrack: () => sentence(1),
  };
  for (const [action, handler] of Object.entries(actions)) {
    try {
      navigator.mediaSession.setActionHandler(action, handler);
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // an action that this browser does not know
    }
  }
}

function tellPosition(player) {
  const { currentTime, duration, speed: playbackRate } = player;
  if (duration === 0) return;
  navigator.mediaSession.setPositionState?.({ duration, playbackRate, position: Math.min(currentTime, duration) });
}
