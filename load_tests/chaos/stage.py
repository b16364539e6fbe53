"""One system under faults: fronts and workers as processes, watched over as a supervisor would."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import aio_pika
import httpx
from aio_pika.exceptions import AMQPError
from aiormq.exceptions import ChannelLockedResource
from redis.asyncio import Redis
from redis.exceptions import RedisError

from contracts.adapters import Address, Store, open_store
from contracts.adapters.redis.connection import as_text
from contracts.errors import StoreUnavailable
from contracts.topology import cancel_queue_name, dead_queue_name, lane_key, queue_name, speech_lane
from contracts.units import Unit
from load_tests.chaos.proxy import Proxy
from load_tests.services import RabbitServer, RedisServer
from load_tests.system import Process, System, system

LANE = speech_lane("tone")
XRT = 20.0
"""A unit of 50 characters, 3 s of audio, takes 150 ms."""
POISON = "Xylocastrum"
"""The word that aborts an engine."""
LOOK_S = 0.05
START_TIMEOUT_S = 90.0
MOST_CONNECTS = 4


@dataclass
class Stage:
    """Servers, processes, and what was seen of them. `direct`: an address that goes through no proxy."""

    running: System
    direct: Address
    redis: RedisServer
    rabbit: RabbitServer
    proxies: dict[str, Proxy]
    store: Store
    raw: Redis
    gone: set[str] = field(default_factory=set)
    """Ids of workers that were killed."""
    killing: set[int] = field(default_factory=set)
    """id() of processes that are being killed: not for the supervisor."""
    fell: list[str] = field(default_factory=list)
    """Processes that ended by themselves, with the ends of their logs."""

    @property
    def urls(self) -> list[str]:
        """Of all fronts."""
        return [self.running.url(n) for n in range(len(self.running.fronts))]

    async def kill(self, process: Process) -> float:
        """SIGKILL, and start again at once; when it was killed, time.perf_counter seconds."""
        self.killing.add(id(process))
        at = time.perf_counter()
        await asyncio.to_thread(process.signal, signal.SIGKILL)
        process.start()
        self.killing.discard(id(process))
        return at

    async def supervise(self) -> None:
        """Start again what ended by itself, and remember it: nothing should."""
        while True:
            for process in (*self.running.fronts, *self.running.workers):
                if id(process) not in self.killing and not process.alive:
                    self.fell.append(f"{process.log.name}:\n{process.log.read_text()[-1500:]}")
                    process.start()
            await asyncio.sleep(4 * LOOK_S)

    async def registered(self) -> dict[int, str]:
        """Number of a worker -> its id, for those that have registered since they were last killed."""
        try:
            known = [w.id for w in await self.store.scheduler.workers(LANE)]
        except StoreUnavailable:
            return {}
        return {int(w.partition("-")[0][1:]): w for w in known if w not in self.gone}

    async def wait_for_workers(self, count: int) -> None:
        """Until so many are registered. Raises TimeoutError."""
        async with asyncio.timeout(START_TIMEOUT_S):
            while len(await self.registered()) < count:
                await asyncio.sleep(LOOK_S)

    async def wait_for_front(self, n: int) -> None:
        """Until it answers. Raises TimeoutError."""
        async with asyncio.timeout(START_TIMEOUT_S), httpx.AsyncClient(trust_env=False, timeout=2) as client:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"{self.running.url(n)}/health")).is_success:
                        return
                await asyncio.sleep(LOOK_S)

    async def held(self, worker: str) -> frozenset[tuple[str, int]]:
        """Units this worker has claimed and nobody has released; none if Redis is down, too."""
        try:
            owners = await self.raw.hgetall(lane_key(self.direct.namespace, LANE, "held"))
        except (RedisError, OSError):
            return frozenset()
        units = [Unit.parse(as_text(u)) for u, owner in owners.items() if as_text(owner).startswith(f"{worker}|")]
        return frozenset((u.job, u.index) for u in units)

    async def consuming(self) -> bool:
        """Whether every worker consumes.

        A quorum queue that has just come back still lists the consumers of before. A worker's queue for cancellations
        does not outlive its connection; it is restored after the consumer, and locked to everybody else.
        """
        if (await self._queue(queue_name(LANE)))[0] != len(self.running.workers):
            return False
        workers = (await self.registered()).values()
        return len(workers) == len(self.running.workers) and all([await self._listens(w) for w in workers])

    async def _listens(self, worker: str) -> bool:
        """Whether it takes cancellations; the watchdog may have made its connection anew."""
        return any([await self._locked(cancel_queue_name(LANE, worker, n)) for n in range(1, 1 + MOST_CONNECTS)])

    async def _locked(self, name: str) -> bool:
        try:
            async with await aio_pika.connect(self.direct.broker, timeout=5) as connection:
                channel = await connection.channel()
                await channel.declare_queue(self.direct.namespace + name, passive=True, timeout=5)
        except ChannelLockedResource:
            return True
        except (AMQPError, OSError, TimeoutError):
            return False
        return False

    async def dead_letters(self) -> int:
        """In tts.dead; -1 while the broker does not say."""
        return (await self._queue(dead_queue_name(LANE)))[1]

    async def _queue(self, name: str) -> tuple[int, int]:
        try:
            async with await aio_pika.connect(self.direct.broker, timeout=5) as connection:
                channel = await connection.channel()
                queue = await channel.declare_queue(self.direct.namespace + name, passive=True, timeout=5)
                result = queue.declaration_result
                return result.consumer_count or 0, result.message_count or 0
        except (AMQPError, OSError, TimeoutError):
            return -1, -1

    async def time_to_consumers(self, timeout_s: float) -> float:
        """Seconds until every worker consumes; infinite if that takes longer than timeout_s."""
        began = time.perf_counter()
        while not await self.consuming():
            if time.perf_counter() - began > timeout_s:
                return float("inf")
            await asyncio.sleep(LOOK_S)
        return time.perf_counter() - began


@contextlib.asynccontextmanager
async def stage(
    redis: RedisServer, rabbit: RabbitServer, namespace: str, directory: Path, *,
    workers: int, extra: Mapping[str, str], proxies: dict[str, Proxy] | None = None,
) -> AsyncIterator[Stage]:  # fmt: skip
    """Two fronts and so many workers, ready. proxies: `redis` and `broker`, if they are to stand between."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))  # poison aborts
    direct = address = Address(redis.url, rabbit.url, namespace)
    if proxies:
        store = redis.url.replace(str(redis.port), str(proxies["redis"].port))
        broker = rabbit.url.replace(str(rabbit.port), str(proxies["broker"].port))
        address = replace(direct, store=store, broker=broker)
    directory.mkdir()
    settings = {"CASTLINE_TTS_TONE_XRT": str(XRT), "CASTLINE_TTS_SLOTS": "1", "CASTLINE_TTS_TONE_POISON": POISON}
    raw = Redis.from_url(redis.url, socket_timeout=1, socket_connect_timeout=1)
    with system(address, directory, **{**settings, **extra}) as running:
        made = Stage(running, direct, redis, rabbit, proxies or {}, open_store(direct), raw)
        for n in range(workers):
            running.worker("tone", CASTLINE_POOL=f"w{n}")
        await asyncio.gather(*(asyncio.to_thread(running.front) for _ in range(2)))
        await made.wait_for_workers(workers)
        supervising = asyncio.create_task(made.supervise())
        try:
            yield made
        finally:
            supervising.cancel()
            await asyncio.gather(supervising, return_exceptions=True)
            await made.store.close()
            await raw.aclose()
