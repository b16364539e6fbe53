"""Text to the phoneme alphabet of Kokoro: eSpeak NG for the sounds, our own hands for punctuation and spelling.

eSpeak drops punctuation, but Kokoro hears its melody in it. So the text is cut at punctuation that separates (not at
the dot of "3.14" or "Mr."), the pieces are spoken, and the marks are put back in between.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import accumulate

from contracts.errors import UnitFailed
from contracts.text.markup import Spoken, parse, shown
from workers.tts.espeak_library import TIE, espeak
from workers.tts.words import Sounding, Spelling, align, count_sounds, shares, shown_words

KOKORO_LANGUAGES = ("en-US", "en-GB", "es-ES", "fr-FR", "hi-IN", "it-IT", "pt-BR")
"""Languages of its voices that eSpeak can transcribe for it; Japanese and Chinese need other tools."""

_ABBREVIATIONS = frozenset(
    "mr mrs ms dr prof sr jr st mt gen col capt lt sgt rev hon vs etc eg ie e.g i.e a.m p.m no vol fig approx dept inc"
    " ltd co corp jan feb mar apr jun jul aug sep sept oct nov dec".split()
)
_MARK = re.compile(r"[;:,.!?…—–“”\"«»()\[\]{}¡¿।。！？，、；：]+|(?<=\s)-+(?=\s)|--+")
_KOKORO_MARK = str.maketrans(
    {"–": "—", "«": "“", "»": "”", "[": "(", "]": ")", "{": "(", "}": ")", "¡": "", "¿": "", "।": ".", "。": ".",
     "！": "!", "？": "?", "，": ",", "、": ",", "；": ";", "：": ":", "-": "—"}
)  # fmt: skip
_STRAIGHT_QUOTE = re.compile(r'"')

_CURRENCY = {"$": "dollar", "£": "pound", "€": "euro"}
_WHOLE = r"(\d{1,3}(?:,\d{3})+|\d+)"
_MONEY = re.compile(rf"([$£€])\s?{_WHOLE}(?:\.(\d\d))?(?!\.?\d|\s(?:thousand|million|billion|trillion)\b)")
_MUCH_MONEY = re.compile(rf"([$£€])\s?{_WHOLE}(\.\d+)?\s(thousand|million|billion|trillion)\b")
_YEAR = re.compile(r"(?<![\d.,$£€#])(1[1-9]|20)([1-9]\d)(?![\d,.]\d|\d|%)")

_MINUS = re.compile(r"(?<![\w-])[-−](?=\d)")
_BETWEEN_DIGITS = re.compile(r"(?<=\d)-(?=\d)")
_HASH = re.compile(r"(?<!\w)#(?=\d)")
_MARKUP = re.compile(r"(?<!\d)\*+|\*+(?!\d)|[_`~]+")
"""Of Markdown; eSpeak would say "asterisk"."""

_TIED = {
    "a^ɪ": "I", "a^ʊ": "W", "e^ɪ": "A", "o^ʊ": "O", "ə^ʊ": "Q", "ɔ^ɪ": "Y", "d^ʒ": "ʤ", "t^ʃ": "ʧ", "d^z": "ʣ",
    "t^s": "ʦ", "ə^l": "ᵊl", "e^ə": "ɛː",
}  # fmt: skip
"""Two letters of eSpeak, one of Kokoro."""
_ENGLISH = {
    "ʔn̩": "tᵊn", "ʔn": "tn", "ʔ": "t", "ɚ": "əɹ", "ɐ": "ə", "r": "ɹ", "x": "k", "ç": "k", "ɬ": "l", "ʲ": "", "e": "A",
    "\u0303": "",
}  # fmt: skip
_AMERICAN = {"ɜːɹ": "ɜɹ", "ɜː": "ɜɹ", "ɪə": "iə", "ː": "", "ɾ": "T"}
_BRITISH = {"iə": "ɪə"}
_WRITTEN = {
    "͡": "", "͜": "", ".": "", "|": "", "‿": "", "’": "ˈ", "'": "ˈ", "g": "ɡ", "eɪ": "A", "aɪ": "I", "aʊ": "W", "oʊ": "O",
    "əʊ": "Q", "ɔɪ": "Y", "dʒ": "ʤ", "tʃ": "ʧ", "ɚ": "əɹ", "ɝ": "ɜɹ", "ɫ": "l",
}  # fmt: skip
"""Of IPA in dictionaries; what is left is Kokoro's already, or has no sound there."""
_HIDDEN = 0xE000
_MOST_HIDDEN = 0x1000
_STAND_IN = re.compile(f"([{chr(_HIDDEN)}-{chr(_HIDDEN + _MOST_HIDDEN - 1)}])")
"""A private character for a word whose sounds are given; there are none in a normal text."""
_SYLLABIC = re.compile("(\\S)\u0329")
_LANGUAGE_SWITCH = re.compile(r"\([a-z^]+(?:-[a-z^]+)*\)")
"""eSpeak reads a foreign word in its own language and says so."""


