"""The faults. Each does its number of them, at random instants, while casts are posted."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from load_tests.chaos.checker import Kill
from load_tests.chaos.proxy import Proxy
from load_tests.chaos.stage import LOOK_S, START_TIMEOUT_S, Stage

WORKER_PAUSE_S = 0.3
PAUSE_S = 2.0
CONSUMERS_TIMEOUT_S = 60.0


@dataclass
class Nemesis:
    """Faults of one stage, and a list of them."""

    stage: Stage
    rng: random.Random
    counts: Counter[str] = field(default_factory=Counter)
    kills: list[Kill] = field(default_factory=list)
    """Of workers."""
    consumers_back_s: list[float] = field(default_factory=list)
    """From a broker that listens again to a consumer for every worker."""
    overlapping: bool = False
    """Other faults go on beside: the number of consumers says nothing of the broker's restart alone."""

    async def _pause(self, longest_s: float) -> None:
        await asyncio.sleep(self.rng.uniform(0, longest_s))

    async def workers(self, count: int) -> None:
        """Kill workers, each as soon as it has come back; one other is left to work."""
        for _ in range(count):
            async with asyncio.timeout(START_TIMEOUT_S):
                while len(ready := await self.stage.registered()) < 2:
                    await asyncio.sleep(LOOK_S)
            await self._pause(WORKER_PAUSE_S)
            number = self.rng.choice(list(ready))
            worker = ready[number]
            # Asked before and after: it may take or finish a unit while we ask.
            held = await self.stage.held(worker)
            self.stage.gone.add(worker)
            at = await self.stage.kill(self.stage.running.workers[number])
            self.kills.append(Kill(at, worker, held | await self.stage.held(worker)))
            self.counts["worker"] += 1
        await self.stage.wait_for_workers(len(self.stage.running.workers))

    async def fronts(self, count: int) -> None:
        """Kill fronts; the next one when the last one answers."""
        for _ in range(count):
            await self._pause(PAUSE_S)
            number = self.rng.randrange(len(self.stage.running.fronts))
            await self.stage.kill(self.stage.running.fronts[number])
            self.counts["front"] += 1
            await self.stage.wait_for_front(number)

    async def redis(self, count: int) -> None:
        """Kill redis-server; it comes back on the same files within a second."""
        for _ in range(count):
            await self._pause(PAUSE_S)
            await asyncio.to_thread(self.stage.redis.kill)
            self.counts["redis"] += 1
            await self._pause(1.0)
            await asyncio.to_thread(self.stage.redis.start)
            await self._pause(PAUSE_S)

    async def broker(self, count: int) -> None:
        """Kill RabbitMQ; it comes back on the same files, and then every worker must consume again."""
        for _ in range(count):
            await self._pause(PAUSE_S)
            await asyncio.to_thread(self.stage.rabbit.kill)
            self.counts["broker"] += 1
            await self._pause(1.0)
            await asyncio.to_thread(self.stage.rabbit.start)
            if not self.overlapping:
                self.consumers_back_s.append(await self.stage.time_to_consumers(CONSUMERS_TIMEOUT_S))

    async def network(self, count: int) -> None:
        """A bad network to Redis, to RabbitMQ, or to both: slow, narrow, deaf, cut."""
        faults: dict[str, Callable[[list[Proxy]], float]] = {
            "latency": self._slow, "bandwidth": self._narrow, "black hole": self._deaf, "reset": self._cut,
        }  # fmt: skip
        proxies = list(self.stage.proxies.values())
        for _ in range(count):
            name = self.rng.choice(list(faults))
            hit = self.rng.sample(proxies, self.rng.randint(1, len(proxies)))
            lasts_s = faults[name](hit)
            self.counts[f"network, {name}"] += 1
            await asyncio.sleep(lasts_s)
            for proxy in hit:
                proxy.mend()
            await self._pause(PAUSE_S / 2)

    def _slow(self, proxies: list[Proxy]) -> float:
        for proxy in proxies:
            proxy.latency_s, proxy.jitter_s = self.rng.uniform(0.01, 0.15), self.rng.uniform(0, 0.1)
        return self.rng.uniform(1, 3)

    def _narrow(self, proxies: list[Proxy]) -> float:
        for proxy in proxies:
            proxy.bytes_per_s = self.rng.uniform(50_000, 300_000)
        return self.rng.uniform(1, 3)

    def _deaf(self, proxies: list[Proxy]) -> float:
        """One in four lasts longer than a call to a server may take (5 s)."""
        for proxy in proxies:
            proxy.hole()
        return self.rng.uniform(6, 9) if self.rng.random() < 0.25 else self.rng.uniform(0.5, 3)

    def _cut(self, proxies: list[Proxy]) -> float:
        for proxy in proxies:
            proxy.reset_all()
        return self.rng.uniform(0, 1)
