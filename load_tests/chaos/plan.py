"""How much of what, and the run of all phases."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from load_tests.chaos.checker import Cast, Wanted, check, recoveries
from load_tests.chaos.frozen import frozen_readers
from load_tests.chaos.load import Load
from load_tests.chaos.nemesis import Nemesis
from load_tests.chaos.poison import poison
from load_tests.chaos.proxy import Proxy
from load_tests.chaos.report import Phase, Report
from load_tests.chaos.stage import POISON, Stage, stage
from load_tests.expected import tone_bodies, units_of
from load_tests.services import RabbitServer, RedisServer


@dataclass(frozen=True)
class Plan:
    """SIGKILLs of each kind, a quarter of them while all the others go on; faults of the network; readers; sentences.

    fleet: workers; send_timeout_s: CASTLINE_SEND_TIMEOUT_S of the fronts. 0 leaves a phase out.
    """

    workers: int = 20
    fronts: int = 5
    redis: int = 5
    broker: int = 2
    network: int = 6
    frozen: int = 30
    poison: int = 5
    seed: int = 1
    fleet: int = 4
    send_timeout_s: float = 10.0

    def kills(self, kind: str, *, mixed: bool) -> int:
        """How many of a kind alone, or in the mix."""
        count: int = getattr(self, kind)
        return count // 4 if mixed else count - count // 4


KINDS = ("workers", "fronts", "redis", "broker")


async def chaos(plan: Plan, redis: RedisServer, rabbit: RabbitServer, directory: Path) -> Report:
    """All phases; what they came to, by content."""
    settings = f"{plan.fleet} workers of one slot, 2 fronts, lease 10 s, poll 1 s (defaults)"
    report = Report(plan.seed, settings)
    rng = random.Random(plan.seed)
    extra = {"CASTLINE_SEND_TIMEOUT_S": str(plan.send_timeout_s)}
    async with stage(redis, rabbit, "chaos:", directory / "direct", workers=plan.fleet, extra=extra) as direct:
        await _direct(plan, direct, rng, report)
    if plan.network or any(plan.kills(kind, mixed=True) for kind in KINDS):
        proxies = {
            "redis": await Proxy(redis.port, rng).start(),
            "broker": await Proxy(rabbit.port, rng).start(),
        }
        folder = directory / "proxied"
        async with stage(redis, rabbit, "chaos2:", folder, workers=plan.fleet, proxies=proxies, extra=extra) as proxied:
            await _proxied(plan, proxied, rng, report)
        for proxy in proxies.values():
            await proxy.close()
    return report


async def _direct(plan: Plan, made: Stage, rng: random.Random, report: Report) -> None:
    """Kills of one kind at a time; then poison, then readers that do not read."""
    load = Load(made.urls, rng)
    for kind in KINDS:
        if count := plan.kills(kind, mixed=False):
            nemesis = Nemesis(made, rng)
            report.phases.append(await _phase(kind, load, nemesis, [getattr(nemesis, kind)(count)]))
            report.consumers_back_s += nemesis.consumers_back_s
    if plan.poison:
        began = time.perf_counter()
        report.poison, casts = await poison(made, load, plan.poison)
        report.phases.append(await _checked(Phase("poison", time.perf_counter() - began, Counter(), casts), load))
    if plan.frozen:
        report.frozen = await frozen_readers(made, load, plan.frozen, plan.send_timeout_s)
    await _close(load, made, report)


async def _proxied(plan: Plan, made: Stage, rng: random.Random, report: Report) -> None:
    """A bad network; then everything at once."""
    load = Load(made.urls, rng)
    if plan.network:
        nemesis = Nemesis(made, rng)
        report.phases.append(
            await _phase("network", load, nemesis, [nemesis.network(plan.kills("network", mixed=False))])
        )
    nemesis = Nemesis(made, rng, overlapping=True)
    deeds = [getattr(nemesis, kind)(plan.kills(kind, mixed=True)) for kind in (*KINDS, "network")]
    report.phases.append(await _phase("all", load, nemesis, deeds))
    await _close(load, made, report)


async def _close(load: Load, made: Stage, report: Report) -> None:
    report.answers += load.answers
    report.fell += made.fell
    await load.close()


async def _phase(name: str, load: Load, nemesis: Nemesis, deeds: Sequence[Awaitable[None]]) -> Phase:
    """Faults while casts are posted, until the last of these has ended."""
    began = time.perf_counter()
    async with load.pouring() as casts, asyncio.TaskGroup() as group:
        for deed in deeds:
            group.create_task(_as_coroutine(deed))
    seconds = time.perf_counter() - began
    phase = Phase(name, seconds, nemesis.counts, casts, nemesis.kills, recoveries(nemesis.kills, casts))
    phase = await _checked(phase, load)
    sys.stderr.write(phase.line() + "\n")
    return phase


async def _as_coroutine(deed: Awaitable[None]) -> None:
    await deed


async def _checked(phase: Phase, load: Load) -> Phase:
    await load.read_again(phase.casts)
    for cast in phase.casts:
        if cast.acknowledged:
            phase.verdict += check(cast, await asyncio.to_thread(wanted, cast))
    return phase


def wanted(cast: Cast) -> list[Wanted]:
    """What the engine makes of each unit of a cast."""
    contents = [sha256(body).hexdigest() for body in tone_bodies(cast.text)]
    poisoned = [POISON in unit for unit in units_of(cast.text)]
    return [Wanted("skip") if bad else Wanted("audio", c) for c, bad in zip(contents, poisoned, strict=True)]
