"""What a test does on the page of a cast: open it, press play, hear a tone, keep every sample."""

from __future__ import annotations

import base64

import numpy as np
import numpy.typing as npt
from browser.bidi import Page
from browser.fakecast import FakeCast, pitch
from browser.fakefront import FakeFront

Sound = npt.NDArray[np.float32]

PLAYER = "window.castline.player"
CURRENT = "document.querySelector('[aria-current] .text')?.textContent"
LISTEN = f"""(() => {{
  const analyser = new AnalyserNode({PLAYER}.context, {{ fftSize: 2048 }});
  {PLAYER}.output.connect(analyser);
  const bins = new Float32Array(analyser.frequencyBinCount);
  window.loudestHz = () => {{
    analyser.getFloatFrequencyData(bins);
    const top = bins.reduce((best, level, at) => (level > bins[best] ? at : best), 0);
    return bins[top] > -50 ? (top * {PLAYER}.context.sampleRate) / analyser.fftSize : 0;
  }};
  return true;
}})()"""
RECORD = f"""(async () => {{
  const context = {PLAYER}.context;
  await context.audioWorklet.addModule("/test/recorder.js");
  const node = new AudioWorkletNode(context, "recorder");
  {PLAYER}.output.connect(node).connect(context.destination);
  window.recorded = () => new Promise((resolve) => {{
    node.port.onmessage = ({{ data: {{ first, blocks }} }}) => {{
      const bytes = new Uint8Array(blocks.length * 512);
      blocks.forEach((block, at) => bytes.set(new Uint8Array(block.buffer), at * 512));
      let text = "";
      for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
      resolve([first, btoa(text)]);
    }};
    node.port.postMessage("all");
  }});
  return context.sampleRate;
}})()"""


def open_cast(page: Page, front: FakeFront, cast: FakeCast) -> None:
    """Open the page of a cast and wait until it has all there is."""
    page.goto(f"{front.url}/c/{cast.id}")
    page.wait_for(f"window.castline?.follower.offset >= {len(cast.records)}")


def start(page: Page) -> None:
    """Press the big button; ready to listen when it returns."""
    page.click("#play")
    page.wait_for(f"{PLAYER}.context?.state === 'running'")
    page.evaluate(LISTEN)


def recorded(page: Page) -> tuple[int, Sound]:
    """What has sounded since RECORD: the frame of the audio clock at which that was, and every sample since."""
    first, data = page.evaluate("recorded()")
    return first, np.frombuffer(base64.b64decode(data), np.float32)


def place(heard: Sound, expected: Sound) -> int:
    """Where in what was heard the expected sound fits best, in samples."""
    size = len(heard) + len(expected)
    spectrum = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(expected, size))
    return int(np.argmax(np.fft.irfft(spectrum, size)))


def assert_same_sound(heard: Sound, expected: Sound) -> None:
    """Somewhere in what was heard lies the expected sound without any shift, and nothing else."""
    at = place(heard, expected)
    there = heard[at : at + len(expected)]
    assert len(there) == len(expected)
    assert np.max(np.abs(there - expected)) < 0.005  # a shift by one sample would be 0.03 and more
    rest = np.concatenate([heard[:at], heard[at + len(expected) :]])
    assert np.max(np.abs(rest), initial=0) < 0.01


def assert_same_speech(heard: Sound, sentences: list[Sound]) -> int:
    """One after the other, without a gap, and nothing before or after; where they begin, in samples.

    Chromium decodes Opus at 48 kHz and resamples, libav does not: so sentences are compared by correlation, each in its
    place and one sample to either side of it.
    """
    begin = at = place(heard, np.concatenate(sentences))
    likeness = []
    for sentence in sentences:
        shifts = {by: _alike(heard, at + by, sentence) for by in (-1, 0, 1)}
        assert max(shifts, key=lambda by: shifts[by]) == 0, shifts
        likeness.append(shifts[0])
        at += len(sentence)
    report(f"sentences as in the log: correlation {min(likeness):.4f} and more")
    assert min(likeness) > 0.98
    rest = np.concatenate([heard[:begin], heard[at:]])
    assert np.max(np.abs(rest), initial=0) < 0.01
    return begin


def _alike(heard: Sound, at: int, sentence: Sound) -> float:
    there = heard[max(0, at) :][: len(sentence)]
    return float(np.corrcoef(there, sentence[: len(there)])[0, 1])


def report(figures: str) -> None:
    """What was measured; pytest -s shows it."""
    print(figures)  # noqa: T201


def hear(page: Page, index: int) -> None:
    """Wait until the tone of this unit sounds."""
    page.wait_for(f"Math.abs(loudestHz() - {pitch(index)}) < 20")


def sentence(index: int) -> str:
    """What FakeCast.speak says."""
    return f"Sentence number {index} of this cast."
