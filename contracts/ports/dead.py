"""Port of the dead letters: units that were given up, and messages that are none, for a person to look at."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

from contracts.units import Lane, Unit

JobKind = Literal["tts", "stt", "llm"]
JOB_KINDS: tuple[JobKind, ...] = get_args(JobKind)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter. Two copies of one unit, or of one body, have the same id: to whom it may concern they are one.

    at_ms: when it was buried, milliseconds since 1970, by the clock of the worker or broker that did it.
    """

    id: str
    """12 hexadecimal characters: never a flag, or in need of quotes, on a command line."""
    kind: JobKind
    lane: Lane | None
    """Where it comes from, if that is known."""
    unit: Unit | None
    """None: the body is no ticket."""
    reason: str
    """As the worker or the broker gave it: not fit for a terminal as it stands."""
    at_ms: int | None
    body: bytes
    """Of a unit its ticket; else whatever somebody has sent."""


def letter_id(unit: Unit | None, body: bytes) -> str:
    """The id of a letter, from its unit or else from its body."""
    return hashlib.sha256(str(unit).encode() if unit is not None else body).hexdigest()[:12]


class DeadLetters(Protocol):
    """Reads and drops dead letters. One caller at a time; while it looks, others may see fewer of them."""

    async def list(self, kind: JobKind, limit: int) -> Sequence[DeadLetter]:
        """At most `limit` letters of a kind, oldest first; they all stay."""
        ...

    async def drop(self, kind: JobKind, *ids: str) -> int:
        """Forget one letter of each of these ids for good; how many there were. Many at once cost as much as one."""
        ...

    async def close(self) -> None:
        """Free what it holds."""
        ...
