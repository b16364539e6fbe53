"""Whether a speaker has finished: what the model is given, and the rule of the engine that has none."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest
from sounds import voice

from workers.engine import UnitRequest
from workers.stt.engines.echo import Echo
from workers.stt.hearing import SAMPLE_RATE
from workers.stt.render import TranscriptRenderer


@pytest.mark.parametrize("seconds", [0.3, 0.7, 8.0, 11.3])
def test_features_are_those_of_whisper(seconds: float) -> None:
    """Against faster-whisper's own extractor, given the last 8 s, silence before, at mean 0 and variance 1."""
    extractor = pytest.importorskip("faster_whisper.feature_extractor", reason="NO EARS: pip install castline[stt]")
    from workers.stt.engines.smart_turn import WINDOW, log_mel

    samples = 0.3 * voice(seconds) + 0.02
    window = np.concatenate([np.zeros(WINDOW, np.float32), samples])[-WINDOW:]
    level = ((window - window.mean()) / np.sqrt(window.var() + 1e-7)).astype(np.float32)
    theirs = extractor.FeatureExtractor()(level, padding=0)
    ours = log_mel(samples)
    assert ours.shape == theirs.shape == (80, 800)
    assert np.abs(ours - theirs).max() < 1e-3


def test_the_level_does_not_matter() -> None:
    pytest.importorskip("onnxruntime", reason="NO EARS: pip install castline[stt]")
    from workers.stt.engines.smart_turn import log_mel

    assert np.abs(log_mel(voice(3.0)) - log_mel(0.1 * voice(3.0))).max() < 5e-3


def rising(seconds: float) -> Any:
    sound = voice(seconds)
    return np.where(np.arange(sound.size) > sound.size // 2, sound, 0.3 * sound).astype(np.float32)


def test_echo_takes_a_sound_that_gets_louder_for_one_that_goes_on() -> None:
    tail = np.zeros(SAMPLE_RATE // 2, np.float32)
    for seconds in (0.8, 2.0, 6.0):
        assert Echo().turn(np.concatenate([voice(seconds), tail])) == 0.9
        assert Echo().turn(np.concatenate([rising(seconds), tail])) == 0.1
    assert Echo().turn(tail) == Echo().turn(tail[:0]) == 0.9


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        ({"turn": True}, 0.1),
        ({"turn": True, "interim": True}, 0.1),
        ({"turn": False}, None),
        (None, None),
    ],
)
def test_who_asks_is_told(spoken: dict[str, Any] | None, expected: float | None) -> None:
    from workers.stt.codec import encode_piece

    sound = rising(2.0)
    body = encode_piece(sound) if spoken is None else np.round(sound * 32_767).astype("<i2").tobytes()
    asked = None if spoken is None else {"blob": "b", "parts": [0], **spoken}
    order = json.dumps({"start": 0, "end": 2_000, "language": "en", "spoken": asked})
    request = UnitRequest(0, order, {}, alone=False, body=body)
    headers = TranscriptRenderer(Echo(), 1, 10.0).render(request, threading.Event()).headers
    assert headers.get("turn") == expected
    assert ("turn" in headers) == (expected is not None)
