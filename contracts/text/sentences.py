"""Where sentences end: sentencex decides, we keep the offsets, its pace, and a few cases it does not know."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import regex
import sentencex  # type: ignore[import-untyped]  # a compiled module without types

from contracts.text.weight import base_language

WINDOW = 4_000
"""Characters shown to sentencex at once: its time grows with the square of some inputs (quotes never closed)."""
MERGE_BELOW = 300
"""A longer piece is a sentence, whatever follows; also keeps the merging linear."""

_PARAGRAPH = regex.compile(r"[^\n]+\n*|\n+")
_SURROGATE = regex.compile(r"[\ud800-\udfff]")
EXTENDS = r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]"
"""Characters that belong to the one before."""

_LONE_LABEL = regex.compile(r"#*\s*[(\[“\"]?(?:\d{1,3}|\p{L}|[ivx]{2,4}|(?i:approx|vs|cf|fig|bzw|ca|nr))[.)]\s+")
"""The number of a list's item, or an abbreviation, taken for a sentence."""
_SPEECH_END = regex.compile(r"[!?…”\"’][\p{Pe}\p{Pf}\"']*\s*$")
_ELLIPSIS_END = regex.compile(r"\.\.\.\s*$")
_GOES_ON = regex.compile(r"(?:[—–-]+\s*)?\p{Ll}")
_STARTS_UPPER = regex.compile(r"[^\p{L}\p{N}]*\p{Lu}")
_BELONGS_BEFORE = regex.compile(rf"(?:\s|{EXTENDS}|\p{{Pe}})+")
_MISSED = regex.compile(r"""(?:(?<=(?:^|[\s"“‘(])(?:May|O[kK]|(?i:okay)))\.|\p{Ll}[.!?]\))\s+(?=["“‘(]?[\p{Lu}\d])""")
"""Words it takes for abbreviations, and sentences that end inside brackets."""


def sentences(text: str, language: str) -> Iterator[str]:
    """The sentences of a text, each with the blanks behind it; joined they are the text."""
    code = base_language(language) or "en"
    for paragraph in _PARAGRAPH.finditer(text):
        yield from _mended(_cut_paragraph(paragraph[0], code))


def _cut_paragraph(paragraph: str, code: str) -> Iterator[str]:
    """Pieces of one paragraph, seen through a window that moves on to the last sentence it did not see the end of."""
    visible = _SURROGATE.sub("x", paragraph)  # the library is Rust: its strings have none
    start = at = 0
    while at < len(paragraph):
        window = visible[at : at + WINDOW].rstrip("\n")
        lengths = [len(piece) for piece in sentencex.segment(code, window)]
        if sum(lengths) != len(window):
            lengths = [len(window)]
        last = at + WINDOW >= len(paragraph)
        for length in lengths if last else lengths[:-1]:
            at += length
            yield paragraph[start:at]
            start = at
        if last:
            break
        if len(lengths) == 1:
            at += len(window)
    if start < len(paragraph):
        yield paragraph[start:]


def _mended(pieces: Iterator[str]) -> Iterator[str]:
    held = ""
    for piece in pieces:
        rest = piece
        if held and (belongs := _BELONGS_BEFORE.match(rest)):
            held, rest = held + belongs[0], rest[belongs.end() :]
        if held and rest and not _one_sentence(held, rest):
            yield held
            held = ""
        *whole, rest = _split_missed(held + rest)
        yield from whole
        held = rest
    if held:
        yield held


def _one_sentence(before: str, after: str) -> bool:
    if len(before) <= 12 and _LONE_LABEL.fullmatch(before):
        return True
    if len(before) > MERGE_BELOW or not _GOES_ON.match(after) or not _STARTS_UPPER.match(before):
        return False
    tail = before[-12:]
    return _SPEECH_END.search(tail) is not None or _ELLIPSIS_END.search(tail) is not None


def _split_missed(sentence: str) -> list[str]:
    edges = [0, *(m.end() for m in _MISSED.finditer(sentence)), len(sentence)]
    return [sentence[a:b] for a, b in pairwise(edges) if a < b] or [""]
