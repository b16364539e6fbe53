"""Sound of the page to talk on, sample by sample: nothing is lost, nothing is added, nothing folds back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from browser.bidi import Page
from browser.fakefront import FakeFront
from browser.talking import report
from numpy.typing import NDArray

WIRE = 24_000
Floats = NDArray[np.float64]


def tone_db(samples: Floats, rate: int, hz: float) -> tuple[float, float]:
    """(level of this tone, level of all that is not this tone), dB of full scale; the ends are left out."""
    inner = samples[rate // 50 : -rate // 50]
    t = np.arange(inner.size) / rate
    waves = np.stack([np.sin(2 * np.pi * hz * t), np.cos(2 * np.pi * hz * t)], axis=1)
    fit, *_ = np.linalg.lstsq(waves, inner, rcond=None)
    rest = inner - waves @ fit
    return 20 * np.log10(np.hypot(*fit) + 1e-12), 20 * np.log10(np.sqrt(2 * np.mean(rest**2)) + 1e-12)


def resampled(page: Page, source: int, target: int, hz: float) -> Floats:
    """Half a second of a tone, by blocks of odd lengths."""
    found = page.evaluate(
        f"""(async () => {{
          const {{ Resampler }} = await import("/static/talk/resample.js");
          const made = new Resampler({source}, {target});
          const wave = (_, n) => Math.sin((2 * Math.PI * {hz} * n) / {source});
          const all = Float32Array.from({{ length: {source // 2} }}, wave);
          const out = [];
          for (let at = 0, n = 1; at < all.length; at += n, n = (n * 7) % 997)
            out.push(...made.push(all.slice(at, at + n)));
          return out;
        }})()"""
    )
    return np.array(found)


@pytest.mark.parametrize("rate", [48_000, 44_100])
def test_what_the_wire_can_carry_passes_and_the_rest_does_not_fold_back(
    page: Page, front: FakeFront, rate: int
) -> None:
    page.goto(front.url)
    for hz in (1_000.0, 8_000.0):
        sound = resampled(page, rate, WIRE, hz)
        assert abs(sound.size - WIRE // 2) <= 64
        level, rest = tone_db(sound, WIRE, hz)
        report(f"{rate} to {WIRE} Hz, {hz} Hz: {level:.3f} dB, all else {rest:.1f} dB")
        assert abs(level) < 0.1
        assert rest < -70
    gone = resampled(page, rate, WIRE, 15_000.0)
    loudest = 20 * np.log10(np.abs(gone[500:-500]).max() + 1e-12)
    report(f"{rate} to {WIRE} Hz, 15000 Hz, which would fold back to 9000 Hz: {loudest:.1f} dB")
    assert loudest < -70
    level, rest = tone_db(resampled(page, WIRE, rate, 1_000.0), rate, 1_000.0)
    assert abs(level) < 0.1
    assert rest < -70


def live(page: Page, front: FakeFront, rate: int, module: str, script: str) -> tuple[list[dict[str, Any]], Floats]:
    """What an audio worklet says, and makes, sample by sample. script: uses `node`, `context`, `said`, `until`."""
    page.goto(front.url)
    page.click("#text")  # no sound without a gesture
    said, sound = page.evaluate(
        f"""(async () => {{
          const context = new AudioContext({{ sampleRate: {rate} }});
          await context.resume();
          await context.audioWorklet.addModule("/static/talk/{module}.js");
          await context.audioWorklet.addModule("/test/recorder.js");
          const node = new AudioWorkletNode(context, "castline-{module}", {{ outputChannelCount: [1] }});
          const recorder = new AudioWorkletNode(context, "recorder");
          const said = [];
          node.port.onmessage = ({{ data }}) =>
            said.push({{ ...data, ...(data.pcm ? {{ pcm: [...new Int16Array(data.pcm)] }} : {{}}) }});
          node.connect(recorder).connect(context.destination);
          const until = async (condition) => {{
            while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
          }};
          {script}
          const blocks = await new Promise((resolve) => {{
            recorder.port.onmessage = ({{ data }}) => resolve(data.blocks);
            recorder.port.postMessage("all");
          }});
          await context.close();
          return [said, blocks.flatMap((block) => [...block])];
        }})()"""
    )
    return said, np.array(sound)


PIECES = f"""
  const all = Float32Array.from({{ length: {WIRE} }}, (_, n) => 0.5 * Math.sin((2 * Math.PI * 500 * (n + 1)) / {WIRE}));
  for (let at = 0, n = 4800; at < all.length; at += n, n = ((n * 3) % 4801) + 1)
    node.port.postMessage({{ pcm: all.slice(at, at + n) }});
"""


@pytest.mark.parametrize("rate", [WIRE, 48_000])
def test_pieces_sound_without_a_gap_and_are_counted(page: Page, front: FakeFront, rate: int) -> None:
    silent = """
      await until(() => said.at(-1)?.heard > 0.9 && said.at(-1).queued === 0 && said.at(-1).level < 1e-6);
    """
    said, sound = live(page, front, rate, "playback", PIECES + silent)
    start = int(np.argmax(np.abs(sound) > 1e-3))
    level, rest = tone_db(sound[start : start + rate - rate // 100], rate, 500.0)
    report(f"at {rate} Hz: {level:.3f} dB, all else {rest:.1f} dB; counted {said[-1]['heard']} s")
    assert level == pytest.approx(20 * np.log10(0.5), abs=0.1)
    assert rest < -70
    assert said[-1]["heard"] == pytest.approx(1.0, abs=0.002)
    assert np.abs(sound[start + rate + rate // 50 :]).max() < 1e-3


def test_a_flush_is_silence_at_once_and_says_what_was_heard(page: Page, front: FakeFront) -> None:
    flush = """
      await until(() => said.some(({ heard }) => heard > 0.3));
      node.port.postMessage({ flush: 7 });
      await until(() => said.at(-1).run === 7 && said.at(-1).level < 1e-6);
    """
    said, sound = live(page, front, WIRE, "playback", PIECES + flush)
    [over] = [one for one in said if one.get("over")]
    loud = np.flatnonzero(np.abs(sound) > 1e-3)
    sounded = (loud[-1] - loud[0]) / WIRE
    report(f"said to be heard {over['heard']:.3f} s, sounded {sounded:.3f} s, dropped {over['queued']:.3f} s")
    assert over["run"] == 0
    assert over["heard"] + over["queued"] == pytest.approx(1.0, abs=0.002)
    assert 0.3 < over["heard"] < 1.0
    assert sounded == pytest.approx(over["heard"], abs=0.012)  # it fades
    assert said[-1]["heard"] == 0


@pytest.mark.parametrize("rate", [WIRE, 48_000, 44_100])
def test_the_microphone_is_sent_whole_at_the_rate_of_the_wire(page: Page, front: FakeFront, rate: int) -> None:
    speak = """
      const buffer = new AudioBuffer({ length: context.sampleRate, sampleRate: context.sampleRate });
      const wave = (_, n) => Math.sin((2 * Math.PI * 1000 * n) / context.sampleRate);
      buffer.copyToChannel(Float32Array.from({ length: buffer.length }, wave), 0);
      const source = new AudioBufferSourceNode(context, { buffer, loop: true });
      source.connect(node);
      source.start();
      await until(() => said.filter(({ level }) => level > 0.7).length > 10);
      node.port.postMessage({ listen: true });
      await until(() => said.filter(({ pcm }) => pcm).length === 25);
      node.port.postMessage({ listen: false });
      await until(() => said.some(({ paused }) => paused));
    """
    said, _ = live(page, front, rate, "capture", speak)
    blocks = [one["pcm"] for one in said if "pcm" in one]
    sound = np.concatenate(blocks) / 32_768
    level, rest = tone_db(sound, WIRE, 1_000.0)
    report(f"from {rate} Hz: {len(blocks[0])} samples with what was before, then {len(blocks[1])} each")
    report(f"{level:.3f} dB, all else {rest:.1f} dB")
    assert all(abs(len(block) - 0.04 * WIRE) < 160 for block in blocks[1:25])
    assert len(blocks[0]) > 0.2 * WIRE
    assert not any("pcm" in one for one in said[: said.index(next(one for one in said if "pcm" in one))])
    assert "pcm" in said[[one.get("paused", False) for one in said].index(True) - 1]
    assert abs(level) < 0.1
    assert rest < -65
