"""What processes are given here in place of the real thing: an engine that only waits, and a bell that may fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from contracts.errors import EngineDied, EngineStopped, UnitFailed
from contracts.ports import Output, Ring
from load_tests.simulate.oracle import Evidence, body_of
from load_tests.simulate.plan import POISON
from load_tests.simulate.process import Faults, Process
from workers.engine import UnitRequest

BELL_S = 1.0
SLOW, SLOW_S = 0.08, (3.5, 5.0)
"""So many renders take longer than a lease."""
UNIT = "unit"
"""Goes with the recipe to the engine, so that the content can name the unit that was looked up."""


class Bell:
    """One front's: rings are late or lost, bring records along or not, and a slow poll makes up for them."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._jobs: dict[str, None] = {}
        self._rings: asyncio.Queue[Ring] = asyncio.Queue()

    async def watch(self, job: str) -> None:
        """See Bell.watch."""
        self._jobs[job] = None

    async def unwatch(self, job: str) -> None:
        """See Bell.unwatch."""
        self._jobs.pop(job, None)

    def ring(self, ring: Ring) -> None:
        """A commit has published this."""
        if ring.job in self._jobs and not self._faults.happens("ring lost", 0.1):
            self._rings.put_nowait(ring)

    async def rings(self) -> AsyncIterator[Ring]:
        """See Bell.rings."""
        while True:
            try:
                async with asyncio.timeout(BELL_S):
                    yield await self._rings.get()
            except TimeoutError:
                for job in list(self._jobs):
                    yield Ring(job)

    async def close(self) -> None:
        """See Bell.close."""


class Engine:
    """Stands in for an EngineProcess: rendering is waiting, and the result names the unit it was made for."""

    starts = 1

    def __init__(self, process: Process, faults: Faults, evidence: Evidence, failing: float) -> None:
        self._process, self._faults, self._evidence, self._failing = process, faults, evidence, failing

    async def render(self, request: UnitRequest, stop: asyncio.Event) -> Output:
        """See EngineProcess.render."""
        rng, unit, renders = self._faults.rng, request.recipe[UNIT], self._evidence.renders
        renders[unit] += 1
        number = renders.total()
        gen_s = rng.uniform(*SLOW_S) if self._faults.happens("slow render", SLOW) else rng.uniform(0.05, 0.8)
        try:
            async with asyncio.timeout(gen_s):
                await stop.wait()
        except TimeoutError:
            await self._process.lives()
        else:
            raise EngineStopped("stopped")
        if POISON in request.text:
            raise EngineDied("poison")
        if self._faults.happens("render failed", self._failing):
            raise UnitFailed("by chance")
        duration_ms, gen_ms = rng.randint(800, 4_000), round(gen_s * 1000)
        headers = {
            "i": request.index,
            "d": duration_ms,
            "t": request.text.rstrip(),
            "n": 24 * duration_ms,
            "g": gen_ms,
            "engine": "tone",
        }
        return Output("audio", headers, body_of(unit, request.text, self._process.name, number), duration_ms, gen_ms)
