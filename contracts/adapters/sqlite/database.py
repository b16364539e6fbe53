"""One SQLite file, shared by the processes of one machine: WAL, synchronous=FULL, one writer thread per process.

FULL, not NORMAL: a commit that was answered survives a power cut, as `appendfsync always` does on Redis.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from contracts.errors import StoreUnavailable

T = TypeVar("T")

BUSY_TIMEOUT_MS = 5_000
VERSION = 4
"""Of the schema."""
POLL_S = 0.005
"""How often a waiting process looks whether another has written: PRAGMA data_version is a read of shared memory."""


def now_ms() -> int:
    """The store's clock: every process of the embedded mode is on one machine."""
    return time.time_ns() // 1_000_000


class Database:
    """A file; verbs are functions of a connection, run on one thread for writing and one for reading."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._writer = ThreadPoolExecutor(1, "castline-sqlite-write")
        self._reader = ThreadPoolExecutor(1, "castline-sqlite-read")
        self._connections: dict[ThreadPoolExecutor, sqlite3.Connection] = {}

    async def write(self, verb: Callable[[sqlite3.Connection], T]) -> T:
        """Run `verb` in a transaction of its own; durable when this returns. Raises StoreUnavailable."""
        return await self._run(self._writer, lambda c: _transaction(c, verb))

    async def read(self, verb: Callable[[sqlite3.Connection], T]) -> T:
        """Run `verb` on one consistent snapshot. Raises StoreUnavailable."""
        return await self._run(self._reader, lambda c: _snapshot(c, verb))

    async def _run(self, thread: ThreadPoolExecutor, verb: Callable[[sqlite3.Connection], T]) -> T:
        def work() -> T:
            connection = self._connections.get(thread)
            if connection is None:
                connection = self._connections[thread] = connect(self.path)
            return verb(connection)

        try:
            return await asyncio.get_running_loop().run_in_executor(thread, work)
        except sqlite3.Error as exc:
            raise StoreUnavailable(f"SQLite file {self.path.name} ({exc})") from exc

    async def close(self) -> None:
        """Close both connections, each on its own thread."""
        for thread in (self._reader, self._writer):
            connection = self._connections.pop(thread, None)
            if connection is not None:
                await asyncio.get_running_loop().run_in_executor(thread, connection.close)
            thread.shutdown()


def connect(path: Path) -> sqlite3.Connection:
    """A connection with the pragmas and the schema in place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_TIMEOUT_MS / 1000)
    connection.row_factory = sqlite3.Row
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    if connection.execute("PRAGMA user_version").fetchone()[0] != VERSION:
        _transaction(connection, _upgrade)
    connection.executescript(files(__package__).joinpath("schema.sql").read_text())
    return connection


def _upgrade(db: sqlite3.Connection) -> None:
    """Of a file of an older version, or a new one. Another process may have done it meanwhile."""
    if db.execute("PRAGMA user_version").fetchone()[0] == VERSION:
        return
    for table in ("due", "workers"):  # the order of work is made anew from the logs; logs are never dropped
        db.execute(f"DROP TABLE IF EXISTS {table}")
    columns = {row["name"] for row in db.execute("PRAGMA table_info(logs)")}
    if columns and "writer" not in columns:
        db.execute("ALTER TABLE logs ADD COLUMN writer TEXT NOT NULL DEFAULT ''")
        db.execute("ALTER TABLE logs ADD COLUMN written INTEGER NOT NULL DEFAULT 0")
    db.execute(f"PRAGMA user_version={VERSION}")


def _transaction(connection: sqlite3.Connection, verb: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN IMMEDIATE")
    try:
        result = verb(connection)
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
    return result


def _snapshot(connection: sqlite3.Connection, verb: Callable[[sqlite3.Connection], T]) -> T:
    connection.execute("BEGIN")
    try:
        return verb(connection)
    finally:
        connection.execute("COMMIT")


class Watcher:
    """Notices commits of other connections to the file, of this process or any other. Used on one thread."""

    def __init__(self, path: Path) -> None:
        self._connection = connect(path)
        self._version = self._read()

    def _read(self) -> int:
        row: sqlite3.Row = self._connection.execute("PRAGMA data_version").fetchone()
        return int(row[0])

    async def changed(self, timeout_s: float) -> bool:
        """Wait for a commit since the last call; False after timeout_s."""
        end = time.monotonic() + timeout_s
        while (version := self._read()) == self._version:
            if time.monotonic() >= end:
                return False
            await asyncio.sleep(POLL_S)
        self._version = version
        return True

    def close(self) -> None:
        """Close its connection."""
        self._connection.close()
