"""How much there is to say in a text: for the engine's limit, and for deadlines."""

from __future__ import annotations

from functools import lru_cache

import regex

from contracts.text.markup import pauses_s, shown

LETTER = 4
"""Weight of a Latin letter, roughly one phoneme; other weights are relative to it, and none is lower."""
SOFT = 220 * LETTER
"""Units should not weigh more."""
HARD = 300 * LETTER
"""Units never weigh more: 300 letters stay below the 510 phonemes an engine takes at once."""

CJK = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Hangul}\p{Bopomofo}\u3000-\u303f\uff01-\uff65]")
_CLASSES = (
    (regex.compile(r"\p{Hangul}"), 10),
    (CJK, 15),
    (regex.compile(r"\p{Nd}"), 8 * LETTER),  # "9,999,999" is spoken as twelve words
    (regex.compile(r"\p{N}"), 8 * LETTER),
    (regex.compile(r"\p{Lu}"), 2 * LETTER),  # of a spelled-out abbreviation, maybe
    (regex.compile(r"[\p{Latin}\p{Greek}\p{Cyrillic}]"), LETTER),
    (regex.compile(r"\p{L}"), 6),
    (regex.compile(r"[\p{Extended_Pictographic}\p{So}]"), 20 * LETTER),  # "face with tears of joy"
    (regex.compile(r"[\p{Sc}\p{Sm}%&@#§]"), 8 * LETTER),
)

_MS_PER_LETTER = {"en": 62, "de": 64, "es": 58, "fr": 60, "it": 62, "pt": 60, "hi": 75}
_OTHER_MS = 65
_CJK_MS = 200
_DIGIT_MS = 250
_PAUSE_MS = 300
_DIGIT = regex.compile(r"\d")


@lru_cache(maxsize=1 << 16)
def weight(char: str) -> int:
    """Weight of one character."""
    for pattern, value in _CLASSES:
        if pattern.match(char):
            return value
    return LETTER


def weigh(text: str) -> int:
    """Weight of a text."""
    return sum(map(weight, text))


def base_language(tag: str) -> str:
    """`pt-BR` -> `pt`; "" for what is no language tag."""
    base = tag.replace("_", "-").split("-")[0].lower()
    return base if base.isascii() and base.isalpha() and len(base) <= 3 else ""


def estimate_ms(unit: str, language: str, speed: float) -> int:
    """Rough spoken duration in ms, at least 1; good enough to say which unit is due first."""
    pause_ms = _PAUSE_MS + 1000 * pauses_s(unit) * max(speed, 0.01)  # what is asked for is not spoken faster
    unit = shown(unit)
    wide, digits = len(CJK.findall(unit)), len(_DIGIT.findall(unit))
    letters = max(0, len(unit) - wide - digits)
    pace = _MS_PER_LETTER.get(base_language(language), _OTHER_MS)
    spoken = letters * pace + wide * _CJK_MS + digits * _DIGIT_MS
    return max(1, round((spoken + pause_ms) / max(speed, 0.01)))
