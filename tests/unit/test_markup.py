"""Pauses, and words with their sounds: what is one, what the splitter sees of it, what readers see."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.text import IncrementalSplitter, estimate_ms, normalise, speakable, split_units
from contracts.text.markup import Pause, Spoken, parse, shown

TEXT = (
    "Hello there, my dear friend. [pause:1.5s] I live in [New York](/nˌuː jˈɔːɹk/), and I say [tomato](/təˈmɑːtoʊ/) "
    "each day. See [docs](/docs/) and [a b](x). [pause: 300ms] [pause:2] End."
)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a [pause:1.5s] b", [Spoken("a "), Pause(1.5), Spoken(" b")]),
        ("[pause:250ms]", [Pause(0.25)]),
        ("[pause: 2]", [Pause(2.0)]),
        ("[pause:600s]", [Pause(10.0)]),
        ("[pause:]", [Spoken("[pause:]")]),
        ("[pause:-1s]", [Spoken("[pause:-1s]")]),
        ("[New York](/nˌuː jˈɔːɹk/)!", [Spoken("New York", "nˌuː jˈɔːɹk"), Spoken("!")]),
        ("[docs](/docs/)", [Spoken("[docs](/docs/)")]),
        ("[it](/a/b/ə/)", [Spoken("[it](/a/b/ə/)")]),
        ("[it](https://example.org/ə/)", [Spoken("[it](https://example.org/ə/)")]),
        ("", []),
    ],
)
def test_parts(text: str, parts: list[Spoken | Pause]) -> None:
    assert [part for part, _ in parse(text)] == parts
    assert "".join(original for _, original in parse(text)) == text


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a [pause:1s] b", "a b"),
        ("[pause:1s] b", "b"),
        ("a[pause:1s]b", "ab"),
        ("[New York](/nˌuː jˈɔːɹk/)!", "New York!"),
        ("[docs](/docs/)", "[docs](/docs/)"),
    ],
)
def test_readers_see_the_words(text: str, seen: str) -> None:
    assert shown(text) == seen


def test_units_do_not_cut_it() -> None:
    units = split_units(TEXT, "en-US")
    assert "".join(units) == TEXT
    assert units[1].startswith("[pause:1.5s] I live in [New York](/nˌuː jˈɔːɹk/), and")
    assert len(units) == 4


@given(st.lists(st.integers(1, len(TEXT) - 1), max_size=30))
def test_units_are_the_same_however_the_text_comes(cuts: list[int]) -> None:
    edges = [0, *sorted(set(cuts)), len(TEXT)]
    splitter = IncrementalSplitter("en-US")
    units = [unit for a, b in pairwise(edges) for unit in splitter.feed(TEXT[a:b])]
    assert units + splitter.close() == split_units(TEXT, "en-US")


PIECES = [
    "[",
    "]",
    "(/",
    "/)",
    "ə",
    "[pause:",
    "1s]",
    " ",
    ". ",
    "Word",
    "word and ",
    "[a](/ə/)",
    "[pause:2s]",
    "\n\n",
    "—",
]


@given(st.lists(st.sampled_from(PIECES), max_size=40))
def test_whatever_looks_like_it_is_kept(pieces: list[str]) -> None:
    text = normalise("".join(pieces))
    units = split_units(text, "en-US")
    assert "".join(units) == text
    splitter = IncrementalSplitter("en-US")
    fed = [unit for piece in pieces for unit in splitter.feed(piece)] + splitter.close()
    assert "".join(fed) == (text if speakable(text) else "")


def test_a_pause_is_no_speech_but_takes_its_time() -> None:
    assert not speakable("[pause:2s]")
    assert speakable("[pause:2s] a")
    plain = estimate_ms("Well, then.", "en-US", 2.0)
    assert estimate_ms("Well, [pause:2s] then.", "en-US", 2.0) == pytest.approx(plain + 2000, abs=40)
    assert estimate_ms("[Well](/wˈɛl/), then.", "en-US", 2.0) == plain