def phonemes(text: str, language: str) -> str:
    """Kokoro's spelling of a text, see spell."""
    return spell(text, language).phonemes


def spell(text: str, language: str) -> Spelling:
    """Kokoro's spelling of a text and which sounds are which words; "" when it holds nothing that is spoken.

    language: BCP 47. Raises UnitFailed for one that is not in KOKORO_LANGUAGES, ModelMissing without eSpeak NG.
    """
    if language not in KOKORO_LANGUAGES:
        raise UnitFailed(f"Kokoro can not be given {language} here; known: {', '.join(KOKORO_LANGUAGES)}")
    seen, given = _hide_sounds(text, language)
    seen = _MARKUP.sub(" ", seen)
    if language.startswith("en"):
        seen = _read_years(_read_signs(_read_money(seen)))
    seen = re.sub(r"\s+", " ", seen.strip())
    pieces: list[str] = []
    words: list[Sounding] = []
    end = count = 0
    for start, stop in [*_marks(seen), (len(seen), len(seen))]:
        piece = seen[end:start]
        said = _say(piece, language, given)
        words += _words(piece, said, count, language, given)
        count += count_sounds(said)
        pieces += [said, _spell_mark(seen, start, stop) if start < stop else ""]
        end = stop
    if not count:
        return Spelling("")
    return Spelling(_tidy("".join(pieces)), tuple(align(shown_words(shown(text)), words)))


def _hide_sounds(text: str, language: str) -> tuple[str, Sequence[str]]:
    """The text with one private character for each word whose sounds are given; and these sounds."""
    seen = ""
    given: list[str] = []
    for part, original in parse(text):
        if isinstance(part, Spoken) and part.sounds and len(given) < _MOST_HIDDEN:
            seen += chr(_HIDDEN + len(given))
            given.append(_from_ipa(part.sounds, language))
        else:
            seen += _STAND_IN.sub(" ", part.text if isinstance(part, Spoken) else original)
    return seen, given


def _from_ipa(ipa: str, language: str) -> str:
    """Sounds as people and dictionaries write them, in Kokoro's letters; its own are understood, too."""
    for theirs, ours in _WRITTEN.items():
        ipa = ipa.replace(theirs, ours)
    if language.startswith("en"):
        ipa = ipa.replace("r", "ɹ")
    return _SYLLABIC.sub(r"ᵊ\1", " ".join(ipa.split()))


def _words(piece: str, said: str, count: int, language: str, given: Sequence[str]) -> Iterator[Sounding]:
    """The words between two marks; sounds are counted from `count`. eSpeak runs some together, and parts others."""
    read, groups = piece.split(), said.split()
    sizes = [count_sounds(group) for group in groups]
    if len(read) != len(groups):
        alone = [count_sounds(_say(word, language, given)) for word in read]
        ends = shares(sum(sizes), alone)
    else:
        ends = list(accumulate(sizes))
    for word, first, last in zip(read, [0, *ends], ends, strict=False):
        yield Sounding(word, count + first, count + last)


