"""What a text may say about how it is spoken: `[pause:1.5s]`, and `[word](/wɝd/)` with the word's sounds in IPA.

The splitter must not cut inside of them, and does not know them: it is shown stand-ins (Guard).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import regex

MAX_PAUSE_S = 10.0
"""A longer pause is as long as this; so are all the pauses of one unit together."""

_IPA = r"[\p{L}\p{M}\p{Sk}ˈˌːˑ.'’‿| -]"
_MARKUP = regex.compile(
    r"\[pause:\ ?(?P<length>\d{1,5}(?:\.\d{1,3})?)\ ?(?P<unit>ms|s)?\]"
    rf"|\[(?P<word>[^\[\]\n]{{1,80}})\]\(/(?P<ipa>{_IPA}{{1,120}})/\)"
)
_PHONETIC = regex.compile(r"[^\x00-\x7f]|'")
"""Without one of these `[docs](/docs/)` is a link, and stays as it is."""
_PAUSE_STAND_IN = "—"


@dataclass(frozen=True, slots=True)
class Spoken:
    """A part of a text that is spoken in one go. sounds: in IPA, in place of what spelling says; "" for none."""

    text: str
    sounds: str = ""


@dataclass(frozen=True, slots=True)
class Pause:
    """Silence of so many seconds."""

    seconds: float


def parse(text: str) -> Iterator[tuple[Spoken | Pause, str]]:
    """(what it is, as it stands there) of the parts of a text, in order."""
    at = 0
    for match in _marks(text):
        if match.start() > at:
            yield Spoken(text[at : match.start()]), text[at : match.start()]
        at = match.end()
        yield Pause(_seconds(match)) if match["word"] is None else Spoken(match["word"], match["ipa"]), match[0]
    if at < len(text):
        yield Spoken(text[at:]), text[at:]


def shown(text: str) -> str:
    """The text as it is read by eyes: words without their sounds, no pauses, no blanks where these were."""
    if "[" not in text:
        return text
    without = "".join(part.text if isinstance(part, Spoken) else "\0" for part, _ in parse(text))
    return regex.sub(r"(?<=\s|^)\0\s*|\0", "", without)


def pauses_s(text: str) -> float:
    """Seconds of all its pauses."""
    if "[" not in text:
        return 0.0
    return min(MAX_PAUSE_S, sum(part.seconds for part, _ in parse(text) if isinstance(part, Pause)))


def _marks(text: str) -> Iterator[regex.Match[str]]:
    return (match for match in _MARKUP.finditer(text) if match["word"] is None or _PHONETIC.search(match["ipa"]))


def _seconds(match: regex.Match[str]) -> float:
    value = float(match["length"])
    return min(MAX_PAUSE_S, value / 1000 if match["unit"] == "ms" else value)


class Guard:
    """Hides the markup of one text from the splitter, which is shown the word alone, or a dash for a pause.

    feed() and close() say what the splitter is to see; restore() takes its units, in order, and puts back what was
    there.
    """

    def __init__(self) -> None:
        self._held = ""
        self._fed = 0
        """Characters shown by now."""
        self._given = 0
        """Characters of the units by now."""
        self._hidden: deque[tuple[int, int, str]] = deque()
        """(where it begins, where it ends, what was there), in what was shown."""

    def feed(self, text: str) -> str:
        """The next part of what is shown: all but what may be the beginning of a mark."""
        text = self._held + text
        start = text.rfind("[")
        whole = start < 0 or _MARKUP.fullmatch(text, start, partial=True) is None or _MARKUP.match(text, start)
        self._held = "" if whole else text[start:]
        return self._show(text if whole else text[:start])

    def close(self) -> str:
        """The rest."""
        text, self._held = self._held, ""
        return self._show(text)

    def restore(self, units: Iterable[str]) -> list[str]:
        """The same units with the text that was there. One that ends inside a stand-in ends behind it."""
        return [unit for unit in map(self._restored, units) if unit]

    def _show(self, text: str) -> str:
        pieces, at = [], 0
        for match in _marks(text):
            word = match["word"]
            stand_in = _PAUSE_STAND_IN if word is None else regex.sub(r"[^\p{L}\p{M}\p{N}]", "x", word)
            pieces += [text[at : match.start()], stand_in]
            begin = self._fed + sum(map(len, pieces)) - len(stand_in)
            self._hidden.append((begin, begin + len(stand_in), match[0]))
            at = match.end()
        pieces.append(text[at:])
        shown_now = "".join(pieces)
        self._fed += len(shown_now)
        return shown_now

    def _restored(self, unit: str) -> str:
        start, end = self._given, self._given + len(unit)
        self._given = end
        pieces, at = [], start
        while self._hidden and self._hidden[0][0] < end:
            begin, stop, original = self._hidden[0]
            if begin >= start:
                pieces += [unit[at - start : begin - start], original]
            at = min(stop, end)
            if stop > end:  # the rest of the stand-in is in the next unit, and stands for nothing there
                break
            self._hidden.popleft()
        pieces.append(unit[at - start :])
        return "".join(pieces)
