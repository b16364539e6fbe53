"""Words become phrases: sentences, cut where they are long or where words are missing."""

from __future__ import annotations

from itertools import pairwise

import pytest

from workers.stt.hearing import Word
from workers.stt.phrases import HOLE_MS, LONGEST_MS, phrases


def spoken(text: str, *, each_ms: int = 300, pauses: dict[int, int] | None = None) -> list[Word]:
    """One word after the other; pauses: ms of silence before the n-th."""
    at, words = 0, []
    for n, token in enumerate(text.split(" ")):
        at += (pauses or {}).get(n, 0)
        words.append(Word(at, at + each_ms, token if n == 0 else f" {token}", 0.9))
        at += each_ms
    return words


def texts(words: list[Word], language: str = "en") -> list[str]:
    return ["".join(word.word for word in part).strip() for part in phrases(words, language)]


def test_sentences_end_where_they_end_and_not_after_a_title() -> None:
    assert texts(spoken("And Mr. Dashwood had leisure. He was no young man! Was he?")) == [
        "And Mr. Dashwood had leisure.", "He was no young man!", "Was he?",
    ]  # fmt: skip


def test_languages_without_blanks() -> None:
    words = [Word(300 * n, 300 * n + 300, word, 0.9) for n, word in enumerate(["今日は", "晴れ。", "明日は", "雨。"])]
    assert texts(words, "ja") == ["今日は晴れ。", "明日は雨。"]


def test_no_words_are_no_phrases() -> None:
    assert texts([]) == []


@pytest.mark.parametrize("pauses", [{}, {30: 700}, {2: 900}])
def test_speech_without_marks_is_cut_at_pauses_and_nothing_is_lost(pauses: dict[int, int]) -> None:
    words = spoken(" ".join(["so"] * 80), pauses=pauses)
    parts = list(phrases(words, "en"))
    assert [word for part in parts for word in part] == words
    assert all(part[-1].end_ms - part[0].start_ms <= LONGEST_MS for part in parts)
    assert all(len(part) > 5 for part in parts)
    if 30 in pauses:
        assert words[30] in [part[0] for part in parts]


def test_a_hole_parts_phrases_wherever_it_is() -> None:
    words = spoken("He might even have been made amiable himself.", pauses={1: HOLE_MS + 1, 4: HOLE_MS})
    parts = list(phrases(words, "en"))
    assert [len(part) for part in parts] == [1, 7]
    assert [b[0].start_ms - a[-1].end_ms for a, b in pairwise(parts)] == [HOLE_MS + 1]


def test_one_word_may_be_long() -> None:
    assert texts(spoken("Ooooh", each_ms=2 * LONGEST_MS)) == ["Ooooh"]
