"""WebVTT captions of a cast: one cue per unit, timed by the samples before it, and its words where they are known."""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from contracts.records import Record

CONTENT_TYPE = "text/vtt; charset=utf-8"

LINE_COLUMNS = 42
"""The common bound of subtitle guides; East Asian wide characters count twice."""

SKIP_CUE_MS = 2_000
"""A unit without sound takes no time, but a cue must: it stands this long beside the next one."""

_SAMPLES_PER_MS = 24


def webvtt(records: Iterable[Record]) -> Iterator[str]:
    """The pieces of a WebVTT file. Records other than audio and skip are passed over; order is the log's.

    The cue's id is the unit's index. Times are from the samples, not the rounded `d`: a book has thousands of units.
    """
    yield "WEBVTT\n"
    samples = 0
    for record in records:
        start = samples // _SAMPLES_PER_MS
        if record.type == "audio":
            samples += int(record.headers["n"])
            end = max(samples // _SAMPLES_PER_MS, start + 1)  # a cue of no length is not valid
            text = payload(record.headers["t"], list(_times(record.headers.get("words", ()), start, end)))
            yield _cue(record.headers["i"], start, end, text)
        elif record.type == "skip":
            text = f"<c.skipped>{payload('[skipped] ' + record.headers['t'])}</c>"
            yield _cue(record.headers["i"], start, start + SKIP_CUE_MS, text)


def _cue(index: int, start_ms: int, end_ms: int, payload: str) -> str:
    return f"\n{index}\n{timestamp(start_ms)} --> {timestamp(end_ms)}\n{payload}\n"


def timestamp(ms: int) -> str:
    """3_723_004 -> `01:02:03.004`."""
    seconds, milliseconds = divmod(ms, 1_000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{milliseconds:03}"


def payload(text: str, words: Sequence[tuple[str, int]] = ()) -> str:
    """Wrapped, then escaped: the reader sees the character, not its escape. `-->` can not survive the escaping.

    words: (as it stands in the text, ms) in order; each has its time before it, so that players may follow.
    """
    marked: list[str] = []
    left = deque((word, ms) for word, ms in words if _columns(word) <= LINE_COLUMNS)  # longer ones are cut
    for line in wrap(text, LINE_COLUMNS):
        at, made = 0, ""
        while left and (found := line.find(left[0][0], at)) >= 0:
            word, ms = left.popleft()
            made += f"{_escaped(line[at:found])}<{timestamp(ms)}>{_escaped(word)}"
            at = found + len(word)
        marked.append(made + _escaped(line[at:]))
    return "\n".join(marked)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _times(words: Iterable[Mapping[str, Any]], start_ms: int, end_ms: int) -> Iterator[tuple[str, int]]:
    """Words that begin inside of their cue, each later than the one before: others are not valid."""
    last = start_ms
    for word in words:
        at = start_ms + int(word["s"])
        if last < at < end_ms:
            yield word["w"], at
            last = at


def wrap(text: str, columns: int) -> list[str]:
    """Lines of at most `columns` columns; white space of any kind becomes one space, as a blank line ends a cue.

    Breaks at spaces; a word longer than a line is cut, but never before a combining mark.
    """
    lines: list[str] = []
    line, used = "", 0
    for word in (piece for w in text.split() for piece in _pieces(w, columns)):
        width = _columns(word)
        if line and used + 1 + width > columns:
            lines.append(line)
            line, used = "", 0
        line, used = (f"{line} {word}", used + 1 + width) if line else (word, width)
    return [*lines, line] if line else lines


def _pieces(word: str, columns: int) -> Iterator[str]:
    piece, used = "", 0
    for character in word:
        width = _columns(character)
        if piece and width and used + width > columns:
            yield piece
            piece, used = "", 0
        piece, used = piece + character, used + width
    yield piece


def _columns(text: str) -> int:
    return sum(_width(character) for character in text)


def _width(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
