"""Units that the slots of one worker hold."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from contracts.units import Unit
from workers import metrics

OPENING_UNITS = 3
"""While a cast's first units are made, its listener has next to nothing in hand."""


@dataclass(eq=False)
class Held:
    """A unit one slot holds; `stop` ends its rendering. Two slots hold one unit if its lease has lapsed between."""

    unit: Unit
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    """The engine has it, or nobody will give it to it any more."""


class InFlight:
    """All of them."""

    def __init__(self) -> None:
        self._held: list[Held] = []

    def __iter__(self) -> Iterator[Held]:
        """As they are now."""
        return iter(list(self._held))

    @contextmanager
    def hold(self, unit: Unit) -> Iterator[Held]:
        """For as long as the block runs."""
        self._held.append(held := Held(unit))
        metrics.IN_FLIGHT.inc()
        try:
            yield held
        finally:
            held.begun.set()
            metrics.IN_FLIGHT.dec()
            self._held.remove(held)

    async def begin(self, held: Held) -> bool:
        """Wait for units of the same job before this one: an engine that one of them is to have whole would be taken.

        Whether this one gets the whole engine: it opens a cast, and the rest is behind it; or nothing is in work.
        """
        job, index = held.unit.job, held.unit.index
        for other in self:
            if other.unit.job == job and other.unit.index < index:
                await other.begun.wait()
        held.begun.set()
        others = [other.unit for other in self if other is not held]
        return not others or (index < OPENING_UNITS and all(unit.job == job for unit in others))
