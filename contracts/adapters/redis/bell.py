"""The bell on Redis: COMMIT publishes what it appends on the log's channel; a slow poll makes up for a lost message.

Pub/sub instead of a blocking XREAD: a channel joins a running subscription at once, while a stream can only join an
XREAD by unblocking it, and in a cluster one XREAD can not span slots. The message leaves the server after the AOF has
been synced, like every answer, so nobody hears what a crash could take back.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import AsyncIterator

from redis.asyncio import Redis
from redis.exceptions import RedisError

from contracts.adapters.redis.connection import as_text, guarded
from contracts.ports import Ring
from contracts.records import Record
from contracts.topology import log_keys

logger = logging.getLogger(__name__)

POLL_S = 1.0
POLL_PARTS = 20
RECONNECT_S = 0.25

_PACKED = re.compile(rb"(\S+) (\d+) ([a-z]+) (\d+) ")
"""See pack in lib.lua."""


class RedisBell:
    """One subscription connection per process."""

    def __init__(self, client: Redis, namespace: str) -> None:
        self._redis = client
        self._namespace = namespace
        self._pubsub = client.pubsub(ignore_subscribe_messages=True)
        self._jobs: dict[str, str] = {}  # channel -> job

    def _channel(self, job: str) -> str:
        return log_keys(self._namespace, job)["bell"]

    @guarded
    async def watch(self, job: str) -> None:
        """See Bell.watch."""
        channel = self._channel(job)
        self._jobs[channel] = job
        await self._pubsub.subscribe(channel)

    @guarded
    async def unwatch(self, job: str) -> None:
        """See Bell.unwatch."""
        channel = self._channel(job)
        self._jobs.pop(channel, None)
        await self._pubsub.unsubscribe(channel)

    async def rings(self) -> AsyncIterator[Ring]:
        """See Bell.rings."""
        loop = asyncio.get_running_loop()
        due = loop.time()
        waiting: list[str] = []
        while True:
            try:
                if not self._pubsub.subscribed:
                    await self._pubsub.subscribe(f"{self._namespace}bell")  # so that there is a connection to wait on
                message = await self._pubsub.get_message(timeout=max(0.0, due - loop.time()))
            except (RedisError, OSError) as exc:
                logger.warning("bell lost its connection", extra={"error": str(exc)})
                await asyncio.sleep(RECONNECT_S)
                message = None
            if message is not None and (job := self._jobs.get(as_text(message["channel"]))) is not None:
                yield _ring(job, message["data"])
            if loop.time() >= due:  # a few at a time: all at once would stand in the way of every reader
                due = loop.time() + POLL_S / POLL_PARTS
                waiting = waiting or list(self._jobs.values())
                part = -(-max(len(waiting), len(self._jobs)) // POLL_PARTS)
                for job in waiting[:part]:
                    yield Ring(job)
                waiting = waiting[part:]

    async def close(self) -> None:
        """See Bell.close."""
        await self._pubsub.aclose()  # type: ignore[no-untyped-call]
        await self._redis.aclose()


def _ring(job: str, data: bytes) -> Ring:
    match = _PACKED.match(data)
    if match is None:
        return Ring(job)
    epoch, seq, kind, size = match.groups()
    end = match.end() + int(size)
    record = Record(int(seq), kind.decode(), json.loads(data[match.end() : end]), data[end:])
    return Ring(job, epoch.decode(), record)
