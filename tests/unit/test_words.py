"""Which sounds are which words."""

from __future__ import annotations

import numpy as np
import pytest

from workers.tts.g2p import spell
from workers.tts.words import Sounding, Spelling, align, count_sounds, shown_words, timed


def test_words_as_they_stand() -> None:
    assert shown_words("“Well,” said  *she* — 5 % of [it]… 😀 don't!") == [
        "Well", "said", "she", "5", "%", "of", "it", "😀", "don't"
    ]  # fmt: skip


def test_what_is_read_otherwise_is_still_one_word() -> None:
    read = [Sounding("about", 0, 4), Sounding("5", 4, 8), Sounding("dollars", 8, 15), Sounding("now", 15, 17)]
    assert align(["about", "$5", "now"], read) == [
        Sounding("about", 0, 4), Sounding("$5", 4, 15), Sounding("now", 15, 17)
    ]  # fmt: skip


def test_words_in_time_skip_what_is_not_spoken() -> None:
    spelling = Spelling("ab cd", (Sounding("one", 0, 2), Sounding("two", 2, 4)))
    starts, ends = np.array([10, -1, -1, -1]), np.array([20, -1, -1, -1])
    assert [(w.text, w.start, w.end) for w in timed(spelling, starts, ends)] == [("one", 10, 20)]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The quick brown fox, who cost $5.20 in 1999, jumps over the lazy dog — twice!", "en-US"),
        ("I live in [New York](/nˌuː jˈɔːɹk/), and of the 3.14 e-mails I read none…", "en-GB"),
        ("Le petit prince (l'enfant) n'a pas 25 ans.", "fr-FR"),
        ("¿Qué hora es? Son las 10:30.", "es-ES"),
    ],
)
def test_every_word_has_its_sounds(text: str, language: str) -> None:
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is not here: pip install castline[embedded]")
    spelling = spell(text, language)
    edges = [edge for word in spelling.words for edge in (word.first, word.last)]
    assert edges == sorted(edges)
    assert edges[-1] == count_sounds(spelling.phonemes)
    assert all(word.first < word.last for word in spelling.words)
    seen = [word.text for word in spelling.words]
    assert [word for word in shown_words(text.replace("[", "").replace("](/nˌuː jˈɔːɹk/)", "")) if word in seen] == seen


def test_given_sounds_are_spoken() -> None:
    pytest.importorskip("espeakng_loader", reason="eSpeak NG is not here: pip install castline[embedded]")
    assert spell("say [tomato](/təˈmeɪtoʊ/) now", "en-US").phonemes == "sˈA təˈmAtO nˈW"
    assert spell("[docs](/docs/)", "en-US").phonemes != spell("[docs](/dˈɑks/)", "en-US").phonemes == "dˈɑks"
