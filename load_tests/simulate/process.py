"""Processes that may be killed or stand still at any step, and the gate through which each of them calls the store."""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, NoReturn, TypeVar

from contracts.errors import StoreUnavailable
from load_tests.simulate.clock import skew_s
from load_tests.simulate.plan import CALL_FAULTS, FAULTS_S, Outage, Plan

T = TypeVar("T")

LATENCY_S = 0.001
SLOW_S = 0.1
"""One call in 20 takes up to so long, so that calls overtake each other."""
UNTRACED = frozenset({"register", "workers"})
"""They tell how much memory this process takes: it is not the seed's."""


class ConnectionLost(Exception):
    """The process that was asked has died."""


class Trace:
    """What happened, in order. digest: of all lines; lines: kept only if asked for."""

    def __init__(self, *, keep: bool) -> None:
        self._hash = hashlib.sha256()
        self._keep = keep
        self.lines: list[str] = []
        self.steps = 0

    def add(self, who: str, what: str) -> None:
        """One step, now."""
        line = f"{asyncio.get_running_loop().time():10.6f} {who:9} {what}"
        self.steps += 1
        self._hash.update(line.encode())
        if self._keep:
            self.lines.append(line)

    @property
    def digest(self) -> str:
        """16 hexadecimal characters."""
        return self._hash.hexdigest()[:16]


@dataclass
class Process:
    """A front or a worker: one start of it. died: set when it is killed."""

    name: str
    skew: float = 0.0
    alive: bool = True
    stalled_until: float = 0.0
    died: asyncio.Event = field(default_factory=asyncio.Event)
    _tasks: list[asyncio.Task[Any]] = field(default_factory=list)

    def start(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Work inside this process, by its own clock."""
        context = copy_context()
        context.run(skew_s.set, self.skew)
        task = asyncio.get_running_loop().create_task(work, context=context)
        self._tasks = [t for t in self._tasks if not t.done()] + [task]
        return task

    async def ask(self, work: Coroutine[Any, Any, T]) -> T:
        """Have it done inside this process, for somebody outside. Raises ConnectionLost."""
        if not self.alive:
            work.close()
            raise ConnectionLost(self.name)
        task = self.start(work)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            task.cancel()
            raise
        if task.cancelled():
            raise ConnectionLost(self.name)
        return task.result()

    def die(self) -> NoReturn:
        """SIGKILL, in the middle of what it does."""
        self.kill()
        raise asyncio.CancelledError

    def kill(self) -> None:
        """SIGKILL: nothing of it takes effect from now on."""
        self.alive = False
        self.died.set()
        for task in self._tasks:
            task.cancel()

    async def lives(self) -> None:
        """Go on when it does; a dead one does not, not even where somebody has swallowed its cancellation."""
        loop = asyncio.get_running_loop()
        while self.alive and self.stalled_until > loop.time():
            await asyncio.sleep(self.stalled_until - loop.time())
        if not self.alive:
            raise asyncio.CancelledError


class Faults:
    """What goes wrong, and when; and how often it has."""

    def __init__(self, plan: Plan, rng: random.Random) -> None:
        self._plan = plan
        self.rng = rng
        self.count: Counter[str] = Counter()
        self._ended = False

    def end(self) -> None:
        """From now on everything works."""
        self._ended = True

    @property
    def over(self) -> bool:
        """Everything works."""
        return self._ended or asyncio.get_running_loop().time() > FAULTS_S

    def within(self, outages: Sequence[Outage]) -> bool:
        """One of these is now."""
        now = asyncio.get_running_loop().time()
        return not self._ended and any(o.start <= now < o.start + o.length for o in outages)

    def happens(self, name: str, chance: float) -> bool:
        """Whether this one does, now."""
        if self.over or self.rng.random() >= chance:
            return False
        self.count[name] += 1
        return True

    def of_call(self) -> str:
        """The fate of one call of the store; "": none."""
        if self.over or self.rng.random() >= self._plan.faults:
            return ""
        fate = self.rng.choice(CALL_FAULTS)
        self.count[fate] += 1
        return fate

    async def travel(self) -> None:
        """The time something takes on its way."""
        slow = self.rng.random() < 0.05
        await asyncio.sleep(self.rng.uniform(0, SLOW_S) if slow else self.rng.expovariate(1 / LATENCY_S))

    @property
    def store_away(self) -> bool:
        """The store's server is down."""
        return self.within(self._plan.store_outages)


Witness = Callable[[str, tuple[Any, ...], Any], Awaitable[Any]]
"""Told of every call that took effect: verb, arguments, result; says what the caller is answered."""


class Gate:
    """A port of the store as one process sees it: every call is a step, with faults before and after it."""

    def __init__(self, process: Process, port: object, faults: Faults, trace: Trace, witness: Witness) -> None:
        self._process, self._port = process, port
        self._faults, self._trace, self._witness = faults, trace, witness

    def __getattr__(self, verb: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._port, verb)

        async def call(*args: Any, **options: Any) -> Any:  # noqa: ANN401  any verb of any port
            return await self._call(verb, method, args, options)

        return call

    async def _call(
        self, verb: str, method: Callable[..., Awaitable[Any]], args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:  # noqa: ANN401
        process, faults = self._process, self._faults
        await process.lives()
        fate = faults.of_call()
        await self._stall(fate == "stalled before")
        await faults.travel()
        await process.lives()
        if fate == "killed before":
            self._die(fate, verb)
        if fate == "refused" or faults.store_away:
            self._trace.add(process.name, f"{verb} refused")
            raise StoreUnavailable("refused")
        result = await self._serve(verb, method, args, options)
        if fate == "sent twice" and verb != "claim":  # the client that claims never sends twice
            await faults.travel()
            await process.lives()
            result = await self._serve(verb, method, args, options)
        if fate == "killed after":
            self._die(fate, verb)
        await self._stall(fate == "stalled after")
        await faults.travel()
        await process.lives()
        if fate == "answer lost" or faults.store_away:
            self._trace.add(process.name, f"{verb} answer lost")
            raise StoreUnavailable("the answer was lost")
        return result

    async def _serve(
        self, verb: str, method: Callable[..., Awaitable[Any]], args: tuple[Any, ...], options: dict[str, Any]
    ) -> Any:  # noqa: ANN401
        skew = skew_s.set(0.0)
        try:
            result = await method(*args, **options)
            result = await self._witness(verb, args, result)
        finally:
            skew_s.reset(skew)
        said = verb if verb in UNTRACED else f"{verb} {args!r} {options!r} -> {result!r}"
        self._trace.add(self._process.name, said)
        return result

    def _die(self, fate: str, verb: str) -> NoReturn:
        self._trace.add(self._process.name, f"{fate} {verb}")
        self._process.die()

    async def _stall(self, stalls: bool) -> None:  # noqa: FBT001
        if stalls:
            self._process.stalled_until = asyncio.get_running_loop().time() + self._faults.rng.uniform(1, 8)
            self._trace.add(self._process.name, "stalls")
            await self._process.lives()
