"""Those outside: clients who post, follow and cancel, and go on until they have what they asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Iterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, cast

from contracts.errors import Unavailable, UnknownLog
from contracts.records import Record
from load_tests.simulate.oracle import Reading
from load_tests.simulate.plan import CastPlan
from load_tests.simulate.process import ConnectionLost
from load_tests.simulate.world import Front, World
from producer_api.cast_models import CastRequest
from producer_api.follow.attention import Ear

AGAIN_S = 0.3
"""Clients try again after about so long."""
SAYS = 0.2
"""How often a reader says where it is, when it has been sent something."""


@dataclass
class Cast:
    """One text, and how it went. ended: type of the terminal record its owner saw."""

    plan: CastPlan
    world: World
    job: str = ""
    acknowledged: bool = False
    ended: str = ""

    def people(self) -> Iterator[Coroutine[Any, Any, None]]:
        """All who have to do with it."""
        yield self.own()
        yield from (self.double(at) for at in self.plan.posts_at[1:])
        yield from (self.read() for _ in range(self.plan.readers))
        if self.plan.cancel_at is not None:
            yield self.cancel(self.plan.cancel_at)

    async def own(self) -> None:
        """Post it, and follow it to its end; where it expires on the way, post it again."""
        await self._until(self.plan.posts_at[0])
        while not self.ended:
            await self.post()
            self.ended = await self._follow(start=0)

    async def double(self, at: float) -> None:
        """Somebody else posts the same text."""
        await self._until(at)
        await self.post()

    async def post(self) -> None:
        """Until it is acknowledged."""
        request = CastRequest.model_validate(
            {"text": self.plan.text, "model": "tone", "class": "bulk" if self.plan.bulk else "live"}
        )
        while True:
            front = await self._front()
            try:
                _, view = await front.process.ask(front.casts.post(request, address="here"))
            except (Unavailable, ConnectionLost, UnknownLog) as exc:
                self.world.trace.add("client", f"is refused: {type(exc).__name__}")
                if self.plan.fickle and (job := self.world.witness.live_job(self.plan.text)):
                    self.job, self.acknowledged = job, True  # it was opened, and has the link
                    return
                await self._pause()
            else:
                self.job, self.acknowledged = view.id, True
                return

    async def cancel(self, at: float) -> None:
        """Once, when it is there."""
        await self._until(at)
        cancelled = False
        while not (cancelled or self.ended):
            await self._pause()
            front = await self._front()
            try:
                if self.job:
                    await front.process.ask(front.casts.cancel(self.job))
                    cancelled = True
            except (Unavailable, ConnectionLost, UnknownLog) as exc:
                self.world.trace.add("client", f"can not cancel: {type(exc).__name__}")

    async def read(self) -> None:
        """Another reader, from anywhere in it, until its owner has all of it."""
        await self._until(self.plan.posts_at[0])
        while not self.ended:
            await self._pause()
            if self.job:
                await self._follow(start=self.world.faults.rng.randint(0, 4))

    async def _follow(self, start: int) -> str:
        """Read on from there, over as many connections as it takes. Type of the terminal record; "": it is no more."""
        at = start
        while True:
            front = await self._front()
            seen: list[Record] = []
            ended = gone = False
            try:
                ended = await self._connection(front, at, seen)
            except UnknownLog:
                gone = True
            except (Unavailable, ConnectionLost, TimeoutError):
                await self._pause()
            self.world.witness.evidence.readings.append(Reading(self.job, at, tuple(seen), ended))
            if seen and seen[-1].terminal:
                return seen[-1].type
            if gone or ended:
                return ""
            at += len(seen)

    async def _connection(self, front: Front, at: int, seen: list[Record]) -> bool:
        """One connection; True: the server has closed it, this is all."""
        faults, ear = self.world.faults, Ear()

        async def stream() -> None:
            following = cast("AsyncGenerator[Sequence[Record]]", front.hub.follow(self.job, at, ear))
            async with aclosing(following) as runs:
                async for run in runs:
                    seen.extend(run)
                    await faults.travel()
                    if faults.rng.random() < SAYS:  # it pauses, or is somewhere else
                        front.attention.plays_at(ear, faults.rng.choice((None, 0, 1_000, 10_000)))

        async with asyncio.timeout(faults.rng.uniform(0.1, 5) if faults.rng.random() < 0.5 else None):
            await front.process.ask(stream())
        return True

    async def _front(self) -> Front:
        while not self.world.fronts:
            await self._pause()
        return self.world.faults.rng.choice(self.world.fronts)

    async def _pause(self) -> None:
        await asyncio.sleep(self.world.faults.rng.uniform(0.5, 1.5) * AGAIN_S)

    async def _until(self, at: float) -> None:
        await asyncio.sleep(max(0.0, at - asyncio.get_running_loop().time()))
