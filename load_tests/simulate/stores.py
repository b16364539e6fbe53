"""The real stores on virtual time: the Lua in fakeredis's interpreter, the SQL in sqlite3; each may be mutated."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import random
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from types import ModuleType
from typing import Any, Self
from unittest import mock

from fakeredis import FakeAsyncRedis, FakeServer
from redis.asyncio import Redis

from contracts.adapters import Store
from contracts.adapters.redis import RedisBlobs, RedisLog, RedisScheduler
from contracts.adapters.sqlite import Database, SqliteBlobs, SqliteLog, SqliteScheduler
from contracts.adapters.sqlite.database import connect
from contracts.ports import LogReader
from contracts.topology import LANE_KEYS, lane_key, log_keys
from contracts.units import Lane
from load_tests.simulate.plan import Kind
from load_tests.simulate.process import LATENCY_S

NAMESPACE = "s:"
LANE = Lane("tts.tone")
SHARED_MEMORY = Path("/dev/shm")
BETWEEN = 0.1
"""Chance that somebody comes between two commands of a pipeline."""
SHARED = ("lib.lua", "lane/lane.lua")
"""They stand before other scripts."""
LASTING = frozenset({"fleet", "sums"})
"""Of a lane's keys: the workers that were killed, and what their speed was."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """A small change of the text of one script (`commit.lua`, `lane/claim.lua`, …) or module (`log.py`, …)."""

    file: str
    old: str
    new: str

    def apply(self, text: str) -> str:
        """The text, changed. Raises LookupError if it has not exactly one place to change: the mutant has rotted."""
        if text.count(self.old) != 1:
            raise LookupError(f"{self.old!r} stands {text.count(self.old)} times in {self.file}")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class SimulatedStore:
    """A store, and what a process can not ask it. log: read at one instant; server: of Redis; file: of SQLite."""

    store: Store
    log: LogReader
    server: Redis | None = None
    file: Path | None = None

    async def restart(self) -> None:
        """The server comes back with its data, and without the scripts it had been sent."""
        if self.server is not None:
            await self.server.script_flush()

    async def left_over(self, jobs: list[str]) -> list[str]:
        """What is kept although every cast has ended: of the order of work, and of the logs of these jobs."""
        logs = [await self.log.status(job) for job in jobs]
        standing = [log.job for log in logs if log is not None]  # what has expired is cleaned up later
        found = [f"{log.job} lives" for log in logs if log is not None and log.state == "live"]
        if self.file is not None:
            return sorted(found + _left_in_file(self.file, standing))
        assert self.server is not None
        names = LANE_KEYS.keys() - LASTING
        found += [name for name in names if await self.server.exists(lane_key(NAMESPACE, LANE, name))]
        pending = await self.server.hmget(lane_key(NAMESPACE, LANE, "sums"), ["audio0", "audio1"])
        found += [f"sums {p!r}" for p in pending if int(p or 0)]
        kept = [(job, name) for job in standing for name in ("staged", "units")]
        found += [f"{name} of {job}" for job, name in kept if await self.server.exists(log_keys(NAMESPACE, job)[name])]
        return sorted(found)


def _left_in_file(file: Path, jobs: list[str]) -> list[str]:
    with contextlib.closing(sqlite3.connect(file)) as db:
        tables = ("due", "casts", "ears", "clients", "expected")
        found = [table for table in tables if db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]]
        for table in ("staged", "units"):
            rows = db.execute(f"SELECT DISTINCT job FROM {table}").fetchall()
            found += [f"{table} of {job}" for (job,) in rows if job in jobs]
    return found


