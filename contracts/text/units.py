"""A text in the units that are spoken, logged and shown one by one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import regex

from contracts.text.clauses import cut_long
from contracts.text.markup import Guard
from contracts.text.normal import speakable
from contracts.text.opening import opening_end, second_end
from contracts.text.sentences import sentences
from contracts.text.weight import HARD, weigh

_OPENS = regex.compile(r"[\s\p{Ps}\p{Pi}\"'¿¡*#>•-]+")
"""Marks that belong to what follows, unless a paragraph ends behind them."""


def split_units(text: str, language: str) -> list[str]:
    """The units of a text, each with the blanks behind it; joined they are the text.

    One sentence is one unit, but for the first (in pieces: somebody waits for it) and for those too long for an engine.
    Each unit holds something speakable, unless that would make it too long.
    """
    guard = Guard()
    seen = guard.feed(text) + guard.close()
    whole = voiced(sentences(seen, language))
    return guard.restore(voiced(_parts(whole, language)))


def _parts(whole: Iterable[str], language: str) -> Iterator[str]:
    for n, sentence in enumerate(whole):
        pieces = opening(sentence, language) if n == 0 else (sentence,)
        for piece in pieces:
            yield from cut_long(piece)


def opening(sentence: str, language: str) -> Iterator[str]:
    """The first sentence in pieces: short, longer, the rest."""
    end = opening_end(sentence, language)
    yield sentence[:end]
    if rest := sentence[end:]:
        end = second_end(rest)
        yield rest[:end]
        if rest[end:]:
            yield rest[end:]


def voiced(pieces: Iterable[str]) -> Iterator[str]:
    """The pieces, silent ones joined to a neighbour: to the one before, or behind if they open something."""
    held = silent = ""
    for piece in pieces:
        if speakable(piece):
            if held:
                yield held
            held = piece
            if silent:
                if _fits(silent, piece):
                    held = silent + piece
                else:
                    yield silent
                silent = ""
        elif held and not silent and _fits(held, piece) and not _opens(piece):
            held += piece
        elif silent and not _fits(silent, piece):
            if held:
                yield held
                held = ""
            yield silent
            silent = piece
        else:
            silent += piece
    if held and silent and _fits(held, silent):
        held, silent = held + silent, ""
    yield from (rest for rest in (held, silent) if rest)


def _opens(piece: str) -> bool:
    return not piece.endswith("\n") and _OPENS.fullmatch(piece) is not None


def _fits(before: str, after: str) -> bool:
    return (len(before) + len(after)) * 4 <= HARD and weigh(before) + weigh(after) <= HARD
