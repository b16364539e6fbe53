"""Redis: the log, the order of work, and the bell."""

from redis.asyncio import Redis

from contracts.adapters.redis.bell import RedisBell
from contracts.adapters.redis.blobs import RedisBlobs
from contracts.adapters.redis.connection import connect, connect_once, connect_waiting
from contracts.adapters.redis.log import RedisLog
from contracts.adapters.redis.schedule import RedisScheduler

__all__ = [
    "Redis",
    "RedisBell",
    "RedisBlobs",
    "RedisLog",
    "RedisScheduler",
    "connect",
    "connect_once",
    "connect_waiting",
]
