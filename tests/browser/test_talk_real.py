"""Somebody asks, is answered, interrupts, is answered again: a real browser, and real models behind the page."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

import jiwer
import numpy as np
import pytest
from browser.bidi import Page
from browser.talking import PROBLEM, RECORD, SPEAKER, STATE, chromium, embedded, report, rows, told
from llm_server import smollm2
from pulling import pull
from sounds import recordings, wav

from load_tests.services import wait_until
from load_tests.system import system
from workers.models.settings import ModelSettings
from workers.models.store import ModelStore
from workers.stt.decode import decode

pytestmark = pytest.mark.timeout(600)

EARS, WRITER, VOICE = "whisper-tiny.en", "smollm2-135m", "kokoro-onnx"
PATIENCE_S = 150
EVERY_S = 17
"""Two sentences of a human are heard again and again, each so long after the other: the second comes into a reply."""
LEVELS = f"""(() => {{
  const analyser = new AnalyserNode(window.castline.sound.context, {{ fftSize: 2048 }});
  {SPEAKER}.output.connect(analyser);
  const wave = new Float32Array(analyser.fftSize);
  window.loudest = 0;
  setInterval(() => {{
    analyser.getFloatTimeDomainData(wave);
    window.loudest = Math.max(window.loudest, Math.sqrt(wave.reduce((sum, x) => sum + x * x, 0) / wave.length));
  }}, 20);
  return true;
}})()"""


@pytest.fixture(scope="module")
def questions(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """(WAV file, what is said in it)."""
    found = recordings()[:2]
    parts = [np.zeros(16_000, np.float32)]
    for path, _ in found:
        sound = np.concatenate(list(decode(path)))
        parts += [sound, np.zeros(EVERY_S * 16_000 - sound.size, np.float32)]
    file = tmp_path_factory.mktemp("questions") / "questions.wav"
    file.write_bytes(wav(np.concatenate(parts)))
    return file, [text for _, text in found]


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    """A front, with ears, a voice and a language model."""
    pytest.importorskip("faster_whisper", reason="NO EARS: pip install castline[stt]")
    pull(EARS, WRITER, VOICE)
    [gguf] = ModelStore(ModelSettings().model_dir).path(WRITER).glob("*.gguf")
    with contextlib.ExitStack() as stack:
        writer = stack.enter_context(smollm2(gguf, tmp_path / "llm.log"))
        running = stack.enter_context(system(embedded(tmp_path), tmp_path, CASTLINE_STT_MODEL=EARS))
        running.front()
        running.proxy(CASTLINE_LLM_URL=writer)
        running.hearer("faster-whisper")
        running.worker(VOICE)
        running.wait_for_workers(3)
        yield running.url()


def patiently(page: Page, condition: str) -> None:
    """Wait longer than one call to the browser may take."""
    try:
        wait_until(lambda: bool(page.evaluate(condition)), PATIENCE_S, condition)
    except TimeoutError as exc:
        raise AssertionError(page.evaluate("[document.body.innerText, window.told.map((e) => e.type)]")) from exc


def words(text: str) -> str:
    return " ".join(re.sub(r"[^a-z' ]", " ", text.lower().replace("mr.", "mister")).split())


def test_a_question_is_answered_and_an_interruption_is_heard(url: str, questions: tuple[Path, list[str]]) -> None:
    file, said = questions
    with chromium(file) as session:
        page = Page(session)
        page.goto(f"{url}/talk")
        page.wait_for(f"{STATE} === 'Ready.' && !document.querySelector('#voice').disabled")
        page.evaluate(RECORD)
        page.evaluate("(document.querySelector('#turns').value = 'pause', true)")
        page.evaluate("document.querySelector('#turns').dispatchEvent(new Event('change'))")
        page.click("#talk")
        page.wait_for("window.castline.sound.microphone.listening")
        page.evaluate(LEVELS)
        cut = "window.told.find((e) => e.type === 'conversation.item.truncated' && e.audio_end_ms > 500)"
        patiently(page, cut)
        truncated = page.evaluate(cut)
        heard_before = page.evaluate(f"(window.loudest > 0.01 && {SPEAKER}.played) || 0")
        assert heard_before > 12_000
        row = f"""[...document.querySelectorAll('.turn.assistant')]
            .find((row) => row.dataset.item === {truncated["item_id"]!r} && row.classList.contains('cut'))"""
        page.wait_for(row)
        page.evaluate("(window.loudest = 0, true)")
        patiently(page, f"window.loudest > 0.01 && {SPEAKER}.played > {heard_before} + 12000")
        timings = told(page, "castline.timing")
        replies, questions_heard = rows(page, "assistant"), rows(page, "user")
        report(f"heard: {questions_heard}\nreplies: {replies}\ntruncated at {truncated['audio_end_ms']} ms")
        report(f"{page.evaluate(row + '.textContent')!r}\ntimings: {timings}")
        assert jiwer.wer(words(said[0]), words(questions_heard[0])) <= 0.25
        full = "".join(
            str(e["delta"])
            for e in told(page, "response.output_audio_transcript.delta")
            if e["item_id"] == truncated["item_id"]
        )
        shown = page.evaluate(f"{row}.querySelector('p').textContent")
        assert shown
        assert full.startswith(shown)
        assert len(shown) < len(full)
        assert len(replies) >= 2
        assert page.evaluate(PROBLEM) == ""
