"""What is spoken of a completion, by its records alone: whoever reads them comes to the same units."""

from __future__ import annotations

from contracts.records import Record
from contracts.text import IncrementalSplitter


class Narration:
    """Of one completion, record by record.

    A new attempt (`start`) writes the text again. Its units are compared one by one with those that were spoken: what
    is the same was said; from the first that differs, all of it is spoken, after what was said already.
    """

    def __init__(self, language: str) -> None:
        self._language = language
        self._splitter = IncrementalSplitter(language)
        self._spoken: list[str] = []
        self._at = 0
        self.chars = 0
        """Of all attempts together."""

    def read(self, record: Record) -> list[str]:
        """Units to be spoken now."""
        if record.type == "start":
            self._splitter, self._at = IncrementalSplitter(self._language), 0
        elif record.type == "delta":
            text = record.headers["t"]
            self.chars += len(text)
            return self._new(self._splitter.feed(text))
        return []

    def close(self) -> list[str]:
        """The rest: no record follows."""
        return self._new(self._splitter.close())

    def _new(self, units: list[str]) -> list[str]:
        found = []
        for unit in units:
            if self._at == len(self._spoken) or self._spoken[self._at].rstrip() != unit.rstrip():
                self._spoken[self._at :] = [unit]
                found.append(unit)
            self._at += 1
        return found
