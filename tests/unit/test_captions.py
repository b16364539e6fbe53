"""WebVTT from a log: times, escaping, wrapping, and what a skip looks like."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.records import Record
from producer_api.audio.captions import LINE_COLUMNS, timestamp, webvtt, wrap

CUE = re.compile(r"(\d+)\n(\d\d+:\d\d:\d\d\.\d{3}) --> (\d\d+:\d\d:\d\d\.\d{3})\n(.*)", re.DOTALL)
META = Record(0, "meta", {"title": "A cast"})


def audio(index: int, text: str, samples: int = 24_000) -> Record:
    """An audio record with the headers that captions need."""
    return Record(index + 1, "audio", {"i": index, "d": round(samples / 24), "t": text, "n": samples}, b"OggS")


def skip(index: int, text: str) -> Record:
    """A unit that failed for good."""
    return Record(index + 1, "skip", {"i": index, "t": text, "reason": "the engine died five times"})


def cues(records: list[Record]) -> list[tuple[str, ...]]:
    """(id, start, end, payload) of every block; anything else in the file fails the test."""
    header, *blocks = "".join(webvtt(records)).rstrip("\n").split("\n\n")
    assert header == "WEBVTT"
    matches = [CUE.fullmatch(block) for block in blocks]
    assert all(matches), blocks
    return [match.groups() for match in matches if match]


def test_cues_follow_each_other_and_carry_the_index() -> None:
    log = [META, audio(0, "One."), audio(1, "Two.", 36_000), Record(3, "eos", {"units": 2})]
    assert cues(log) == [
        ("0", "00:00:00.000", "00:00:01.000", "One."),
        ("1", "00:00:01.000", "00:00:02.500", "Two."),
    ]


def test_words_have_their_times() -> None:
    times = [("Tom", 0), ("Jerry", 300), ("then", 300), ("x" * 60, 500), ("again", 700), ("late", 1200)]
    text = f"Tom & Jerry, then {'x' * 60} again, late."
    record = audio(0, text)
    words = [{"w": word, "s": start, "e": start + 100} for word, start in times]
    spoken = Record(1, "audio", {**record.headers, "words": words}, b"OggS")
    lines = cues([audio(0, "One."), spoken])[1][3].split("\n")
    assert lines[0] == "Tom &amp; <00:00:01.300>Jerry, then"
    assert lines[-1].endswith("x <00:00:01.700>again, late.")


def test_a_log_without_units_is_a_valid_file() -> None:
    assert "".join(webvtt([META])) == "WEBVTT\n"


def test_rounding_does_not_add_up() -> None:
    """Ten thousand units of 24,011 samples: `d` says 1000 ms each, the samples say 4.583 s more."""
    last = cues([audio(i, "x", 24_011) for i in range(10_000)])[-1]
    assert last[2] == timestamp(10_000 * 24_011 // 24)


def test_a_skip_takes_no_time_and_is_labelled() -> None:
    assert cues([audio(0, "One."), skip(1, "Lost & gone."), audio(2, "Three.")])[1:] == [
        ("1", "00:00:01.000", "00:00:03.000", "<c.skipped>[skipped] Lost &amp; gone.</c>"),
        ("2", "00:00:01.000", "00:00:02.000", "Three."),
    ]


def test_a_cue_is_never_of_no_length() -> None:
    assert cues([audio(0, "!", 3)])[0][1:3] == ("00:00:00.000", "00:00:00.001")


def test_markup_and_cue_arrows_are_text() -> None:
    assert cues([audio(0, "a --> b <i>&amp;</i>")])[0][3] == "a --&gt; b &lt;i&gt;&amp;amp;&lt;/i&gt;"


@pytest.mark.parametrize(
    ("ms", "text"), [(0, "00:00:00.000"), (3_723_004, "01:02:03.004"), (360_000_000, "100:00:00.000")]
)
def test_timestamp(ms: int, text: str) -> None:
    assert timestamp(ms) == text


def test_long_sentences_are_wrapped_at_spaces() -> None:
    lines = wrap("the quick brown fox jumps over the lazy dog " * 4, LINE_COLUMNS)
    assert lines[0] == "the quick brown fox jumps over the lazy"
    assert max(map(len, lines)) <= LINE_COLUMNS


def test_wide_characters_count_twice() -> None:
    assert wrap("\u65e5\u672c\u8a9e" * 10, 20) == [
        "\u65e5\u672c\u8a9e" * 3 + "\u65e5",
        "\u672c\u8a9e\u65e5" * 3 + "\u672c",
        "\u8a9e" + "\u65e5\u672c\u8a9e" * 3,
    ]


def test_a_cut_never_separates_a_combining_mark() -> None:
    assert wrap("e\u0301" * 6, 4) == ["e\u0301" * 4, "e\u0301" * 2]


@given(st.lists(st.text(max_size=200), max_size=8))
def test_any_text_makes_a_parsable_file_that_says_it(texts: list[str]) -> None:
    found = cues([audio(i, text or "x") for i, text in enumerate(t if t.split() else "x" for t in texts)])
    assert len(found) == len(texts)
    for (_, _, _, payload), text in zip(found, texts, strict=True):
        assert "-->" not in payload
        assert "\n\n" not in payload
        spoken = payload.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        assert "".join(spoken.split()) == "".join((text if text.split() else "x").split())


@given(st.text(), st.integers(2, 60))
def test_wrapping_keeps_every_character_but_white_space(text: str, columns: int) -> None:
    lines = wrap(text, columns)
    assert "".join("".join(lines).split()) == "".join(text.split())
    assert all(line.strip() for line in lines)
