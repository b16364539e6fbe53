"""What a test does on the page of a cast: open it, press play, hear a tone, keep every sample."""

from __future__ import annotations

from browser.bidi import Page
from browser.fakefront import FakeCast, FakeFront, pitch

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
    node.port.onmessage = ({{ data }}) => {{
      const bytes = new Uint8Array(data.length * 512);
      data.forEach((block, at) => bytes.set(new Uint8Array(block.buffer), at * 512));
      let text = "";
      for (let at = 0; at < bytes.length; at += 32768) text += String.fromCharCode(...bytes.subarray(at, at + 32768));
      resolve(btoa(text));
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


def hear(page: Page, index: int) -> None:
    """Wait until the tone of this unit sounds."""
    page.wait_for(f"Math.abs(loudestHz() - {pitch(index)}) < 20")


def sentence(index: int) -> str:
    """What FakeCast.speak says."""
    return f"Sentence number {index} of this cast."
