"""Sentences that abort their engine process, among good ones: they alone must be given up."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from load_tests.chaos.checker import Cast
from load_tests.chaos.load import Load
from load_tests.chaos.stage import LOOK_S, POISON, Stage

SENTENCES = 4
AT_ONCE = 10
DEAD_TIMEOUT_S = 10.0


@dataclass
class PoisonResult:
    """sentences: that are poison; dead_letters: found for them; skips: records in their places."""

    sentences: int
    dead_letters: int = 0
    skips: int = 0
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """One dead letter and one skip each."""
        return self.sentences == self.dead_letters == self.skips


async def poison(stage: Stage, load: Load, count: int) -> tuple[PoisonResult, list[Cast]]:
    """So many casts with one poisoned sentence each."""
    result = PoisonResult(count)
    before = max(0, await stage.dead_letters())
    began = time.perf_counter()
    limit = asyncio.Semaphore(AT_ONCE)

    async def one(n: int) -> Cast:
        async with limit:
            return await load.live(f"{load.story(SENTENCES)} {POISON} in sentence {n} is poison. {load.story(1)}")

    casts = await asyncio.gather(*(one(n) for n in range(count)))
    result.seconds = time.perf_counter() - began
    result.skips = sum(1 for cast in casts for record in cast.records if record.kind == "skip")
    end = time.perf_counter() + DEAD_TIMEOUT_S
    while result.dead_letters < count and time.perf_counter() < end:
        await asyncio.sleep(LOOK_S)
        result.dead_letters = await stage.dead_letters() - before
    return result, list(casts)
