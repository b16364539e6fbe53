"""A unit is the piece of work one claim covers; a ticket is permission to do one unit of its lane."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NewType

from contracts.errors import MalformedMessage

Lane = NewType("Lane", str)
"""Name of one scheduler and its queue: `tts`, `stt`, `llm`, or `tts.<model>` (see topology)."""

_UNIT = re.compile(r"([A-Za-z0-9_-]{1,64}):([0-9a-f]{1,16}):(0|[1-9][0-9]{0,8})")


@dataclass(frozen=True, slots=True, order=True)
class Unit:
    """One unit of a job.

    job: log id; epoch: incarnation of the log (a worker of an older one is fenced off); index: 0, 1, 2 …
    """

    job: str
    epoch: str
    index: int

    def __str__(self) -> str:
        return f"{self.job}:{self.epoch}:{self.index}"

    @classmethod
    def parse(cls, text: str) -> Unit:
        """Inverse of str(). Raises MalformedMessage."""
        match = _UNIT.fullmatch(text)
        if match is None:
            raise MalformedMessage(f"not a unit: {text[:120]!r}")
        return cls(match[1], match[2], int(match[3]))
