"""One spelling for what sounds the same, and the question whether anything sounds at all."""

from __future__ import annotations

import unicodedata
from itertools import pairwise

import regex

from contracts.text.markup import shown

_SURROGATE = regex.compile(r"[\ud800-\udfff]")
_LINE_END = regex.compile(r"\r\n?|[\v\f\x85\u2028]")

_JOINING_SCRIPTS = "".join(
    rf"\p{{{script}}}"
    for script in "Arabic Syriac Mongolian Nko Devanagari Bengali Gurmukhi Gujarati Oriya Tamil Telugu Kannada"
    " Malayalam Sinhala Khmer Myanmar Tibetan".split()
)
MAX_MARKS = 16
"""Combining marks kept on one character. No script needs more than six, and sorting long runs takes quadratic time."""
_JOINER_HAS_MEANING = (
    rf"(?<=[[{_JOINING_SCRIPTS}]--[\p{{Cf}}\p{{Variation_Selector}}]][\p{{Mn}}--\p{{Variation_Selector}}]{{0,{MAX_MARKS}}})"
    r"[\u200c\u200d]"
    r"|(?<=\p{Extended_Pictographic}[\ufe0f\p{EMod}]{0,2})\u200d(?=\p{Extended_Pictographic})"
)
"""Letters of these scripts change shape (and meaning) at a joiner; emoji are glued by one."""
_SELECTOR_HAS_MEANING = r"(?<=[^\s\p{C}\p{Variation_Selector}\ufffc\ufffd])\p{Variation_Selector}"
_FLAG_TAGS = r"(?<=\U0001f3f4[\U000e0020-\U000e007f]{0,8})[\U000e0020-\U000e007f]"
"""The flags of Scotland, Wales and England are a black flag with invisible letters."""
_NO_TEXT = regex.compile(
    r"(?V1)(?=[\p{C}\p{Variation_Selector}\ufffc\ufffd])"  # most characters need no closer look
    rf"(?:(?P<keep>{_JOINER_HAS_MEANING}|{_SELECTOR_HAS_MEANING}|{_FLAG_TAGS})"
    r"|(?P<space>[\p{Cc}\p{Co}\p{Cs}\p{Noncharacter_Code_Point}\ufffc\ufffd--[\n\t]])"
    r"|[\p{Cf}\p{Variation_Selector}--[\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd]])"
)
"""Format characters go, but for Arabic's and Kaithi's number signs, which are visible text."""

_TOO_MANY_MARKS = regex.compile(rf"(?<=\p{{M}}{{{MAX_MARKS}}})\p{{M}}++")

_BLANKS = regex.compile(r"[^\S\n]+")
_LINE = regex.compile(r" ?\n ?")
_PARAGRAPH = regex.compile(r"\n{2,}")
LIST_ITEM = regex.compile(r"(?m)^(?:[-*•‣–]|\d{1,2}[.)])\ (?=\S)")
WRAPPED_CJK = regex.compile(
    r"(?<=[\p{Han}\p{Hiragana}\p{Katakana}。、，！？：；])\n(?=[\p{Han}\p{Hiragana}\p{Katakana}])"
)

_SPEAKABLE = regex.compile(r"(?V1)[\p{L}\p{N}%&@[\p{S}--[\p{Sk}|~<>=\u2500-\u25ff]]]")
"""Rules and frames drawn with = ~ | or box characters are decoration."""


def normalise(text: str) -> str:
    """The text in its normal form; never raises, and what is normal stays as it is.

    NFC; no controls, surrogates or invisible marks; blanks single; paragraphs parted by exactly one empty line. A
    line end inside a paragraph is a blank, unless it parts the items of a list: those become paragraphs.
    """
    return "\n\n".join(_one_line(paragraph) for paragraph in _PARAGRAPH.split(clean(text).strip()))


def clean(text: str) -> str:
    """The characters of a normal form: lines are as they were."""
    if _SURROGATE.search(text):
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    text = _LINE_END.sub("\n", text).replace("\u2029", "\n\n")
    text = _composed(text)
    # What goes may bring others together, that compose, and then depend on other neighbours: seldom, and once or twice.
    while (kept := _NO_TEXT.sub(_kept, text)) != text:
        text = _composed(kept)
    return _LINE.sub("\n", _BLANKS.sub(" ", text))


def _composed(text: str) -> str:
    """NFC; as some marks come apart, their number is bounded on both sides of it."""
    if text.isascii():
        return text
    return _TOO_MANY_MARKS.sub("", unicodedata.normalize("NFC", _TOO_MANY_MARKS.sub("", text)))


def _kept(match: regex.Match[str]) -> str:
    if match["keep"] is not None:
        return match[0]
    return " " if match["space"] is not None else ""


def _one_line(paragraph: str) -> str:
    if "\n" not in paragraph:
        return paragraph
    items = [m.start() for m in LIST_ITEM.finditer(paragraph)]
    if len(items) > 1:
        edges = [0, *(i for i in items if i > 0), len(paragraph)]
        lines = [paragraph[a:b].rstrip("\n") for a, b in pairwise(edges)]
        return "\n\n".join(_unwrapped(line) for line in lines)
    return _unwrapped(paragraph)


def _unwrapped(lines: str) -> str:
    return WRAPPED_CJK.sub("", lines).replace("\n", " ")


def speakable(text: str) -> bool:
    """Whether it holds a letter, a digit, or a symbol that has a name; punctuation and pauses alone are silence."""
    if "[pause:" in text:
        text = shown(text)
    return _SPEAKABLE.search(text) is not None
