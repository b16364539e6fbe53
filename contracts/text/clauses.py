"""Long sentences in balanced parts: at clauses, else at blanks, else between two characters."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from itertools import accumulate, pairwise

import regex

from contracts.text.sentences import EXTENDS
from contracts.text.weight import HARD, SOFT, weigh, weight

_CONJUNCTIONS = (
    "and|but|or|nor|so|yet|because|although|though|while|when|where|which|who|whom|whose|that|if|unless|until|since|as"
    "|et|mais|ou|qui|que|dont|y|pero|o|porque|cuando|und|aber|oder|weil|dass|wenn|e|ma|che|perché|mas|quando"
)
_CLOSERS = r"[\p{Pe}\p{Pf}\"']*"
_BREAK = regex.compile(
    rf"""(?x)(?:
      (?P<clause> [;:…—–؛।]{_CLOSERS}\s++ | (?<=\s)-++\s++ | (?<!—)—++(?=\w) | [；：。！？…]++[\p{{Pe}}\p{{Pf}}]*
                | (?<=\p{{Ll}}{{3}})[.!?]++{_CLOSERS}\s++(?=[\p{{Ps}}\p{{Pi}}"']?\p{{Lu}}) )
    | (?P<comma> ,{_CLOSERS}(?<!\d,)\s++ | ,\s++(?!\d) | [،、，]{_CLOSERS}\s*+ )
    | (?P<conjunction> (?<![.])\s++(?=(?i:{_CONJUNCTIONS})\b) )
    | (?P<sticky> (?<=\.|\d)\s++(?=\S) )
    | (?P<blank> \s++ )
    )(?!{EXTENDS})"""
)
_COST = {"clause": 0.0, "comma": 0.1, "conjunction": 0.25, "blank": 0.6, "sticky": 0.9}
_GOOD = _COST["conjunction"]
_CLUSTER = regex.compile(r"\X")


def cut_long(sentence: str) -> list[str]:
    """Parts of a sentence, none heavier than HARD; joined they are the sentence.

    A sentence between SOFT and HARD is only cut where a speaker would take breath.
    """
    if len(sentence) * 4 <= SOFT and weigh(sentence) <= SOFT:
        return [sentence]
    return _Long(sentence).parts()


class _Long:
    """One long sentence: sums[n] is the weight of its first n characters, cuts are the places to cut, in order."""

    def __init__(self, sentence: str) -> None:
        self._text = sentence
        self._sums = [0, *accumulate(map(weight, sentence))]
        found = [(m.end(), _COST[m.lastgroup or "blank"]) for m in _BREAK.finditer(sentence)]
        self._cuts = [end for end, _ in found]
        self._costs = [cost for _, cost in found]

    def parts(self) -> list[str]:
        edges = [0]
        while (rest := self._sums[-1] - self._sums[edges[-1]]) > SOFT:
            target = rest / -(-rest // SOFT)
            cut = self._best(edges[-1], target, good_only=rest <= HARD)
            if cut is None or cut >= len(self._text):
                break
            edges.append(cut)
        edges.append(len(self._text))
        return [self._text[a:b] for a, b in pairwise(edges) if a < b]

    def _best(self, start: int, target: float, *, good_only: bool) -> int | None:
        """The place to cut next: cheap, and near the target. None: there is no good one, and none is needed."""
        base = self._sums[start]
        for least, most in ((0.45 * target, min(HARD, 1.35 * target)), (1, HARD)):
            low = bisect_left(self._cuts, max(start + 1, bisect_left(self._sums, base + least)))
            high = bisect_right(self._cuts, bisect_right(self._sums, base + most) - 1)
            places = [
                (self._costs[n] + abs(self._sums[self._cuts[n]] - base - target) / target, self._cuts[n])
                for n in range(low, high)
                if not good_only or self._costs[n] <= _GOOD
            ]
            if places:
                return min(places)[1]
            if good_only:
                return None
        return self._between_characters(start, bisect_right(self._sums, base + target) - 1)

    def _between_characters(self, start: int, limit: int) -> int:
        """The last boundary of two grapheme clusters up to `limit`; inside one only if it is too heavy as a whole."""
        hardest = max(start + 1, bisect_right(self._sums, self._sums[start] + HARD) - 1)
        best = start
        for cluster in _CLUSTER.finditer(self._text[start : hardest + 1]):
            end = start + cluster.end()
            if end > hardest or (best > start and end > limit):
                break
            best = end
        return best if best > start else hardest
