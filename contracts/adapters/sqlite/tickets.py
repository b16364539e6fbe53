"""Tickets and the bell without a broker: whoever waits watches the file for commits.

The embedded mode needs no messages: that a unit is due is written in the file, and so are cancellations, receipts and
dead letters. A slot that is free asks for the next due unit; a process that dies lets go of its units when their
leases run out.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from contracts.adapters.sqlite.database import Database, Watcher, now_ms
from contracts.jobs import Receipt, Ticket
from contracts.ports import Delivery, Ring
from contracts.units import Lane, Unit

NOTICE_TTL_MS = 60_000
POLL_S = 1.0


class SqliteBell:
    """Rings every watched log when the file has changed, and once a second."""

    def __init__(self, path: Path) -> None:
        self._watcher = Watcher(path)
        self._jobs: set[str] = set()

    async def watch(self, job: str) -> None:
        """See Bell.watch."""
        self._jobs.add(job)

    async def unwatch(self, job: str) -> None:
        """See Bell.unwatch."""
        self._jobs.discard(job)

    async def rings(self) -> AsyncIterator[Ring]:
        """See Bell.rings."""
        while True:
            await self._watcher.changed(POLL_S)
            for job in list(self._jobs):
                yield Ring(job)

    async def close(self) -> None:
        """See Bell.close."""
        self._watcher.close()


async def _notices(database: Database, kind: str) -> AsyncIterator[str]:
    """Bodies of notices of a kind from now on."""
    watcher = Watcher(database.path)
    last = await database.read(lambda db: int(db.execute("SELECT coalesce(max(id), 0) FROM notices").fetchone()[0]))
    query = "SELECT id, body FROM notices WHERE kind=? AND id>? ORDER BY id"
    try:
        while True:
            await watcher.changed(POLL_S)
            after = last
            for row in await database.read(lambda db, after=after: db.execute(query, (kind, after)).fetchall()):  # type: ignore[misc]
                last = row["id"]
                yield row["body"]
    finally:
        watcher.close()


async def _notify(database: Database, kind: str, body: str) -> None:
    def verb(db: sqlite3.Connection) -> None:
        now = now_ms()
        db.execute("DELETE FROM notices WHERE at<?", (now - NOTICE_TTL_MS,))
        db.execute("INSERT INTO notices (at, kind, body) VALUES (?,?,?)", (now, kind, body))

    await database.write(verb)


class SqlitePublisher:
    """The front's side: SUBMIT has said it all already."""

    reply_to = ""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def publish(self, lane: Lane, tickets: Sequence[Ticket]) -> None:
        """See TicketPublisher.publish: the units are in the file, and the workers watch it."""

    async def cancel(self, job: str) -> None:
        """See TicketPublisher.cancel."""
        await _notify(self._db, "cancel", job)

    async def receipts(self) -> AsyncIterator[Receipt]:
        """See TicketPublisher.receipts."""
        async for body in _notices(self._db, "receipt"):
            yield Receipt.model_validate_json(body)

    async def ready(self) -> bool:
        """See TicketPublisher.ready."""
        return True

    async def close(self) -> None:
        """See TicketPublisher.close."""
        await self._db.close()


class _Due:
    """News that something is due; there is no message behind it."""

    ticket = None
    redelivered = False

    async def ack(self) -> None:
        """See Delivery.ack."""

    async def put_back(self) -> None:
        """See Delivery.put_back."""


class SqliteSource:
    """A worker's side: watches one lane."""

    def __init__(self, database: Database, lane: Lane) -> None:
        self._db = database
        self._lane = lane
        self._watcher = Watcher(database.path)
        self._stopped = False
        self._turn = asyncio.Lock()  # one slot watches, the others wait for their turn to look

    async def next(self, timeout_s: float) -> Delivery | None:
        """See TicketSource.next."""
        try:
            async with asyncio.timeout(timeout_s), self._turn:
                while not self._stopped and not await self._due():
                    await self._watcher.changed(POLL_S)
        except TimeoutError:
            return None
        return None if self._stopped else _Due()

    async def _due(self) -> bool:
        query = "SELECT EXISTS (SELECT 1 FROM due WHERE lane=? AND (lease IS NULL OR lease<=?))"
        return await self._db.read(lambda db: bool(db.execute(query, (self._lane, now_ms())).fetchone()[0]))

    async def cancellations(self) -> AsyncIterator[str]:
        """See TicketSource.cancellations."""
        async for job in _notices(self._db, "cancel"):
            yield job

    async def reply(self, reply_to: str, receipt: Receipt) -> None:  # noqa: ARG002  one front reads them all
        """See TicketSource.reply."""
        await _notify(self._db, "receipt", receipt.model_dump_json())

    async def publish(self, lane: Lane, tickets: Sequence[Ticket]) -> None:
        """See TicketSource.publish: the units are in the file."""

    async def bury(self, lane: Lane, unit: Unit, reason: str) -> None:
        """See TicketSource.bury."""
        row = (str(unit), lane, now_ms(), reason)
        await self._db.write(lambda db: db.execute("INSERT OR REPLACE INTO dead VALUES (?,?,?,?)", row))

    async def renew(self) -> None:
        """See TicketSource.renew: there is no connection."""

    async def stop(self) -> None:
        """See TicketSource.stop."""
        self._stopped = True

    async def close(self) -> None:
        """See TicketSource.close."""
        self._watcher.close()
        await self._db.close()
