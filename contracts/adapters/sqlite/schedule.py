"""The order of work on SQLite: Scheduler. Each verb tells the same story as the Lua script of its name."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from contracts.adapters.sqlite.database import Database, now_ms
from contracts.jobs import WorkerInfo
from contracts.ports import Backlog, Claim
from contracts.topology import MAX_ATTEMPTS
from contracts.units import Lane, Unit


class SqliteScheduler:
    """Lanes in one file."""

    def __init__(self, database: Database, *, max_attempts: int = MAX_ATTEMPTS) -> None:
        self._db = database
        self._max_attempts = max_attempts

    async def submit(self, lane: Lane, units: Sequence[tuple[Unit, int]]) -> int:
        """See Scheduler.submit."""

        def verb(db: sqlite3.Connection) -> int:
            before = db.total_changes
            db.executemany(
                "INSERT OR IGNORE INTO due (unit, lane, deadline) VALUES (?,?,?)",
                ((str(unit), lane, deadline) for unit, deadline in units),
            )
            return db.total_changes - before

        return await self._db.write(verb)

    async def claim(
        self, lane: Lane, owner: str, lease_ms: int, *, ticket: str = "", redelivered: bool = False
    ) -> Claim | None:
        """See Scheduler.claim."""

        def verb(db: sqlite3.Connection) -> Claim | None:
            now = now_ms()
            row = None
            if redelivered and ticket:
                query = "SELECT * FROM due WHERE lane=? AND ticket=? AND lease IS NOT NULL"
                row = db.execute(query, (lane, ticket)).fetchone()
            if row is None:
                db.execute("UPDATE due SET lease=NULL, ticket='' WHERE lane=? AND lease<=?", (lane, now))
                query = "SELECT * FROM due WHERE lane=? AND lease IS NULL ORDER BY deadline, unit LIMIT 1"
                row = db.execute(query, (lane,)).fetchone()
            if row is None:
                return None
            attempt = row["attempts"] + 1
            db.execute(
                "UPDATE due SET lease=?, owner=?, ticket=?, attempts=? WHERE unit=?",
                (now + lease_ms, owner, ticket, attempt, row["unit"]),
            )
            return Claim(Unit.parse(row["unit"]), row["deadline"], attempt, attempt > self._max_attempts)

        return await self._db.write(verb)

    async def extend(self, lane: Lane, unit: Unit, owner: str, lease_ms: int) -> bool:
        """See Scheduler.extend."""
        query = "UPDATE due SET lease=? WHERE unit=? AND lane=? AND owner=? AND lease IS NOT NULL"
        return await self._changed(query, now_ms() + lease_ms, str(unit), lane, owner)

    async def give_back(self, lane: Lane, unit: Unit, owner: str, *, attempted: bool) -> bool:
        """See Scheduler.give_back."""
        query = (
            "UPDATE due SET lease=NULL, owner='', ticket='', attempts=attempts-? "
            "WHERE unit=? AND lane=? AND owner=? AND lease IS NOT NULL"
        )
        return await self._changed(query, int(not attempted), str(unit), lane, owner)

    async def _changed(self, query: str, *args: str | int) -> bool:
        return await self._db.write(lambda db: db.execute(query, args).rowcount == 1)

    async def release(self, lane: Lane, units: Sequence[Unit]) -> None:
        """See Scheduler.release."""
        rows = [(str(u), lane) for u in units]
        await self._db.write(lambda db: db.executemany("DELETE FROM due WHERE unit=? AND lane=?", rows))

    async def ahead(self, lane: Lane, unit: Unit) -> int | None:
        """See Scheduler.ahead."""

        def verb(db: sqlite3.Connection) -> int | None:
            query = "SELECT deadline FROM due WHERE unit=? AND lane=? AND lease IS NULL"
            row = db.execute(query, (str(unit), lane)).fetchone()
            if row is None:
                return None
            query = "SELECT count(*) FROM due WHERE lane=? AND lease IS NULL AND (deadline, unit) < (?, ?)"
            return int(db.execute(query, (lane, row["deadline"], str(unit))).fetchone()[0])

        return await self._db.read(verb)

    async def backlog(self, lane: Lane) -> Backlog:
        """See Scheduler.backlog."""
        query = "SELECT count(*) - count(lease), count(lease) FROM due WHERE lane=?"
        return Backlog(*await self._db.read(lambda db: tuple(db.execute(query, (lane,)).fetchone())))

    async def register(self, info: WorkerInfo, ttl_ms: int) -> None:
        """See Scheduler.register."""
        now = now_ms()
        value = info.model_copy(update={"seen_ms": now}).model_dump_json()
        row = (info.id, info.lane, now + ttl_ms, value)
        await self._db.write(lambda db: db.execute("INSERT OR REPLACE INTO workers VALUES (?,?,?,?)", row))

    async def unregister(self, lane: Lane, worker: str) -> None:
        """See Scheduler.unregister."""
        await self._db.write(lambda db: db.execute("DELETE FROM workers WHERE id=? AND lane=?", (worker, lane)))

    async def workers(self, lane: Lane) -> list[WorkerInfo]:
        """See Scheduler.workers."""
        query = "SELECT info FROM workers WHERE lane=? AND expires>=?"
        rows = await self._db.read(lambda db: db.execute(query, (lane, now_ms())).fetchall())
        return [WorkerInfo.model_validate_json(row["info"]) for row in rows]
