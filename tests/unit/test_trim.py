"""Silence around a unit: what is cut, what is kept, what is put back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from workers.tts.speech import SAMPLE_RATE, Speech, Word
from workers.tts.trim import (
    CLAUSE_PAUSE_S,
    LEAD_IN_S,
    PARAGRAPH_PAUSE_S,
    SENTENCE_PAUSE_S,
    WORD_PAUSE_S,
    pause_after,
)
from workers.tts.trim import trim as trim_speech


def tone(seconds: float, level: float = 0.3) -> NDArray[np.float32]:
    """A loud part."""
    time = np.arange(round(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    return (level * np.cos(2 * np.pi * 200 * time)).astype(np.float32)


def quiet(seconds: float) -> NDArray[np.float32]:
    """Model silence: noise 70 dB below the tone."""
    rng = np.random.default_rng(1)
    return rng.normal(0, 1e-4, round(seconds * SAMPLE_RATE)).astype(np.float32)


def trim(samples: NDArray[np.float32], pause_s: float) -> NDArray[np.float32]:
    """Speech without words."""
    return trim_speech(Speech(samples), pause_s).samples


@pytest.mark.parametrize(
    ("text", "pause"),
    [
        ("It ends.", SENTENCE_PAUSE_S),
        ("It ends. ", SENTENCE_PAUSE_S),
        ("Does it?", SENTENCE_PAUSE_S),
        ("He said “yes!”", SENTENCE_PAUSE_S),
        ("(It ends.)", SENTENCE_PAUSE_S),
        ("यह अंत है।", SENTENCE_PAUSE_S),
        ("A heading\n", SENTENCE_PAUSE_S),
        ("If it rains, ", CLAUSE_PAUSE_S),
        ("one thing; ", CLAUSE_PAUSE_S),
        ("wait — ", CLAUSE_PAUSE_S),
        ("cut in the middle ", WORD_PAUSE_S),
        ("", WORD_PAUSE_S),
        ("The last.\n\n", PARAGRAPH_PAUSE_S),
        ("no mark\n \n", PARAGRAPH_PAUSE_S),
    ],
)
def test_pause_depends_on_the_end(text: str, pause: float) -> None:
    assert pause_after(text) == pause


def test_silence_is_cut_and_the_pause_put_back() -> None:
    made = trim(np.concatenate([quiet(0.35), tone(0.5), quiet(0.5)]), 0.28)
    assert made.dtype == np.float32
    assert made.size / SAMPLE_RATE == pytest.approx(LEAD_IN_S + 0.5 + 0.28, abs=0.011)
    loud = np.flatnonzero(np.abs(made) > 0.1)
    assert loud[0] / SAMPLE_RATE == pytest.approx(LEAD_IN_S, abs=0.006)
    assert (made.size - loud[-1]) / SAMPLE_RATE == pytest.approx(0.28, abs=0.006)


def test_sound_itself_is_untouched() -> None:
    speech = tone(0.5)
    made = trim(np.concatenate([quiet(0.3), speech, quiet(0.3)]), 0.2)
    start = round(LEAD_IN_S * SAMPLE_RATE)
    middle = made[start + 480 : start + 480 + 9_600]
    whole = np.concatenate([quiet(0.3), speech])
    assert any(np.array_equal(middle, whole[at : at + 9_600]) for at in range(7_000, 8_000))


def test_soft_onset_lives() -> None:
    soft = tone(0.1, level=0.3 * 10 ** (-45 / 20))
    made = trim(np.concatenate([quiet(0.3), soft, tone(0.4), quiet(0.3)]), 0.1)
    assert made.size / SAMPLE_RATE == pytest.approx(LEAD_IN_S + 0.5 + 0.1, abs=0.011)


def test_no_click_where_it_was_cut_without_silence() -> None:
    made = trim(tone(0.5), 0.2)
    assert abs(float(made[0])) < 1e-6
    steps = np.abs(np.diff(made))
    assert float(steps.max()) <= 0.3 * 2 * np.pi * 200 / SAMPLE_RATE * 1.3


def test_empty_stays_empty_and_zeros_become_the_pause() -> None:
    assert trim(np.empty(0, np.float32), 0.2).size == 0
    made = trim(np.zeros(5_000, np.float32), 0.2)
    assert made.size == 4_800
    assert not made.any()


def test_the_input_is_not_changed() -> None:
    samples = tone(0.2)
    before = samples.copy()
    trim(samples, 0.1)
    assert np.array_equal(samples, before)


def test_words_stay_where_they_are_heard() -> None:
    lead, sound = 7_200, 12_000
    samples = np.concatenate([quiet(0.3), tone(0.5), quiet(0.3)])
    words = (Word("one", lead - 600, lead + 6_000), Word("two", lead + 6_000, samples.size))
    made = trim_speech(Speech(samples, words), 0.1)
    cut = lead - round(LEAD_IN_S * SAMPLE_RATE)
    assert made.words[0].start == pytest.approx(lead - 600 - cut, abs=130)
    assert made.words[1].start == pytest.approx(lead + 6_000 - cut, abs=130)
    assert sound < made.words[1].end <= made.samples.size


@settings(max_examples=80, deadline=None)
@given(
    lead=st.integers(0, 9_000),
    sound=st.integers(1, 9_000),
    tail=st.integers(0, 9_000),
    pause=st.floats(0, 1),
)
def test_any_shape_of_input(lead: int, sound: int, tail: int, pause: float) -> None:
    samples = np.concatenate([np.zeros(lead), np.full(sound, 0.2), np.zeros(tail)]).astype(np.float32)
    made = trim(samples, pause)
    wanted = sound + round(pause * SAMPLE_RATE)
    assert wanted - 120 <= made.size <= wanted + round(LEAD_IN_S * SAMPLE_RATE) + 240
    assert np.isfinite(made).all()
    assert float(np.abs(made).max()) <= 0.2 + 1e-6
