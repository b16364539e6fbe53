"""One seed on one store, from an empty store to the verdict."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from dataclasses import dataclass, replace

from contracts import text
from contracts.topology import MAX_ATTEMPTS
from load_tests.simulate import clock
from load_tests.simulate.broker import Broker
from load_tests.simulate.oracle import Verdict
from load_tests.simulate.people import Cast
from load_tests.simulate.plan import FAULTS_S, POISON, Kind, Plan, plan
from load_tests.simulate.process import Faults, Trace
from load_tests.simulate.stores import Mutation, SimulatedStore, simulated_store
from load_tests.simulate.witness import Witness
from load_tests.simulate.world import World

PATIENCE_S = 60.0
"""Virtual time after the last fault in which everything must come to its end: leases lapse, the janitor looks twice."""
LANE_S = 20.0
"""Then, for what killed workers left behind to be released."""
SETTLE_S = 45.0
"""And then, for the janitor to see that all has ended."""
DRAIN_S = 60.0
"""Workers that are told to must have ended by then."""
LOOK_S = 1.0


@dataclass(frozen=True)
class Outcome:
    """What became of one seed. error: the protocol broke so that the world could not go on."""

    plan: Plan
    verdict: Verdict
    digest: str
    steps: int
    virtual_s: float
    faults: Counter[str]
    renders: int
    needless: int
    """Renders that were not committed."""
    lines: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def good(self) -> bool:
        """Nothing is wrong."""
        return not self.broken

    @property
    def broken(self) -> list[str]:
        """Which checks failed."""
        return self.verdict.broken


def run_seed(seed: int, store: Kind, *, mutation: Mutation | None = None, keep_trace: bool = False) -> Outcome:
    """Simulate the world of a seed."""
    return clock.run(lambda: _world(plan(seed, store), mutation, keep_trace=keep_trace), f"world {seed} {store}")


async def _world(planned: Plan, mutation: Mutation | None, *, keep_trace: bool) -> Outcome:
    rng = random.Random(f"faults {planned.seed} {planned.store}")
    faults, trace = Faults(planned, rng), Trace(keep=keep_trace)
    async with simulated_store(planned.store, rng, mutation) as stored:
        witness = Witness(stored)
        broker = Broker(planned, faults, trace)
        world = World(planned, stored, faults, trace, broker, witness)
        casts = [Cast(p, world) for p in planned.casts]
        notes = await _live(world, casts)
        verdict = _judge(world, casts, notes)
        evidence = witness.evidence
        return Outcome(
            planned, verdict, trace.digest, trace.steps, asyncio.get_running_loop().time(), faults.count,
            evidence.renders.total(), evidence.renders.total() - evidence.accepted.total(), tuple(trace.lines),
            tuple(notes),
        )  # fmt: skip


async def _live(world: World, casts: list[Cast]) -> list[str]:
    """Let everybody do what they came for; what is left over in the store when all is quiet again."""
    async with asyncio.TaskGroup() as group:
        keepers = [group.create_task(world.keep_front()) for _ in range(world.plan.fronts)]
        workers = [group.create_task(world.keep_worker()) for _ in range(world.plan.workers)]
        keepers += [group.create_task(world.broker.run()), group.create_task(_restart_store(world))]
        people = [group.create_task(p) for c in casts for p in c.people()]
        await asyncio.wait(people, timeout=FAULTS_S + PATIENCE_S)
        world.faults.end()
        world.broker.wake()
        jobs = list(world.witness.texts)
        stuck = not all(cast.ended for cast in casts)  # then waiting for more tells nothing new
        await _until_empty(world.stored, jobs, 0 if stuck else LANE_S, besides=("expected",))
        world.closing = True
        for shell in world.shells:
            shell.drain()
        _, hanging = await asyncio.wait(workers, timeout=DRAIN_S)
        left = ["a worker does not end"] * len(hanging)
        left += await _until_empty(world.stored, jobs, 0 if stuck else SETTLE_S)
        for task in (*keepers, *workers, *people):
            task.cancel()
    return left


async def _restart_store(world: World) -> None:
    for outage in sorted(world.plan.store_outages, key=lambda o: o.start):
        await asyncio.sleep(max(0.0, outage.start + outage.length - asyncio.get_running_loop().time()))
        world.trace.add("store", "is back")
        world.faults.count["store restarted"] += 1
        await world.stored.restart()


async def _until_empty(
    stored: SimulatedStore, jobs: list[str], patience_s: float, besides: tuple[str, ...] = ()
) -> list[str]:
    end = asyncio.get_running_loop().time() + patience_s
    while True:
        left = [name for name in await stored.left_over(jobs) if name not in besides]
        if not left or asyncio.get_running_loop().time() >= end:
            return left
        await asyncio.sleep(LOOK_S)


def _judge(world: World, casts: list[Cast], left: list[str]) -> Verdict:
    evidence = world.witness.evidence
    verdict = evidence.verdict()
    return replace(
        verdict,
        attempted=len(casts),
        acknowledged=sum(cast.acknowledged for cast in casts),
        misplaced=verdict.misplaced + sum(not _as_posted(world, cast) for cast in casts),
        unended=verdict.unended + sum(not cast.ended for cast in casts),
        left_over=len(left),
        wasted=sum(max(0, n - _allowed(world, unit)) for unit, n in evidence.renders.items())
        + world.repaired * world.plan.quiet,
        letters=_wrong_letters(world),
    )


def _as_posted(world: World, cast: Cast) -> bool:
    """Its units are those of its text."""
    return not cast.job or world.witness.texts[cast.job] == text.split_units(text.normalise(cast.plan.text), "en-US")


def _allowed(world: World, unit: str) -> int:
    """How often a unit may be rendered: as often as it was handed out, and in a quiet world once.

    With poison no world is quiet: a ticket that a living worker has put back comes redelivered, and where there are two
    of it, it takes over the unit that is in work by the other.
    """
    if POISON in world.witness.text_of(unit):
        return MAX_ATTEMPTS
    quiet = world.plan.quiet and not any(POISON in cast.text for cast in world.plan.casts)
    return 1 if quiet else world.witness.evidence.claims[unit]


def _wrong_letters(world: World) -> int:
    """A skip has a letter, unless the broker was away; a letter is of a skip, or of a unit handed out too often."""
    buried, evidence = {str(unit) for unit in world.broker.buried}, world.witness.evidence
    excused = {str(unit) for unit in world.broker.unburied}
    wrong = 0
    for log in evidence.logs.values():
        for record in log.records:
            unit = f"{log.job}:{log.epoch}:{record.seq - 1}"
            if record.type == "skip":
                wrong += unit not in buried | excused
            elif record.type == "audio":
                wrong += unit in buried and evidence.claims[unit] <= MAX_ATTEMPTS
    return wrong