def _tidy(spelled: str) -> str:
    """One space between words, none before closing marks and after opening ones."""
    spelled = re.sub(r" +", " ", spelled)
    spelled = re.sub(r" ([;:,.!?…”)])", r"\1", spelled)
    return re.sub(r"([“(]) ", r"\1", spelled).strip()


def _say(piece: str, language: str, given: Sequence[str]) -> str:
    """Phonemes of a text without punctuation, with the white space around it."""
    parts = enumerate(_STAND_IN.split(piece))
    return "".join(given[ord(part) - _HIDDEN] if n % 2 else _spelled(part, language) for n, part in parts)


def _spelled(piece: str, language: str) -> str:
    if not piece.strip():
        return piece
    said = _to_kokoro(_LANGUAGE_SWITCH.sub("", espeak().phonemes(piece, language)), language)
    before, after = piece[0].isspace(), piece[-1].isspace()
    return " " * before + said + " " * after


def _to_kokoro(ipa: str, language: str) -> str:
    for theirs, ours in _TIED.items():
        ipa = ipa.replace(theirs, ours)
    ipa = ipa.replace(TIE, "").replace("_", "").replace("-", "")
    if language.startswith("en"):
        for theirs, ours in (_ENGLISH | (_AMERICAN if language == "en-US" else _BRITISH)).items():
            ipa = ipa.replace(theirs, ours)
    return _SYLLABIC.sub(r"ᵊ\1", ipa)


def _marks(text: str) -> list[tuple[int, int]]:
    """Where the punctuation that separates stands."""
    return [m.span() for m in _MARK.finditer(text) if not _inside_a_word(text, *m.span())]


def _inside_a_word(text: str, start: int, stop: int) -> bool:
    """The dot of 3.14 and Mr., the comma of 1,000, the colon of 10:30; never the last character of the text."""
    if stop - start > 1 or text[start] not in ".,:" or not text[stop:].strip():
        return False
    before, after = text[start - 1 : start], text[stop]
    if before.isdigit() and after.isdigit():
        return True
    if text[start] != "." or after.isalnum():
        return text[start] == "." and before.isalnum()
    word = re.split(r"[\s(\"“]", text[:start])[-1]
    return word.lower() in _ABBREVIATIONS or bool(re.fullmatch(r"[A-Z](?:\.[A-Z])*", word))


def _spell_mark(text: str, start: int, stop: int) -> str:
    mark = text[start:stop].translate(_KOKORO_MARK)
    opens = start == 0 or text[start - 1] in " (["
    mark = _STRAIGHT_QUOTE.sub("“" if opens else "”", mark)
    mark = re.sub(r"\.{2,}", "…", mark)
    return re.sub(r"([,;:!?—])\1+", r"\1", mark)


def _read_money(text: str) -> str:
    def small(match: re.Match[str]) -> str:
        sign, whole, cents = match.groups()
        plural = "" if whole == "1" else "s"
        tail = f" and {int(cents)}" if cents and int(cents) else ""
        return f"{whole} {_CURRENCY[sign]}{plural}{tail}"

    def large(match: re.Match[str]) -> str:
        sign, whole, fraction, scale = match.groups()
        return f"{whole}{fraction or ''} {scale} {_CURRENCY[sign]}s"

    return _MONEY.sub(small, _MUCH_MONEY.sub(large, text))


def _read_years(text: str) -> str:
    """1999 -> 19 99; 2024 -> 20 24; 1900, 2005 and quantities with a comma, a dot or a sign stay."""
    return _YEAR.sub(r"\1 \2", text)


def _read_signs(text: str) -> str:
    """-5 -> minus 5; 3-4 -> 3 4; #1 -> number 1."""
    return _HASH.sub("number ", _BETWEEN_DIGITS.sub(" ", _MINUS.sub("minus ", text)))
