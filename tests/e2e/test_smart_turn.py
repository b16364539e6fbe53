"""Whether a speaker has finished, on human speech, with the real model: whole sentences, and the same broken off.

Pulls smart-turn and whisper-tiny.en if they are not there.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pulling import pull
from sounds import recordings, sine

from contracts.errors import Misconfigured
from contracts.jobs import PieceOrder, Spoken
from contracts.records import SegmentHeaders
from workers.engine import UnitRequest
from workers.models.settings import ModelSettings
from workers.stt.decode import decode
from workers.stt.hearing import SAMPLE_RATE, Samples
from workers.stt.render import TranscriptRenderer, build
from workers.stt.settings import TURN_MODEL, HearingSettings

pytestmark = [
    pytest.mark.timeout(300),
    # SWIG types of a dependency of faster-whisper
    pytest.mark.filterwarnings("ignore:builtin type .* has no __module__ attribute:DeprecationWarning"),
]

SHARES = (0.35, 0.5, 0.65, 0.8)
"""Of a sentence, about: where it is broken off."""
NEVER = threading.Event()


@pytest.fixture(scope="module")
def sentences() -> list[Samples]:
    return [np.concatenate(list(decode(path))) for path, _ in recordings()]


@pytest.fixture(scope="module")
def models() -> Path:
    pytest.importorskip("faster_whisper", reason="NO EARS: pip install castline[stt]")
    pull("smart-turn", "whisper-tiny.en")
    return ModelSettings().model_dir


def loaded(models: Path, **changes: Any) -> TranscriptRenderer:
    options = HearingSettings(model="whisper-tiny.en", slots=1).options()
    renderer = build({**options, "model_dir": str(models / "whisper-tiny.en"), **changes})
    renderer.load()
    return renderer


def heard(renderer: TranscriptRenderer, samples: Samples, *, turn: bool = True) -> SegmentHeaders:
    """What the worker says of a piece that somebody has just said."""
    order = PieceOrder(
        start=0, end=samples.size // 16, language="en", spoken=Spoken(blob="b", parts=[0], interim=True, turn=turn)
    )
    pcm = np.round(samples * 32_767).astype("<i2").tobytes()
    request = UnitRequest(0, order.model_dump_json(), {}, alone=True, body=pcm)
    return SegmentHeaders(**renderer.render(request, NEVER).headers, a=1, w="worker")


def told(renderer: TranscriptRenderer, pieces: list[Samples], silence_s: float) -> list[float]:
    """How likely each of them ends a turn, with a silence behind it."""
    rest = np.random.default_rng(2).normal(0, 3e-4, round(silence_s * SAMPLE_RATE)).astype(np.float32)
    turns = [heard(renderer, np.concatenate([piece, rest])).turn for piece in pieces]
    return [turn for turn in turns if turn is not None]


def within_a_word(sentence: Samples, share: float) -> Samples:
    """Up to the loudest 30 ms of the second around there: a vowel, that is."""
    around = int(sentence.size * share) - SAMPLE_RATE // 2

    def energy(at: int) -> float:
        return float(np.square(sentence[at : at + 480]).sum())

    vowel = max(range(around, around + SAMPLE_RATE, 160), key=energy)
    return sentence[: vowel + 240]


@pytest.mark.parametrize("silence_s", [0.2, 0.8])
def test_whole_sentences_end_a_turn_and_broken_ones_do_not(
    models: Path, sentences: list[Samples], silence_s: float
) -> None:
    renderer = loaded(models)
    whole = told(renderer, sentences, silence_s)
    broken = told(renderer, [within_a_word(s, share) for s in sentences for share in SHARES], silence_s)
    print(f"whole: {whole}, median {np.median(whole):.3f}")  # noqa: T201  pytest shows it where the test fails
    print(f"broken: {broken}, median {np.median(broken):.3f}")  # noqa: T201
    assert (len(whole), len(broken)) == (len(sentences), len(SHARES) * len(sentences))
    assert all(0 <= p <= 1 for p in (*whole, *broken))
    assert np.median(whole) >= 0.8
    assert np.median(broken) <= 0.3


def test_only_who_asks_is_told_and_only_of_speech(models: Path, sentences: list[Samples]) -> None:
    renderer = loaded(models)
    assert heard(renderer, sentences[0], turn=False).turn is None
    quiet = heard(renderer, np.zeros(2 * SAMPLE_RATE, np.float32))
    assert (quiet.t, quiet.turn) == ("", None)


def test_a_worker_without_the_model_hears_and_says_so_once(
    models: Path, sentences: list[Samples], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        renderer = loaded(models, turn_model=str(tmp_path / TURN_MODEL))
        said = [heard(renderer, sentences[3]) for _ in range(2)]
    assert [s.turn for s in said] == [None, None]
    assert "married" in said[0].t
    assert [r.message for r in caplog.records if "finished" in r.message] == [
        "it can not be told whether a speaker has finished: castline models pull smart-turn"
    ]


def test_another_file_of_that_name_is_refused_in_one_line(models: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(sine(1.0).tobytes())
    with pytest.raises(Misconfigured, match=r"other\.onnx is not Smart Turn v3") as caught:
        loaded(models, turn_model=str(other))
    assert "\n" not in str(caught.value)
