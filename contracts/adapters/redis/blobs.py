"""Blobs on Redis: one hash per set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from redis.asyncio import Redis

from contracts.adapters.redis.connection import guarded
from contracts.topology import blob_key


class RedisBlobs:
    """Sets under one namespace of one Redis."""

    def __init__(self, client: Redis, namespace: str) -> None:
        self._redis = client
        self._namespace = namespace

    @guarded
    async def put(self, name: str, parts: Mapping[int, bytes], ttl_ms: int) -> None:
        """See Blobs.put."""
        key = blob_key(self._namespace, name)
        async with self._redis.pipeline(transaction=True) as pipe:  # a set without an end would stay for ever
            for part, body in parts.items():
                pipe.hset(key, str(part), body)
            pipe.pexpire(key, ttl_ms)
            await pipe.execute()

    @guarded
    async def get(self, name: str, parts: Sequence[int]) -> list[bytes | None]:
        """See Blobs.get."""
        found = await self._redis.hmget(blob_key(self._namespace, name), [str(part) for part in parts])
        return [body.encode() if isinstance(body, str) else body for body in found]  # typed as either; ours are bytes

    @guarded
    async def drop(self, name: str, parts: Sequence[int] | None = None) -> None:
        """See Blobs.drop."""
        key = blob_key(self._namespace, name)
        await (self._redis.unlink(key) if parts is None else self._redis.hdel(key, *(str(part) for part in parts)))
