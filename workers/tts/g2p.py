"""Text to the phoneme alphabet of Kokoro: eSpeak NG for the sounds, our own hands for punctuation and spelling.

eSpeak drops punctuation, but Kokoro hears its melody in it. So the text is cut at punctuation that separates (not at
the dot of "3.14" or "Mr."), the pieces are spoken, and the marks are put back in between.
"""

from __future__ import annotations

import re

from contracts.errors import UnitFailed
from workers.tts.espeak_library import TIE, espeak

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
_SYLLABIC = re.compile("(\\S)\u0329")
_LANGUAGE_SWITCH = re.compile(r"\([a-z^]+(?:-[a-z^]+)*\)")
"""eSpeak reads a foreign word in its own language and says so."""


def phonemes(text: str, language: str) -> str:
    """Kokoro's spelling of a text; "" when it holds nothing that is spoken.

    language: BCP 47. Raises UnitFailed for one that is not in KOKORO_LANGUAGES, ModelMissing without eSpeak NG.
    """
    if language not in KOKORO_LANGUAGES:
        raise UnitFailed(f"Kokoro can not be given {language} here; known: {', '.join(KOKORO_LANGUAGES)}")
    text = _MARKUP.sub(" ", text)
    if language.startswith("en"):
        text = _read_years(_read_signs(_read_money(text)))
    pieces: list[str] = []
    spoken = False
    end = 0
    text = re.sub(r"\s+", " ", text.strip())
    for start, stop in _marks(text):
        said = _say(text[end:start], language)
        spoken = spoken or bool(said.strip())
        pieces += [said, _spell_mark(text, start, stop)]
        end = stop
    said = _say(text[end:], language)
    if not (spoken or said.strip()):
        return ""
    return _tidy("".join([*pieces, said]))


def _tidy(spelled: str) -> str:
    """One space between words, none before closing marks and after opening ones."""
    spelled = re.sub(r" +", " ", spelled)
    spelled = re.sub(r" ([;:,.!?…”)])", r"\1", spelled)
    return re.sub(r"([“(]) ", r"\1", spelled).strip()


def _say(piece: str, language: str) -> str:
    """Phonemes of a text without punctuation, with the white space around it."""
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
