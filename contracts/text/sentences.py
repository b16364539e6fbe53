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

_LONE_LABEL = regex.compile(r"#*\s*[(\[“\"]?(?:\d{1,3}|\p{L}|[ivx]{2,4}|[IVX]{2,4})[.)]\s+")
"""The number of a list's item, taken for a sentence."""
_BEFORE_A_NAME = regex.compile(r"(?:^|[\s(\[“\"])(?:Mr|Mrs|Ms|Dr|Prof|Mme|Mlle|Sr|Sra|Dott|Sig)\.\s+$")
"""Titles, in any language: sentencex knows those of English in English only."""
_BEFORE_A_FIGURE = regex.compile(r"(?:^|[\s(\[“\"])(?i:approx|vs|cf|figs?|pp?|vol|bzw|ca|nr)\.\s+$")
_FIGURE = regex.compile(r"[\p{Ll}\p{Nd}$€£]")
_INITIAL = regex.compile(r"(?:^|[\s.])\p{Lu}\.\s+$")
_GERMAN_DAY = regex.compile(r"\b\d{1,2}\.\s+$")
_GERMAN_MONTH = regex.compile(r"(?:Jan|Feb|Mär|Apr|Mai|Jun|Jul|Aug|Sep|Okt|Nov|Dez)")
_STRAY_MARK = regex.compile(r"(?<=[.!?…]\s)[\"'’]$")
"""A mark that opens the next sentence, taken for one that closes this: It was late. ’Tis true."""
_UNPARTED = regex.compile(r"[.'’\"]$")
_PARTED_ANYHOW = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]")
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
        yield from _mended(_cut_paragraph(paragraph[0], code), code)


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


def _mended(pieces: Iterator[str], code: str) -> Iterator[str]:
    held = ""
    for piece in pieces:
        rest = piece
        if held and (belongs := _BELONGS_BEFORE.match(rest)):
            held, rest = held + belongs[0], rest[belongs.end() :]
        if held and rest[:1].isalpha() and _STRAY_MARK.search(held[-3:]):
            held, rest = held[:-1], held[-1] + rest
        if held and rest and not _one_sentence(held, rest, code):
            yield held
            held = ""
        *whole, rest = _split_missed(held + rest)
        yield from whole
        held = rest
    if held:
        yield held


def _one_sentence(before: str, after: str, code: str) -> bool:
    if len(before) <= 12 and _LONE_LABEL.fullmatch(before):
        return True
    if len(before) > MERGE_BELOW:
        return False
    tail = before[-12:]
    if _continues(tail, after, code):
        return True
    if not _GOES_ON.match(after) or not _STARTS_UPPER.match(before):
        return False
    return _SPEECH_END.search(tail) is not None or _ELLIPSIS_END.search(tail) is not None


def _continues(tail: str, after: str, code: str) -> bool:
    """Whether the full stop at the end of `tail` is none: obj.Method, Mme. Durand, approx. five, J. Chirac."""
    if _UNPARTED.search(tail):
        return not _PARTED_ANYHOW.match(after)
    if _BEFORE_A_FIGURE.search(tail):
        return _FIGURE.match(after) is not None
    if code == "de" and _GERMAN_DAY.search(tail) and _GERMAN_MONTH.match(after):
        return True
    # English is told "Plan B. It works." from "J. R. R. Tolkien" by sentencex; other languages are not.
    return _BEFORE_A_NAME.search(tail) is not None or (code != "en" and _INITIAL.search(tail) is not None)


def _split_missed(sentence: str) -> list[str]:
    edges = [0, *(m.end() for m in _MISSED.finditer(sentence)), len(sentence)]
    return [sentence[a:b] for a, b in pairwise(edges) if a < b] or [""]
