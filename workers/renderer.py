"""What a kind of worker makes of a claimed unit: the seam between the shell and speech, hearing, cutting."""

from __future__ import annotations

import asyncio
from typing import Protocol

from contracts.ports import Assignment, Claim, Committed, Output
from contracts.units import Unit
from workers import metrics
from workers.engine import UnitRequest


class Renderer(Protocol):
    """One kind of unit."""

    async def render(self, claim: Claim, task: Assignment, *, alone: bool, stop: asyncio.Event) -> Output:
        """What is to be committed; `a` and `w` (attempt, worker) are added to its headers by the shell.

        alone: nobody else wants the engine. Raises EngineError; after Unavailable it is called again.
        """
        ...

    async def settled(self, unit: Unit, task: Assignment, output: Output, committed: Committed) -> None:
        """The log has decided. Called again after Unavailable; may be called again after a crash, or never."""
        ...


class RenderingProcess(Protocol):
    """What is wanted of an EngineProcess; simulations have others."""

    starts: int

    async def render(self, request: UnitRequest, stop: asyncio.Event) -> Output:
        """See EngineProcess.render."""
        ...


class EngineRenderer:
    """The unit's text is all the engine needs."""

    def __init__(self, engine: RenderingProcess) -> None:
        self._engine = engine

    async def render(self, claim: Claim, task: Assignment, *, alone: bool, stop: asyncio.Event) -> Output:
        """See Renderer.render."""
        output = await self._engine.render(UnitRequest(claim.unit.index, task.text, task.recipe, alone=alone), stop)
        metrics.ENGINE_STARTS.set(self._engine.starts)
        return output

    async def settled(self, unit: Unit, task: Assignment, output: Output, committed: Committed) -> None:
        """See Renderer.settled: the record is all there is."""
