"""The short first units of a text: the length of the first is how long the listener waits.

While it is heard the second is made, and nothing is in hand yet: that one must not be long either.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice, pairwise

import regex

from contracts.text.normal import speakable
from contracts.text.sentences import EXTENDS
from contracts.text.weight import base_language

_LEAST, _MOST = 3, 8
"""Words of a first unit that was cut."""
_TAIL, _SHORT_TAIL = 3, 2
"""Words that must remain of a sentence of more than, or up to, _MOST words."""
_SEEN = _MOST + _TAIL + 2
_NEXT_LEAST, _NEXT_MOST, _NEXT_WHOLE = 5, 11, 13
"""Words of a second unit that was cut; up to _NEXT_WHOLE, it stays whole."""

_STARTERS = {
    "en": "and but or nor so yet because although though while when where which who whom whose that if unless until"
    " since as than in on at by for from with without into onto over under through across after before between about"
    " against among around behind beyond during near toward towards upon within along beside like",
    "es": "y pero o porque cuando que quien donde si en con sin por para desde hasta sobre entre según",
    "fr": "et mais ou car parce quand que qui dont où si dans avec sans pour par sur sous entre depuis chez vers",
    "it": "e ma o perché quando che chi dove se in con senza per su tra fra da dal nel nella",
    "pt": "e mas ou porque quando que quem onde se em com sem por para sobre entre desde até no na",
    "de": "und aber oder weil dass wenn als wo der die das in mit ohne für von auf unter über zwischen nach vor bei",
}
"""Words that begin a clause or phrase."""
_WEAK_STARTERS = {
    "en": "of to is are was were has have had will would can could should may might must does did do",
}
"""A pause before these is heard, but does not hurt much."""
_LEANING = {
    "en": "a an the this that these those my your his her its our their no some any every each of to in on at by for"
    " from with and but or nor as if than very so too not i we he she it they you who which is are was were be been"
    " has have had will would can could should may might must do does did such just only because when while mr mrs",
    "es": "el la los las un una unos unas de del en con por para y o que a al su se no muy cada todo toda",
    "fr": "le la les un une des de du en dans avec pour par et ou que qui à au aux sa son ses se ne ce cette très il",
    "it": "il lo la i gli le un una di del della in con per e o che a al alla si non molto",
    "pt": "o a os as um uma de do da em no na com por para e ou que ao se não muito",
    "de": "der die das den dem des ein eine einen einem einer in mit von zu und oder dass im am zum sehr nicht",
}
"""Words that lean on the next one: nothing ends with them."""
_STARTER_SETS = {code: frozenset(words.split()) for code, words in _STARTERS.items()}
_WEAK_SETS = {code: frozenset(words.split()) for code, words in _WEAK_STARTERS.items()}
_LEANING_SETS = {code: frozenset(words.split()) for code, words in _LEANING.items()}

_TOKEN = regex.compile(r"[^\s—]+—*\s*|—+\s*")
_PAUSE_END = regex.compile(r"(?:[,;:—–…!?)\]،؛।]|\.\.\.|\p{Pe})[\p{Pe}\p{Pf}\"']*$|[”»]$")
_PAUSE_START = regex.compile(r"[(\[“«]|[–—-]+$")
_BOUND_TO_THE_LEFT = regex.compile(
    r"(?:\p{Lu}\.|(?:Jr|Sr|Inc|Ltd|Co|Corp|Ph\.?D|M\.?D|[ap]\.m)\.?,?$|(?i:thousand|million|billion|trillion|percent)\b)"
)
_DIGIT = regex.compile(r"\d")
_EXTENDS = regex.compile(EXTENDS)

_CJK_LEAST, _CJK_GOOD, _CJK_MOST, _CJK_WHOLE = 4, 16, 24, 40
_UNSPACED = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}\u3000-\u303f\uff01-\uff65]")
"""Written without blanks between words; Korean has them."""
_CJK_PAUSE = regex.compile(r"[、，,；;：:—…！？]+[\p{Pe}\p{Pf}]*")
_CJK_PARTICLE = regex.compile(r"(?<=\p{Han}|\p{Katakana}|ー)[はがをにでと](?=[\p{Han}\p{Katakana}])")


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    end: int
    """Offset behind its blanks."""


def opening_end(sentence: str, language: str) -> int:
    """Where the first unit ends, given the first sentence of a text: its length if the sentence stays whole."""
    head = sentence[:_CJK_WHOLE]
    if len(_UNSPACED.findall(head)) * 2 > len(head):
        return _cjk_end(sentence)
    words = _first_words(sentence, _SEEN)
    many = len(words) > _MOST
    tail = _TAIL if many else _SHORT_TAIL
    best, end = math.inf, len(sentence)
    for count in range(_LEAST, min(_MOST, len(words) - tail) + 1):
        if _EXTENDS.match(sentence, words[count - 1].end):
            continue
        cost = _cost(words[count - 1].text, words[count].text, base_language(language), count, anywhere=many)
        if cost < best:
            best, end = cost, words[count - 1].end
    return end


def opening_is_sure(beginning: str) -> bool:
    """Whether opening_end of this beginning of a sentence, of whole words, is that of the sentence."""
    head = beginning[:_CJK_WHOLE]
    if len(head) < _CJK_WHOLE:
        return False
    if len(_UNSPACED.findall(head)) * 2 > len(head):
        return len(beginning) > _CJK_WHOLE + 1
    return len(_first_words(beginning, _SEEN)) >= _MOST + _TAIL


def second_is_sure(beginning: str) -> bool:
    """Whether second_end of this beginning, of whole words, is that of all that the first unit left."""
    return len(_first_words(beginning, _NEXT_WHOLE)) > _NEXT_WHOLE


def second_end(rest: str) -> int:
    """Where the second unit ends, given what the first left of its sentence; cut where a pause is heard, or not."""
    words = _first_words(rest, _NEXT_WHOLE)
    if len(words) <= _NEXT_WHOLE:
        return len(rest)
    for word, following in pairwise(words[_NEXT_LEAST - 1 : _NEXT_MOST + 1]):
        pause = not _bound(word.text, following.text) and _pauses(word.text, following.text)
        if pause and not _EXTENDS.match(rest, word.end):
            return word.end
    return len(rest)


def _first_words(sentence: str, most: int) -> list[_Word]:
    """The first words, `most` and one more; a lone dash or quote is part of the word before it, or of the first."""
    words: list[_Word] = []
    for token in islice(_TOKEN.finditer(sentence), 4 * most):
        said = speakable(token[0])
        if said:
            words.append(_Word(token[0].rstrip(), token.end()))
        elif words:
            words[-1] = _Word((words[-1].text + token[0]).rstrip(), token.end())
        if len(words) > most:
            break
    return words


def _cost(last: str, following: str, code: str, count: int, *, anywhere: bool) -> float:
    """What it costs to pause between two words, `count` of them before; inf: never there."""
    if _bound(last, following):
        return math.inf
    late = count - _LEAST
    if _pauses(last, following):
        return late
    plain = following.strip(",;:.!?\"'”’)").lower()
    leans = last.lower() in _LEANING_SETS.get(code, ())
    if plain in _STARTER_SETS.get(code, ()) and not leans:
        return 2 + late
    if not anywhere:
        return math.inf
    if plain in _WEAK_SETS.get(code, ()) and not leans:
        return 3.5 + late
    name = code != "de" and last[:1].isupper() and following[:1].isupper()
    return 8 + abs(count - 5) + 4 * leans + 3 * name


def _bound(last: str, following: str) -> bool:
    """A name, an abbreviation, a number: no pause, whatever the marks say."""
    if _BOUND_TO_THE_LEFT.match(following) or (_DIGIT.search(last) and _DIGIT.search(following)):
        return True
    return last.endswith(".") and not last.endswith("...")


def _pauses(last: str, following: str) -> bool:
    """Marks that are heard as a pause."""
    return bool(_PAUSE_END.search(last) or _PAUSE_START.match(following))


def _cjk_end(sentence: str) -> int:
    if len(sentence) <= _CJK_GOOD:
        return len(sentence)
    pause = _CJK_PAUSE.search(sentence, _CJK_LEAST - 1, _CJK_MOST)
    if pause is not None and len(sentence) - pause.end() >= _CJK_LEAST:
        return _with_blanks(sentence, pause.end())
    particle = _CJK_PARTICLE.search(sentence, _CJK_LEAST, _CJK_GOOD)
    if particle is not None and len(sentence) - particle.end() >= _CJK_LEAST:
        return particle.end()
    if len(sentence) <= _CJK_WHOLE:
        return len(sentence)
    ends = [m.end() for m in regex.finditer(r"\X", sentence[: _CJK_GOOD + 1]) if m.end() <= _CJK_GOOD]
    return _with_blanks(sentence, ends[-1] if ends else len(sentence))


def _with_blanks(sentence: str, end: int) -> int:
    while end < len(sentence) and (sentence[end].isspace() or _EXTENDS.match(sentence, end)):
        end += 1
    return end
