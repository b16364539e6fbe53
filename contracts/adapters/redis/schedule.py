"""The order of work on Redis: Scheduler. Every verb is one Lua script on the lane's hash slot."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence

from redis.asyncio import Redis

from contracts.adapters.redis.connection import Scripts, as_text, guarded
from contracts.jobs import WorkerInfo
from contracts.ports import Backlog, Claim, Listening, Place, Work
from contracts.schedule import RULE, Rule
from contracts.topology import MAX_ATTEMPTS, lane_key, lane_keys
from contracts.units import Lane, Unit

SUBMIT_AT_ONCE = 1_000
"""Units per call of a script: it blocks the server, so it is kept short."""
FASTEST = 1e6
"""Speeds are cut to this: an engine that takes no time has an infinite one."""


class RedisScheduler:
    """Lanes under one namespace. `client` may send twice, `once` never does."""

    def __init__(
        self, client: Redis, once: Redis, namespace: str, *, max_attempts: int = MAX_ATTEMPTS, rule: Rule = RULE
    ) -> None:
        self._redis = client
        self._namespace = namespace
        self._max_attempts = max_attempts
        self._scripts = Scripts(client, "lane", _constants(rule))
        self._once = Scripts(once, "lane", _constants(rule))

    def _keys(self, lane: Lane) -> list[str]:
        return lane_keys(self._namespace, lane)

    @guarded
    async def submit(self, lane: Lane, work: Work) -> int:
        """See Scheduler.submit."""
        new, before = 0, work.before_ms
        head = (f"{work.job}:{work.epoch}", work.client, int(work.job_class == "live"))
        for i in range(0, len(work.lengths_ms), SUBMIT_AT_ONCE):
            lengths = work.lengths_ms[i : i + SUBMIT_AT_ONCE]
            args = (*head, work.first + i, before, work.shift_ms, *lengths)
            new += await self._scripts.call("submit", self._keys(lane), args)
            before += sum(lengths)
        return new

    @guarded
    async def claim(
        self, lane: Lane, owner: str, lease_ms: int, *, ticket: str = "", redelivered: bool = False, xrt: float = 0.0
    ) -> Claim | None:
        """See Scheduler.claim."""
        args = (owner, lease_ms, self._max_attempts, ticket, int(redelivered), min(xrt, FASTEST))
        found = await self._once.call("claim", self._keys(lane), args)
        if found is None:
            return None
        unit, deadline, attempt, dead = found
        return Claim(Unit.parse(unit.decode()), int(deadline), int(attempt), bool(dead))

    @guarded
    async def extend(self, lane: Lane, unit: Unit, owner: str, lease_ms: int) -> bool:
        """See Scheduler.extend."""
        return bool(await self._scripts.call("extend", self._keys(lane), (str(unit), owner, lease_ms)))

    @guarded
    async def give_back(self, lane: Lane, unit: Unit, owner: str, *, attempted: bool) -> bool:
        """See Scheduler.give_back."""
        return bool(await self._scripts.call("give_back", self._keys(lane), (str(unit), owner, int(attempted))))

    @guarded
    async def release(self, lane: Lane, units: Sequence[tuple[Unit, int | None]]) -> None:
        """See Scheduler.release."""
        for i in range(0, len(units), SUBMIT_AT_ONCE):
            part = units[i : i + SUBMIT_AT_ONCE]
            flat = [x for unit, ms in part for x in (str(unit), -1 if ms is None else ms)]
            await self._scripts.call("release", self._keys(lane), flat)

    @guarded
    async def hear(self, lane: Lane, cast: str, listening: Listening) -> bool:
        """See Scheduler.hear."""
        position = -1 if listening.position_ms is None else listening.position_ms
        args = (cast, listening.ear, position, listening.ttl_ms, int(listening.renew))
        return bool(await self._scripts.call("hear", self._keys(lane), args))

    @guarded
    async def place(self, lane: Lane, cast: str) -> Place | None:
        """See Scheduler.place."""
        found = await self._scripts.call("place", self._keys(lane), (cast,))
        if found is None:
            return None
        started, ahead, audio, heard = (int(x) for x in found)
        return Place(bool(started), ahead, audio, bool(heard))

    @guarded
    async def backlog(self, lane: Lane) -> Backlog:
        """See Scheduler.backlog."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zcard(lane_key(self._namespace, lane, "pending"))
            pipe.zcard(lane_key(self._namespace, lane, "run"))
            pipe.zcard(lane_key(self._namespace, lane, "queue"))
            pipe.hmget(lane_key(self._namespace, lane, "sums"), ["audio0", "audio1"])
            pipe.time()
            pipe.hvals(lane_key(self._namespace, lane, "fleet"))
            due, running, waiting, sums, time, fleet = await pipe.execute()
        now = int(time[0]) * 1000
        speeds = [float(s) for until, s, _ in (f.decode().split("|") for f in fleet) if int(until) > now]
        heard, quiet = (int(s or 0) for s in sums)
        return Backlog(due, running, waiting, heard, quiet, len(speeds), sum(speeds))

    @guarded
    async def expect(self, lane: Lane, job: str, check_in_ms: int) -> None:
        """See Scheduler.expect."""
        await self._scripts.call("expect", self._keys(lane), (job, check_in_ms))

    @guarded
    async def overdue(self, lane: Lane, again_in_ms: int, limit: int) -> list[str]:
        """See Scheduler.overdue."""
        jobs = await self._scripts.call("overdue", self._keys(lane), (again_in_ms, limit))
        return [job.decode() for job in jobs]

    @guarded
    async def settled(self, lane: Lane, jobs: Sequence[str]) -> None:
        """See Scheduler.settled."""
        if jobs:
            await self._redis.zrem(lane_key(self._namespace, lane, "expected"), *jobs)

    @guarded
    async def register(self, info: WorkerInfo, ttl_ms: int) -> None:
        """See Scheduler.register."""
        now = await self._now_ms()
        value = info.model_copy(update={"seen_ms": now}).model_dump_json()
        await self._redis.hset(lane_key(self._namespace, info.lane, "workers"), info.id, f"{now + ttl_ms}|{value}")
        args = (info.id, ttl_ms, min(info.xrt, FASTEST), info.slots)
        await self._scripts.call("register", self._keys(info.lane), args)

    @guarded
    async def unregister(self, lane: Lane, worker: str) -> None:
        """See Scheduler.unregister."""
        await self._redis.hdel(lane_key(self._namespace, lane, "workers"), worker)
        await self._scripts.call("register", self._keys(lane), (worker, 0, 0, 1))

    @guarded
    async def workers(self, lane: Lane) -> list[WorkerInfo]:
        """See Scheduler.workers."""
        key = lane_key(self._namespace, lane, "workers")
        now = await self._now_ms()
        known: list[WorkerInfo] = []
        for worker, value in (await self._redis.hgetall(key)).items():
            until, _, info = as_text(value).partition("|")
            if int(until) >= now:
                known.append(WorkerInfo.model_validate(json.loads(info)))
            else:
                await self._redis.hdel(key, worker)
        return known

    async def _now_ms(self) -> int:
        seconds, micros = await self._redis.time()
        return int(seconds) * 1000 + int(micros) // 1000


def _constants(rule: Rule) -> str:
    """The rule's numbers as Lua."""

    def lua(value: float) -> str:
        return f"{'-' if value < 0 else ''}math.huge" if math.isinf(value) else repr(value)

    numbers = {
        "PROTECT_MS": lua(rule.protect_ms), "HAND_MS": lua(rule.hand_ms), "SHARE": lua(rule.share),
        "QUIET_MS": lua(rule.quiet_ms), "GRACE_MS": lua(rule.grace_ms),
        "HORIZONS_MS": "{" + ",".join(map(str, rule.horizons_ms)) + "}", "RESTART": str(rule.restart).lower(),
    }  # fmt: skip
    return "".join(f"local {name} = {value}\n" for name, value in numbers.items())
