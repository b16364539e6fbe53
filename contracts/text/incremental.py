"""Units of a text that comes piece by piece, each as soon as what follows can not change it.

The units depend on the text alone, not on its pieces: all is decided where a word is complete, with what was there by
then. So whoever begins again from the start, after a crash, comes to the same units. They are those of split_units
where sentences weigh up to LONGEST and quotes and brackets are closed within PATIENCE characters.
"""

from __future__ import annotations

from itertools import accumulate, pairwise

import regex

from contracts.text.clauses import cut_long
from contracts.text.markup import Guard
from contracts.text.normal import speakable
from contracts.text.normal_stream import NormalStream
from contracts.text.opening import opening_end, opening_is_sure, second_end, second_is_sure
from contracts.text.sentences import sentences
from contracts.text.units import opening, voiced
from contracts.text.weight import HARD, weigh

LONGEST = 2 * HARD
"""A sentence that weighs more is cut before its end is known."""
PATIENCE = 300
"""Characters for which a sentence's end inside quotes or brackets waits for them to be closed: then it is none."""
_STEP = 4_096
_WIDE = r"[\p{Han}\p{Hiragana}\p{Katakana}]"
_COMPLETE = regex.compile(rf"(?s)(?<=\s)(?=\S)|(?<={_WIDE})(?=.)")
"""A word is complete, and what comes after it has begun; scripts without blanks count each character."""
_MAY_END = regex.compile(r"[\p{Sentence_Terminal}.!?…\n]")
_PAIRS = {"“": "”", "«": "»", "(": ")", "[": "]", "「": "」", "『": "』", "（": "）", "„": "“", '"': '"', "`": "`"}
_MARK = regex.compile("[" + regex.escape("".join({*_PAIRS, *_PAIRS.values()})) + "]")


class IncrementalSplitter:
    """Splits one text. opening: somebody waits for it, so that its first units are short, as those of split_units."""

    def __init__(self, language: str, *, opening: bool = True) -> None:
        self._language = language
        self._normal = NormalStream()
        self._guard = Guard()
        self._text = ""
        """From the beginning of the sentence on."""
        self._known = 0
        """Up to here words are complete, and were looked at."""
        self._searched = 0
        self._given = 0
        """Of the first sentence: what are units already."""
        self._opened = 0 if opening else 2
        """How many of the two short units were found, or found to be none."""
        self._look_at = 0
        self._silent = True

    def feed(self, chunk: str) -> list[str]:
        """Units that are complete now, each with the blanks behind it."""
        return self._guard.restore(self._take(self._guard.feed(self._normal.feed(chunk))))

    def close(self) -> list[str]:
        """The rest: the text is over. A text that holds nothing speakable has no units."""
        units = self._take(self._guard.feed(self._normal.close()) + self._guard.close())
        if self._text and not (self._silent and not speakable(self._text)):
            units += self._up_to(self._sentence_ends(self._text))
        return self._guard.restore(units)

    def _take(self, text: str) -> list[str]:
        units = []
        for at in range(0, len(text), _STEP):
            self._text += text[at : at + _STEP]
            while (word := _COMPLETE.search(self._text, max(self._known + 1, self._searched))) is not None:
                self._known = word.start()
                units += self._look()
            self._searched = len(self._text)
        if text[-1:].isspace() and self._text:  # what comes next in a normal text is none
            self._known = len(self._text)
            units += self._look()
        self._silent = self._silent and not units
        return units

    def _look(self) -> list[str]:
        """One more word is complete."""
        known = self._text[: self._known]
        if weigh(known[self._given :]) > LONGEST:
            return self._cut(known)
        ends = self._ends(known) if self._may_have_ended(known) else []
        units = self._up_to(ends)
        if not units and self._opened < 2:
            units = self._opening(known)
        return units

    def _ends(self, known: str) -> list[int]:
        """Where sentences end, as far as that is certain."""
        start, closed = _closed(known)
        *ended, _ = [0, *self._sentence_ends(closed)]
        return [at for at in ended if 0 < at <= start] if speakable(closed[ended[-1] :]) else []

    def _up_to(self, ends: list[int]) -> list[str]:
        """Units of the sentences that end there; they are forgotten."""
        units = [unit for a, b in pairwise([0, *ends]) for unit in self._whole(self._text[a:b])]
        if ends:
            self._forget(ends[-1])
        return units

    def _may_have_ended(self, known: str) -> bool:
        """Whether to look for ends. Where they were looked for in vain, more must be known to look again."""
        end = _MAY_END.search(known)
        if end is None or not speakable(known[end.end() :]):
            return False
        if self._opened == 2 and len(known) < self._look_at:  # an opening must not reach over an end
            return False
        self._look_at = len(known) + len(known) // 8
        return True

    def _sentence_ends(self, text: str) -> list[int]:
        """The text's own end is the last one. What was given already is one sentence, whatever it looks like by now."""
        ends = accumulate(map(len, voiced(sentences(text, self._language))))
        return [at for at in ends if at > self._given]

    def _whole(self, sentence: str) -> list[str]:
        """Units of a sentence, but for what was given before its end was known."""
        rest = sentence[self._given :]
        if self._opened == 0:
            pieces = list(opening(sentence, self._language))
        elif self._opened == 1:
            end = second_end(rest)
            pieces = [rest[:end], rest[end:]]
        else:
            pieces = [rest]
        self._given, self._opened = 0, 2
        return _units(pieces)

    def _opening(self, known: str) -> list[str]:
        """The short first units of a sentence that has not ended, as soon as they are certain."""
        sentence = known[: self._sentence_ends(_closed(known)[1])[0]] if _MAY_END.search(known) else known
        rest, given = sentence[self._given :], self._given
        if self._opened == 0 and opening_is_sure(sentence):
            given = opening_end(sentence, self._language)
        elif self._opened == 1 and second_is_sure(rest):
            given += second_end(rest)
        else:
            return []
        if given == len(sentence):  # it stays whole
            self._opened = 2
            return []
        unit = sentence[self._given : given]
        self._given = given
        self._opened += 1
        return _units([unit])

    def _cut(self, known: str) -> list[str]:
        """What can not wait for the end of its sentence, or of its quote."""
        *ended, _ = self._sentence_ends(known)
        if ended:
            return self._up_to(ended)
        parts = cut_long(known[self._given :])[:-1]
        self._forget(self._given + sum(map(len, parts)))
        self._given, self._opened = 0, 2
        return list(voiced(parts))

    def _forget(self, count: int) -> None:
        self._text = self._text[count:]
        self._known -= count
        self._searched = max(0, self._searched - count)
        if count:
            self._look_at = 0


def _units(pieces: list[str]) -> list[str]:
    return list(voiced(part for piece in pieces if piece for part in cut_long(piece)))


def _closed(text: str) -> tuple[int, str]:
    """Where a quote or bracket is open that may still be closed, else the text's end; and the text with it closed.

    Sentences do not end inside quotes, and where one ends before a quote can depend on the mark that opens it.
    """
    opened: list[tuple[str, int]] = []
    for mark in _MARK.finditer(text, text.rfind("\n") + 1):
        if opened and mark[0] == _PAIRS[opened[-1][0]]:
            opened.pop()
        elif mark[0] in _PAIRS:
            opened.append((mark[0], mark.start()))
    if not opened or len(text) - opened[0][1] > PATIENCE:
        return len(text), text
    return opened[0][1], text.rstrip() + "".join(_PAIRS[mark] for mark, _ in reversed(opened)) + " "
