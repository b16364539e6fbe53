"""The order of work on Redis: Scheduler. Every verb is one Lua script on the lane's hash slot."""

from __future__ import annotations

import json
from collections.abc import Sequence

from redis.asyncio import Redis

from contracts.adapters.redis.connection import Scripts, as_text, guarded
from contracts.jobs import WorkerInfo
from contracts.ports import Backlog, Claim
from contracts.topology import MAX_ATTEMPTS, lane_keys
from contracts.units import Lane, Unit

SUBMIT_AT_ONCE = 1_000
"""Units per SUBMIT: a script blocks the server, so it is kept short."""


class RedisScheduler:
    """Lanes under one namespace. `client` may send twice, `once` never does."""

    def __init__(self, client: Redis, once: Redis, namespace: str, *, max_attempts: int = MAX_ATTEMPTS) -> None:
        self._redis = client
        self._namespace = namespace
        self._max_attempts = max_attempts
        self._scripts = Scripts(client)
        self._once = Scripts(once)

    def _keys(self, lane: Lane, *names: str) -> list[str]:
        keys = lane_keys(self._namespace, lane)
        return [keys[name] for name in names]

    @guarded
    async def submit(self, lane: Lane, units: Sequence[tuple[Unit, int]]) -> int:
        """See Scheduler.submit."""
        keys = self._keys(lane, "due", "run")
        new = 0
        for i in range(0, len(units), SUBMIT_AT_ONCE):
            flat = [x for unit, deadline in units[i : i + SUBMIT_AT_ONCE] for x in (str(unit), deadline)]
            new += await self._scripts.call("submit", keys, flat)
        return new

    @guarded
    async def claim(
        self, lane: Lane, owner: str, lease_ms: int, *, ticket: str = "", redelivered: bool = False
    ) -> Claim | None:
        """See Scheduler.claim."""
        keys = self._keys(lane, "due", "run", "info", "attempts", "bound")
        found = await self._once.call("claim", keys, (owner, lease_ms, self._max_attempts, ticket, int(redelivered)))
        if found is None:
            return None
        unit, deadline, attempt, dead = found
        return Claim(Unit.parse(unit.decode()), int(deadline), int(attempt), bool(dead))

    @guarded
    async def extend(self, lane: Lane, unit: Unit, owner: str, lease_ms: int) -> bool:
        """See Scheduler.extend."""
        return bool(await self._scripts.call("extend", self._keys(lane, "run", "info"), (str(unit), owner, lease_ms)))

    @guarded
    async def give_back(self, lane: Lane, unit: Unit, owner: str, *, attempted: bool) -> bool:
        """See Scheduler.give_back."""
        keys = self._keys(lane, "due", "run", "info", "attempts", "bound")
        return bool(await self._scripts.call("give_back", keys, (str(unit), owner, int(attempted))))

    @guarded
    async def release(self, lane: Lane, units: Sequence[Unit]) -> None:
        """See Scheduler.release."""
        keys = self._keys(lane, "due", "run", "info", "attempts", "bound")
        for i in range(0, len(units), SUBMIT_AT_ONCE):
            await self._scripts.call("release", keys, [str(u) for u in units[i : i + SUBMIT_AT_ONCE]])

    @guarded
    async def ahead(self, lane: Lane, unit: Unit) -> int | None:
        """See Scheduler.ahead."""
        rank = await self._redis.zrank(self._keys(lane, "due")[0], str(unit))
        return rank if isinstance(rank, int) else None

    @guarded
    async def backlog(self, lane: Lane) -> Backlog:
        """See Scheduler.backlog."""
        due, run = self._keys(lane, "due", "run")
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.zcard(due)
            pipe.zcard(run)
            return Backlog(*await pipe.execute())

    @guarded
    async def register(self, info: WorkerInfo, ttl_ms: int) -> None:
        """See Scheduler.register."""
        now = await self._now_ms()
        value = info.model_copy(update={"seen_ms": now}).model_dump_json()
        await self._redis.hset(self._keys(info.lane, "workers")[0], info.id, f"{now + ttl_ms}|{value}")

    @guarded
    async def unregister(self, lane: Lane, worker: str) -> None:
        """See Scheduler.unregister."""
        await self._redis.hdel(self._keys(lane, "workers")[0], worker)

    @guarded
    async def workers(self, lane: Lane) -> list[WorkerInfo]:
        """See Scheduler.workers."""
        key = self._keys(lane, "workers")[0]
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
