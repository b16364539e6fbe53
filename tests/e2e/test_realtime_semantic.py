"""semantic_vad with the real Smart Turn and the real ears: a human who pauses in mid-sentence is not interrupted."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import jiwer
import numpy as np
import pytest
from llm_script import ScriptedWorker, playing
from pulling import pull
from sounds import recordings
from stt_script import ScriptedHearer
from talking import Talk, pcm16, talking

from contracts.adapters import Address
from load_tests.services import wait_until
from load_tests.system import system
from producer_api.realtime.config import SemanticVad
from producer_api.realtime.floor import STALLED_S
from workers.stt.decode import decode
from workers.stt.hearing import SAMPLE_RATE, Samples

EARS = "whisper-tiny.en"
SENTENCE = 3
"""Of the recordings: Smart Turn knows of its middle that it goes on (0.03), and of its end that it does not (0.98)."""
PATIENT = SemanticVad(type="semantic_vad", eagerness="low")
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def heard(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    pytest.importorskip("faster_whisper", reason="NO EARS: pip install castline[stt]")
    pull(EARS, "smart-turn")
    directory = tmp_path_factory.mktemp("semantic")
    address = Address(f"sqlite://{directory}/castline.db", "")
    model = ScriptedWorker(address, ("small",))
    with system(address, directory) as running, playing(model):
        running.front()
        running.hearer("faster-whisper", CASTLINE_STT_MODEL=EARS, CASTLINE_STT_SLOTS="1")
        running.worker("tone", CASTLINE_TTS_TONE_XRT="200")
        running.wait_for_workers(3)
        yield Talk(running, model, ScriptedHearer(address))


def quiet(seconds: float) -> Samples:
    return np.random.default_rng(2).normal(0, 3e-4, round(seconds * SAMPLE_RATE)).astype(np.float32)


def words(text: str) -> str:
    return " ".join(re.sub(r"[^a-z' ]", " ", text.lower()).split())


def test_who_pauses_in_mid_sentence_is_waited_for_and_who_has_finished_is_not(heard: Talk) -> None:
    path, said = recordings()[SENTENCE]
    sentence = np.concatenate(list(decode(Path(path))))
    half = sentence.size // 2
    with talking(heard.system.url()) as talker:
        form = {"type": "audio/pcm", "rate": SAMPLE_RATE}
        talker.configure(
            audio={"input": {"format": form, "turn_detection": PATIENT.model_dump(), "transcription": {"model": EARS}}}
        )
        talker.append(pcm16(np.concatenate([quiet(0.5), sentence[:half], quiet(1.0)])))
        wait_until(lambda: bool(heard.model.asked), 60, "an answer that is begun, in case that was all")
        first = heard.model.asked[0]["messages"][-1]["content"]
        talker.append(pcm16(np.concatenate([sentence[half:], quiet(1.0)])))
        ended = time.monotonic()
        talker.next("input_audio_buffer.committed")
        assert time.monotonic() - ended < STALLED_S + PATIENT.patience_s
        [spoken] = [e for e in talker.events if e["type"] == "input_audio_buffer.speech_started"]
        text = talker.next("conversation.item.input_audio_transcription.completed")
        assert text["item_id"] == spoken["item_id"]
        assert jiwer.wer(words(said), words(text["transcript"])) <= 0.35
        assert len(words(first).split()) < 0.75 * len(words(said).split())
        talker.done()
        assert heard.model.asked[-1]["messages"][-1]["content"] == text["transcript"]
