"""A fleet of worker shells with simulated engines, and listeners that play what they get.

The shells, the tickets, the store and the followers are the real ones; only the engines wait instead of computing. Time
may run faster than on a clock: then every duration, and every number of the rule, is that much shorter.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from uuid import uuid4

from contracts.adapters import Address, Store, open_bell, open_publisher, open_source, open_store
from contracts.errors import EngineStopped
from contracts.ids import new_epoch
from contracts.ports import NewLog, Output, TicketPublisher
from contracts.schedule import RULE, Rule
from contracts.units import Lane
from producer_api.dispatch import Dispatch
from producer_api.follow.attention import Attention
from producer_api.follow.hub import Hub
from workers.engine import EngineInfo, UnitRequest
from workers.renderer import EngineRenderer
from workers.settings import WorkerSettings
from workers.shell import Shell

LANE = Lane("tts.tone")
BODY = bytes(2_000)
TERMINAL = ("eos", "error", "cancelled")


def faster(rule: Rule, times: float) -> Rule:
    """The rule of a world in which time runs faster."""
    return replace(
        rule,
        protect_ms=rule.protect_ms / times,
        hand_ms=rule.hand_ms / times,
        horizons_ms=tuple(round(h / times) for h in rule.horizons_ms),
    )


@dataclass(frozen=True)
class Sentence:
    """Audio as estimated and as it turns out, ms, as on a clock."""

    estimated: int
    real: int


def sentences(count: int, rng: random.Random) -> list[Sentence]:
    """Of 2 to 6 s; estimates are wrong by up to 15 %."""
    estimates = [rng.uniform(2_000, 6_000) for _ in range(count)]
    return [Sentence(round(e), round(e * rng.uniform(0.85, 1.15))) for e in estimates]


class WaitingEngine:
    """Stands in for an EngineProcess: a unit's text says how long it is; rendering it is waiting."""

    starts = 1

    def __init__(self, xrt: float) -> None:
        self._xrt = xrt

    async def render(self, request: UnitRequest, stop: asyncio.Event) -> Output:
        """Wait for duration / xrt. Raises EngineStopped."""
        duration_ms = int(request.text)
        gen_ms = duration_ms / self._xrt
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(gen_ms / 1000):
                await stop.wait()
                raise EngineStopped("stopped")
        return Output("audio", {"i": request.index, "d": duration_ms}, BODY, duration_ms, max(1, round(gen_ms)))


@dataclass
class Heard:
    """What one listener lived through; seconds of the clock of this world."""

    posted: float
    first: float = 0.0
    underruns: int = 0
    stalled: float = 0.0
    lead: list[tuple[float, float]] = field(default_factory=list)
    """(time, seconds of audio in hand just then)"""

    @property
    def waited(self) -> float:
        """Seconds to the first audio."""
        return self.first - self.posted


@dataclass
class World:
    """One namespace with its store, publisher, front and fleet."""

    address: Address
    store: Store
    publisher: TicketPublisher
    hub: Hub
    dispatch: Dispatch
    times: float

    async def post(self, cast: Sequence[Sentence], client: str = "someone") -> str:
        """Open a cast, submit its units, publish its tickets."""
        job = uuid4().hex[:16]
        texts = [str(round(s.real / self.times)) for s in cast]
        log = NewLog(job, new_epoch(), LANE, "live", "", {"voice": "tone"}, {"v": 1}, texts, True, 3_600_000)
        await self.dispatch.open(log, client, [round(s.estimated / self.times) for s in cast])
        return job

    async def listen(self, job: str, posted: float) -> Heard:
        """Play a cast as it comes, from its first record on."""
        heard = Heard(posted)
        end = 0.0  # when what is here will have been played
        async for records in self.hub.follow(job, 0):
            now = time.monotonic()
            for record in records:
                if record.type == "audio":
                    if not heard.first:
                        heard.first = end = now
                    elif now > end:
                        heard.underruns += 1
                        heard.stalled += now - end
                        end = now
                    end += record.headers["d"] / 1000
                    heard.lead.append((now, end - now))
                if record.type in TERMINAL:
                    return heard
        return heard


@contextlib.asynccontextmanager
async def world(
    address: Address, speeds: Sequence[float], *, rule: Rule = RULE, times: float = 1.0
) -> AsyncIterator[World]:
    """A fleet of workers of these speeds (seconds of audio per second), registered and consuming."""
    address = replace(address, namespace=f"{address.namespace}{uuid4().hex[:6]}:")
    store = open_store(address, rule=faster(rule, times))
    publisher, bell = await open_publisher(address), open_bell(address)
    attention = Attention(store.scheduler)
    hub = Hub(store.log_reader, bell, attention)
    tasks = [asyncio.create_task(part) for part in (hub.run(), attention.run())]
    shells: list[Shell] = []
    sources = []
    for n, xrt in enumerate(speeds):
        source = await open_source(address, LANE, 1, f"w{n}")
        sources.append(source)
        info = EngineInfo(
            name="waiting", model="tone", device_asked="none", device_active="none", voices=("tone",), slots=1,
            probe_xrt=xrt,
        )  # fmt: skip
        settings = WorkerSettings(store=address.store, broker=address.broker, drain_s=0)
        shells.append(
            Shell(
                f"w{n}", LANE, settings, log=store.log_writer, scheduler=store.scheduler, source=source,
                renderer=EngineRenderer(WaitingEngine(xrt)), info=info,
            )
        )  # fmt: skip
    try:
        async with asyncio.TaskGroup() as group:  # a shell that fails ends the measurement
            for shell in shells:
                group.create_task(shell.run())
            while (await store.scheduler.backlog(LANE)).workers < len(speeds):
                await asyncio.sleep(0.05)
            yield World(address, store, publisher, hub, Dispatch(store, publisher, max_wait_s=10**9), times)
            for shell in shells:
                shell.drain()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await asyncio.gather(*(source.close() for source in sources))
        await publisher.close()
        await bell.close()
        await store.close()
