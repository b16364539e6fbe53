"""What is heard again: a rest of a piece without text, and what Whisper left out in the middle. No model."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from workers.stt.hearing import HearOptions

pytest.importorskip("faster_whisper")

NEVER = threading.Event()


@dataclass
class Library:
    """Answers each window with the next of `windows`: words as (start s, end s, text); keeps what it was given."""

    windows: list[list[tuple[float, float, str]]]

    def __post_init__(self) -> None:
        self.model = SimpleNamespace(is_multilingual=True)
        self.supported_languages = ["en"]
        self.asked: list[tuple[float, bool]] = []

    def transcribe(self, samples: Any, **options: Any) -> tuple[Any, None]:
        self.asked.append((samples.size / 16_000, options["without_timestamps"]))
        words = [SimpleNamespace(start=a, end=b, word=text, probability=1.0) for a, b, text in self.windows.pop(0)]
        text = "".join(word.word for word in words)
        found = SimpleNamespace(
            start=words[0].start, end=words[-1].end, text=text, words=words, avg_logprob=-0.1, no_speech_prob=0.0,
            compression_ratio=1.0, temperature=0.0,
        )  # fmt: skip
        return iter([found]), None


def hear(library: Library, seconds: float, **options: Any) -> Any:
    from workers.stt.engines.faster_whisper import FasterWhisper

    engine = FasterWhisper(Path("whisper-none"))
    engine._whisper = library
    return engine.transcribe(np.zeros(round(seconds * 16_000), np.float32), HearOptions("en", **options), NEVER)


def test_what_was_left_out_in_the_middle_is_heard_again() -> None:
    library = Library([
        [(0, 4, " One."), (12, 16, " Three.")],
        [(1, 6, " Two."), (8, 12, " Three.")],
    ])  # fmt: skip
    heard = hear(library, 16.2)
    assert heard.text == "One. Two. Three."
    assert [(s.start_ms, s.end_ms) for s in heard.segments] == [(0, 4_000), (5_000, 10_000), (12_000, 16_000)]
    assert heard.words == ()
    assert library.asked == [(16.2, True), (12.2, True)]


def test_words_go_with_their_segments() -> None:
    library = Library([[(0, 4, " One."), (12, 16, " Three.")], [(1, 6, " Two."), (8, 12, " Three.")]])
    assert [w.word for w in hear(library, 16.2, words=True).words] == [" One.", " Two.", " Three."]


def test_a_rest_is_heard_again_with_times_when_it_is_short() -> None:
    library = Library([[(0, 9, " One.")], [(0, 6, " Two.")]])
    assert hear(library, 15.1).text == "One. Two."
    assert library.asked == [(15.1, True), (pytest.approx(6.1), False)]


def test_holes_that_stay_cost_no_words() -> None:
    hole = [(0.0, 1.0, " One."), (5.0, 6.0, " Two.")]
    heard = hear(Library([hole] * 4), 28.0)
    assert heard.text == "One. One. One. One. Two."


def test_a_text_of_the_moment_is_heard_once() -> None:
    library = Library([[(0, 1, " One."), (9, 10, " Two.")]])
    assert hear(library, 20.0, fast=True).text == "One. Two."
    assert library.asked == [(20.0, False)]
