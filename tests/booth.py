"""A speech worker that renders a unit when the test says so, with samples of the test's, through the ports alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from contracts.adapters import Address, Store, open_store
from contracts.codec import encode_chunk
from contracts.ids import new_worker_id
from contracts.jobs import WorkerInfo
from contracts.ports import Claim, Output
from contracts.records import AudioHeaders, SkipHeaders
from contracts.topology import speech_lane
from contracts.units import Unit
from load_tests.services import wait_until
from producer_api.audio.libav import RATE, Samples

T = TypeVar("T")
LANE = speech_lane("tone")
LEASE_MS = 600_000


@dataclass
class Booth:
    """One worker of the lane of `tone`, without a ticket: it takes what is due."""

    address: Address
    worker: str = field(default_factory=lambda: new_worker_id("booth"))

    def _ask(self, question: Callable[[Store], Awaitable[T]]) -> T:
        async def asked() -> T:
            store = open_store(self.address)
            try:
                return await question(store)
            finally:
                await store.close()

        return asyncio.run(asked())

    def register(self, ttl_ms: int = 600_000) -> None:
        """Be known for so long."""
        info = WorkerInfo(
            id=self.worker, pool="booth", lane=LANE, engine="booth", model="tone", device_asked="", device_active="",
            voices=("tone",), slots=1, xrt=10.0, rss_mb=1, seen_ms=0,
        )  # fmt: skip
        self._ask(lambda store: store.scheduler.register(info, ttl_ms))

    def unregister(self) -> None:
        self._ask(lambda store: store.scheduler.unregister(LANE, self.worker))

    def claim(self) -> Unit:
        """The next unit, as soon as there is one."""
        found: list[Claim] = []

        def claimed() -> bool:
            claim = self._ask(lambda store: store.scheduler.claim(LANE, self.worker, LEASE_MS))
            found.extend([claim] if claim else [])
            return bool(found)

        wait_until(claimed, 30, "a unit")
        return found[0].unit

    def say(self, samples: Samples) -> Unit:
        """Claim a unit and commit these samples for it."""
        unit = self.claim()
        self.commit(unit, samples)
        return unit

    def commit(self, unit: Unit, samples: Samples) -> None:
        ms = round(samples.size * 1000 / RATE)

        async def committed(store: Store) -> None:
            task = await store.log_writer.look(unit)
            headers = AudioHeaders(
                i=unit.index, d=ms, t=task.text.rstrip(), n=samples.size, g=1, a=1, w=self.worker, engine="booth"
            )
            output = Output("audio", headers.model_dump(), encode_chunk(samples), duration_ms=ms, gen_ms=1)
            await store.log_writer.commit(unit, output)
            await store.scheduler.release(LANE, [(unit, ms)])

        self._ask(committed)

    def give_up(self) -> None:
        """Claim a unit, and leave a `skip` in its place."""
        unit = self.claim()

        async def buried(store: Store) -> None:
            task = await store.log_writer.look(unit)
            headers = SkipHeaders(i=unit.index, t=task.text.rstrip(), reason="given up after 5 attempts")
            await store.log_writer.commit(unit, Output("skip", headers.model_dump()))
            await store.scheduler.release(LANE, [(unit, None)])

        self._ask(buried)
