"""Which sounds are which words: from phonemes, and how long each lasts, to the times of the words of a text.

A sound is a character of the phoneme alphabet that is no blank and no mark; sounds are counted from the beginning of
the text.
"""

from __future__ import annotations

import difflib
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from workers.tts.speech import Word

MARKS = frozenset(' ;:,.!?…—–“”"()')


@dataclass(frozen=True, slots=True)
class Sounding:
    """A word and its sounds: first, and one behind the last."""

    text: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Spelling:
    """A text in phonemes, and its words."""

    phonemes: str
    words: tuple[Sounding, ...] = ()


def count_sounds(phonemes: str) -> int:
    """Without blanks and marks."""
    return sum(c not in MARKS for c in phonemes)


def shares(total: int, sizes: Sequence[int]) -> list[int]:
    """`total` cut into parts as large as sizes say, roughly; the ends of the parts."""
    whole = sum(sizes) or 1
    return [round(total * upto / whole) for upto in accumulate(sizes)]


def align(shown: Sequence[str], read: Sequence[Sounding]) -> list[Sounding]:
    """The words a reader sees, with the sounds of those that were read: "$5" is read as "5 dollars"."""
    seen = [w.lower() for w in shown]
    matcher = difflib.SequenceMatcher(None, seen, [_bare(w.text.lower()) for w in read], autojunk=False)
    words: list[Sounding] = []
    for _, a, b, c, d in matcher.get_opcodes():
        if b - a == d - c:
            words += (Sounding(shown[a + n], read[c + n].first, read[c + n].last) for n in range(b - a))
        elif a < b and c < d:
            at, first, last = read[c].first, read[c].first, read[d - 1].last
            for word, upto in zip(shown[a:b], shares(last - first, [len(w) for w in shown[a:b]]), strict=True):
                words.append(Sounding(word, at, first + upto))
                at = first + upto
        elif words and c < d:  # nobody sees them: "minus", "number"
            words[-1] = Sounding(words[-1].text, words[-1].first, read[d - 1].last)
    return words


def shown_words(text: str) -> list[str]:
    """Words of a text as they stand there, without the marks around them; marks alone are none."""
    bare = (_bare(token) for token in text.split())
    return [word for word in bare if word]


def timed(spelling: Spelling, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> tuple[Word, ...]:
    """Its words in time. starts, ends: of each sound, in samples; -1 where a sound is not spoken."""
    words = []
    for word in spelling.words:
        begun, ended = starts[word.first : word.last], ends[word.first : word.last]
        if (begun >= 0).any():
            words.append(Word(word.text, int(begun[begun >= 0][0]), int(ended[ended >= 0][-1])))
    return tuple(words)


def _bare(token: str) -> str:
    """Without what neither sounds nor belongs to the spelling."""
    start, end = 0, len(token)
    while start < end and not _sounds(token[start]):
        start += 1
    while end > start and not _sounds(token[end - 1]):
        end -= 1
    return token[start:end]


def _sounds(character: str) -> bool:
    return unicodedata.category(character)[0] in "LMNS" or character in "%&@#"
