"""Adapters of the ports, chosen by URL: `sqlite:///path` alone, or `redis://…` with `amqp://…`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from contracts.adapters import rabbitmq, rabbitmq_dead, sqlite
from contracts.adapters import redis as on_redis
from contracts.errors import Misconfigured
from contracts.ports import Bell, Blobs, DeadLetters, LogReader, LogWriter, Scheduler, TicketPublisher, TicketSource
from contracts.schedule import RULE, Rule
from contracts.topology import MAX_ATTEMPTS
from contracts.units import Lane


@dataclass(frozen=True, slots=True)
class Address:
    """Where the store and the broker are.

    store: `sqlite:///path`, `redis://host:port/db`, `rediss://…`; broker: `amqp://…`, `amqps://…`, "" with SQLite;
    namespace: prefix of every key and queue.
    """

    store: str
    broker: str
    namespace: str = ""

    def __post_init__(self) -> None:
        if self.embedded == bool(self.broker):
            raise Misconfigured("a Redis store needs a broker URL (amqp://…), a SQLite store takes none")

    @property
    def embedded(self) -> bool:
        """True on SQLite."""
        scheme = self.store.partition("://")[0]
        if scheme not in ("sqlite", "redis", "rediss", "unix"):
            raise Misconfigured(f"a store URL starts with sqlite:///, redis:// or rediss://, not {scheme!r}")
        return scheme == "sqlite"

    @property
    def path(self) -> Path:
        """The SQLite file."""
        return Path(self.store.removeprefix("sqlite://"))


@dataclass(frozen=True, slots=True)
class Store:
    """The log, the order of work and what came in, over one set of connections."""

    log_writer: LogWriter
    log_reader: LogReader
    scheduler: Scheduler
    blobs: Blobs
    connections: tuple[sqlite.Database, ...] | tuple[on_redis.Redis, ...]

    async def close(self) -> None:
        """Close the connections."""
        for connection in self.connections:
            await (connection.close() if isinstance(connection, sqlite.Database) else connection.aclose())


def open_store(address: Address, *, max_attempts: int = MAX_ATTEMPTS, rule: Rule = RULE) -> Store:
    """The log and the order of work. Connects at the first call."""
    if address.embedded:
        database = sqlite.Database(address.path)
        log = sqlite.SqliteLog(database)
        order = sqlite.SqliteScheduler(database, max_attempts=max_attempts, rule=rule)
        return Store(log, log, order, sqlite.SqliteBlobs(database), (database,))
    client, once = on_redis.connect(address.store), on_redis.connect_once(address.store)
    redis_log = on_redis.RedisLog(client, address.namespace)
    scheduler = on_redis.RedisScheduler(client, once, address.namespace, max_attempts=max_attempts, rule=rule)
    blobs = on_redis.RedisBlobs(client, address.namespace)
    return Store(redis_log, redis_log, scheduler, blobs, (client, once))


async def open_publisher(address: Address) -> TicketPublisher:
    """The front's side of the broker. Raises BrokerUnavailable."""
    if address.embedded:
        return sqlite.SqlitePublisher(sqlite.Database(address.path))
    return await rabbitmq.RabbitPublisher(address.broker, address.namespace).connect()


async def open_source(address: Address, lane: Lane, slots: int, worker: str) -> TicketSource:
    """A worker's side of the broker. Raises BrokerUnavailable."""
    if address.embedded:
        return sqlite.SqliteSource(sqlite.Database(address.path), lane)
    return await rabbitmq.RabbitSource(address.broker, address.namespace, lane, slots, worker).connect()


def open_bell(address: Address) -> Bell:
    """News of logs that grow, for one front process."""
    if address.embedded:
        return sqlite.SqliteBell(address.path)
    return on_redis.RedisBell(on_redis.connect_waiting(address.store), address.namespace)


def open_dead_letters(address: Address) -> DeadLetters:
    """Units that were given up, and messages that are none. Connects at the first call."""
    if address.embedded:
        return sqlite.SqliteDead(sqlite.Database(address.path))
    return rabbitmq_dead.RabbitDead(address.broker, address.namespace)
