"""What of a reply was said, and how much of that was heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Said:
    """One unit of a reply that the client has. Times: ms from the beginning of the reply."""

    text: str
    start_ms: int
    length_ms: int
    words: Sequence[Mapping[str, Any]] = ()
    """Of AudioHeaders.words; empty where the engine does not know their times."""

    def heard(self, until_ms: int) -> str:
        """What of it has been heard by then, to the word."""
        into = until_ms - self.start_ms
        if into >= self.length_ms:
            return self.text if into > 0 else ""
        if not self.words:
            letters = max(0, into) * len(self.text) // max(1, self.length_ms)
            return self.text[: self.text.rfind(" ", 0, letters + 1)] if " " in self.text[: letters + 1] else ""
        at = 0
        for word in self.words:
            if (word["s"] + word["e"]) / 2 <= into:
                at = self.text.index(word["w"], at) + len(word["w"])
        return self.text[:at]

    def kept(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def text_heard(said: Sequence[Said], until_ms: int) -> str:
    """What of a reply has been heard by then."""
    return " ".join(text for unit in said if (text := unit.heard(until_ms)))


def length_ms(said: Sequence[Said]) -> int:
    """How long all of it is."""
    return said[-1].start_ms + said[-1].length_ms if said else 0