@contextlib.asynccontextmanager
async def simulated_store(kind: Kind, rng: random.Random, mutation: Mutation | None) -> AsyncIterator[SimulatedStore]:
    """An empty store."""
    if kind == "redis":
        server = _server()
        server.dbs.clear()
        server.script_cache.clear()
        client = _Client(server, rng, mutation)
        log = RedisLog(client, NAMESPACE)
        store = Store(log, log, RedisScheduler(client, client, NAMESPACE), RedisBlobs(client, NAMESPACE), ())
        whole = FakeAsyncRedis(server=server)
        yield SimulatedStore(store, RedisLog(whole, NAMESPACE), server=client)
        await whole.aclose()
        await client.aclose()
        return
    with tempfile.TemporaryDirectory(dir=SHARED_MEMORY if SHARED_MEMORY.is_dir() else None) as directory:
        file = Path(directory, "castline.db")
        file.write_bytes(_empty_file())
        database = Database(file)
        log_class, scheduler_class = _sqlite_classes(mutation)
        sqlite_log = log_class(database)
        store = Store(sqlite_log, sqlite_log, scheduler_class(database), SqliteBlobs(database), (database,))
        yield SimulatedStore(store, sqlite_log, file=file)
        await database.close()


@functools.cache
def _server() -> FakeServer:
    """One for all runs of this process: its interpreter is slow to start."""
    return FakeServer()


@functools.cache
def _empty_file() -> bytes:
    """The schema takes longer to make than to copy."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory, "empty.db")
        connect(file).close()
        return file.read_bytes()


class _Client(FakeAsyncRedis):
    """Registers scripts mutated, and lets others come between the commands of a pipeline, as a server does."""

    def __init__(self, server: FakeServer, rng: random.Random, mutation: Mutation | None) -> None:
        super().__init__(server=server)
        self._rng = rng
        self._mutation = mutation
        self._texts = {} if mutation is None else {_script(mutation.file): mutation}

    def register_script(self, script: Any) -> Any:  # noqa: ANN401  a text of ours; redis-py types it for two clients
        """See Redis.register_script."""
        for text, mutation in self._texts.items():
            if script.endswith(text) or (mutation.file in SHARED and text in script):
                script = script.replace(text, mutation.apply(text))
        return super().register_script(script)

    def pipeline(self, transaction: bool = True, shard_hint: str | None = None) -> Any:  # noqa: ANN401, FBT001, FBT002
        """See Redis.pipeline."""
        assert not transaction
        del shard_hint
        return _Pipeline(self, self._rng)


class _Pipeline:
    """Commands sent together, and carried out one by one."""

    def __init__(self, client: Redis, rng: random.Random) -> None:
        self._client, self._rng = client, rng
        self._calls: list[Callable[[], Awaitable[Any]]] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._calls.clear()

    def __getattr__(self, command: str) -> Callable[..., None]:
        method = getattr(self._client, command)
        return lambda *args, **options: self._calls.append(lambda: method(*args, **options))

    async def execute(self) -> list[Any]:
        answers: list[Any] = []
        for call in self._calls:
            if answers and self._rng.random() < BETWEEN:
                await asyncio.sleep(self._rng.uniform(0, 2 * LATENCY_S))
            answers.append(await call())
        return answers


def _script(file: str) -> str:
    return files("contracts.adapters.redis").joinpath(file).read_text()


def _sqlite_classes(mutation: Mutation | None) -> tuple[type[SqliteLog], type[SqliteScheduler]]:
    if mutation is None:
        return SqliteLog, SqliteScheduler
    package = "contracts.adapters.sqlite"
    made: dict[str, ModuleType] = {}
    with mock.patch.dict(sys.modules):
        for name in ("lane", "schedule", "log"):  # in the order in which they import each other
            text = files(package).joinpath(f"{name}.py").read_text()
            if mutation.file == f"{name}.py":
                text = mutation.apply(text)
            made[name] = sys.modules[f"{package}.{name}"] = ModuleType(f"{package}.{name}")
            exec(compile(text, f"{name}.py", "exec"), made[name].__dict__)  # a text of ours
    return made["log"].SqliteLog, made["schedule"].SqliteScheduler
