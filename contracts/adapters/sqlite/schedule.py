"""The order of work on SQLite: Scheduler. Each verb tells the same story as the Lua script of its name."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from contracts.adapters.sqlite.database import Database, now_ms
from contracts.adapters.sqlite.lane import SLOWEST_FLEET, STARTED, WAITING, LaneView
from contracts.jobs import WorkerInfo
from contracts.ports import Backlog, Claim, Listening, Place, Work
from contracts.schedule import RULE, Rule
from contracts.topology import MAX_ATTEMPTS
from contracts.units import Lane, Unit

UNIT = "lane=? AND job_epoch=? AND n=?"
MINE = f"{UNIT} AND owner=? AND lease IS NOT NULL"


class SqliteScheduler:
    """Lanes in one file."""

    def __init__(self, database: Database, *, max_attempts: int = MAX_ATTEMPTS, rule: Rule = RULE) -> None:
        self._db = database
        self._max_attempts = max_attempts
        self._rule = rule

    def _view(self, db: sqlite3.Connection, lane: Lane) -> LaneView:
        return LaneView(db, lane, self._rule, now_ms())

    async def submit(self, lane: Lane, work: Work) -> int:
        """See Scheduler.submit."""
        cast = f"{work.job}:{work.epoch}"

        def verb(db: sqlite3.Connection) -> int:
            view = self._view(db, lane)
            new, before = 0, work.before_ms
            for n, length in enumerate(work.lengths_ms, work.first):
                query = "INSERT OR IGNORE INTO due (lane, job_epoch, n, before, length) VALUES (?,?,?,?,?)"
                new += db.execute(query, (lane, cast, n, before, length)).rowcount
                before += length
            if new == 0:
                return 0
            if view.cast(cast) is None:
                row = (lane, cast, work.client, view.now, int(work.first > 0), work.shift_ms)
                db.execute(
                    "INSERT INTO casts (lane, job_epoch, client, created, started, shift) VALUES (?,?,?,?,?,?)", row
                )
                if work.job_class == "live":
                    soonest = view.now - work.before_ms - work.shift_ms
                    ear = (lane, cast, "-", soonest, view.now + self._rule.grace_ms)
                    db.execute("INSERT INTO ears VALUES (?,?,?,?,?)", ear)
            query = "UPDATE casts SET finish=max(finish, ?) WHERE lane=? AND job_epoch=?"
            db.execute(query, (before, lane, cast))
            view.refresh(cast)
            return new

        return await self._db.write(verb)

    async def claim(
        self, lane: Lane, owner: str, lease_ms: int, *, ticket: str = "", redelivered: bool = False, xrt: float = 0.0
    ) -> Claim | None:
        """See Scheduler.claim."""

        def verb(db: sqlite3.Connection) -> Claim | None:
            view = self._view(db, lane)
            found = _unit_of_ticket(view, ticket) if redelivered and ticket else None
            if found is None:
                view.return_lapsed()
                cast = view.choose_cast()
                if cast is None:
                    return None
                found = (cast, view.choose_unit(cast, xrt))
            query = f"UPDATE due SET lease=?, owner=?, ticket=?, attempts=attempts+1 WHERE {UNIT}"  # noqa: S608
            db.execute(query, (view.now + lease_ms, owner, ticket, lane, *found))
            query = (
                "SELECT c.anchor + c.late + c.shift + d.before AS wanted, d.attempts FROM due d JOIN casts c "
                "ON c.lane=d.lane AND c.job_epoch=d.job_epoch WHERE d.lane=? AND d.job_epoch=? AND d.n=?"
            )
            row = view.one(query, lane, *found)
            assert row is not None  # noqa: S101  (it was updated a line ago)
            unit = Unit.parse(f"{found[0]}:{found[1]}")
            return Claim(unit, row["wanted"], row["attempts"], row["attempts"] > self._max_attempts)

        return await self._db.write(verb)

    async def extend(self, lane: Lane, unit: Unit, owner: str, lease_ms: int) -> bool:
        """See Scheduler.extend."""
        query = f"UPDATE due SET lease=? WHERE {MINE}"  # noqa: S608
        return await self._changed(query, now_ms() + lease_ms, lane, *_row(unit), owner)

    async def give_back(self, lane: Lane, unit: Unit, owner: str, *, attempted: bool) -> bool:
        """See Scheduler.give_back."""
        query = f"UPDATE due SET lease=NULL, owner='', ticket='', attempts=attempts-? WHERE {MINE}"  # noqa: S608
        return await self._changed(query, int(not attempted), lane, *_row(unit), owner)

    async def _changed(self, query: str, *args: str | int) -> bool:
        return await self._db.write(lambda db: db.execute(query, args).rowcount == 1)

    async def release(self, lane: Lane, units: Sequence[tuple[Unit, int | None]]) -> None:
        """See Scheduler.release."""

        def verb(db: sqlite3.Connection) -> None:
            view = self._view(db, lane)
            for unit, duration in units:
                cast, n = _row(unit)
                planned = view.one(f"SELECT * FROM due WHERE {UNIT}", lane, cast, n)  # noqa: S608
                if planned is None:
                    continue
                if duration is not None:
                    _correct(view, cast, planned, duration)
                db.execute(f"DELETE FROM due WHERE {UNIT}", (lane, cast, n))  # noqa: S608
                view.forget_if_done(cast)

        await self._db.write(verb)

    async def hear(self, lane: Lane, cast: str, listening: Listening) -> bool:
        """See Scheduler.hear."""

        def verb(db: sqlite3.Connection) -> bool:
            view = self._view(db, lane)
            row = view.cast(cast)
            if row is None:
                return False
            key = (lane, cast, listening.ear)
            known = view.one("SELECT 1 FROM ears WHERE lane=? AND job_epoch=? AND ear=? AND until>?", *key, view.now)
            db.execute("DELETE FROM ears WHERE lane=? AND job_epoch=? AND ear='-'", (lane, cast))
            until = view.now + listening.ttl_ms
            if listening.position_ms is None:
                db.execute("DELETE FROM ears WHERE lane=? AND job_epoch=? AND ear=?", key)
            elif listening.renew and known is not None:
                db.execute("UPDATE ears SET until=? WHERE lane=? AND job_epoch=? AND ear=?", (until, *key))
            else:
                anchor = view.now - listening.position_ms - row["late"]
                query = "SELECT before FROM due WHERE lane=? AND job_epoch=? AND lease IS NULL ORDER BY n LIMIT 1"
                if listening.renew and (head := view.one(query, lane, cast)) is not None:
                    anchor = max(anchor, view.now - row["late"] - row["shift"] - head["before"])
                db.execute("INSERT OR REPLACE INTO ears VALUES (?,?,?,?,?)", (*key, anchor, until))
            view.refresh(cast)
            return True

        return await self._db.write(verb)

    async def place(self, lane: Lane, cast: str) -> Place | None:
        """See Scheduler.place."""
        return await self._db.read(lambda db: _place(self._view(db, lane), cast))

    async def backlog(self, lane: Lane) -> Backlog:
        """See Scheduler.backlog."""

        def verb(db: sqlite3.Connection) -> Backlog:
            view = self._view(db, lane)
            units = view.one(
                "SELECT count(*) - count(lease) AS due, count(lease) AS running, "
                "coalesce(sum(length) FILTER (WHERE lease IS NULL AND tier=0), 0) AS heard, "
                "coalesce(sum(length) FILTER (WHERE lease IS NULL AND tier=1), 0) AS quiet "
                "FROM due LEFT JOIN casts USING (lane, job_epoch) WHERE lane=?", lane,
            )  # fmt: skip
            waiting = view.one("SELECT count(*) AS waiting FROM casts WHERE lane=? AND started=0", lane)
            workers = view.one("SELECT count(*) AS workers FROM workers WHERE lane=? AND expires>?", lane, view.now)
            assert units is not None and waiting is not None and workers is not None  # noqa: S101, PT018  (aggregates)
            counts = (
                units["due"],
                units["running"],
                waiting["waiting"],
                units["heard"],
                units["quiet"],
                workers["workers"],
            )
            return Backlog(*counts, view.fleet_xrt())

        return await self._db.read(verb)

    async def expect(self, lane: Lane, job: str, check_in_ms: int) -> None:
        """See Scheduler.expect."""
        row = (lane, job, now_ms() + check_in_ms)
        await self._db.write(lambda db: db.execute("INSERT OR IGNORE INTO expected VALUES (?,?,?)", row))

    async def overdue(self, lane: Lane, again_in_ms: int, limit: int) -> list[str]:
        """See Scheduler.overdue."""

        def verb(db: sqlite3.Connection) -> list[str]:
            now = now_ms()
            query = "SELECT job FROM expected WHERE lane=? AND at<=? ORDER BY at LIMIT ?"
            jobs = [row["job"] for row in db.execute(query, (lane, now, limit)).fetchall()]
            query = "UPDATE expected SET at=? WHERE lane=? AND job=?"
            db.executemany(query, ((now + again_in_ms, lane, job) for job in jobs))
            return jobs

        return await self._db.write(verb)

    async def settled(self, lane: Lane, jobs: Sequence[str]) -> None:
        """See Scheduler.settled."""
        rows = [(lane, job) for job in jobs]
        await self._db.write(lambda db: db.executemany("DELETE FROM expected WHERE lane=? AND job=?", rows))

    async def register(self, info: WorkerInfo, ttl_ms: int) -> None:
        """See Scheduler.register."""
        now = now_ms()
        value = info.model_copy(update={"seen_ms": now}).model_dump_json()
        row = (info.id, info.lane, now + ttl_ms, info.xrt, info.slots, value)
        await self._db.write(lambda db: db.execute("INSERT OR REPLACE INTO workers VALUES (?,?,?,?,?,?)", row))

    async def unregister(self, lane: Lane, worker: str) -> None:
        """See Scheduler.unregister."""
        await self._db.write(lambda db: db.execute("DELETE FROM workers WHERE id=? AND lane=?", (worker, lane)))

    async def workers(self, lane: Lane) -> list[WorkerInfo]:
        """See Scheduler.workers."""
        query = "SELECT info FROM workers WHERE lane=? AND expires>=?"
        rows = await self._db.read(lambda db: db.execute(query, (lane, now_ms())).fetchall())
        return [WorkerInfo.model_validate_json(row["info"]) for row in rows]


def _row(unit: Unit) -> tuple[str, int]:
    return f"{unit.job}:{unit.epoch}", unit.index


def _unit_of_ticket(view: LaneView, ticket: str) -> tuple[str, int] | None:
    query = "SELECT job_epoch, n FROM due WHERE lane=? AND ticket=? AND lease IS NOT NULL"
    row = view.one(query, view.lane, ticket)
    return None if row is None else (row["job_epoch"], row["n"])


def _correct(view: LaneView, cast: str, planned: sqlite3.Row, duration: int) -> None:
    """A real duration corrects what is estimated of the units after it."""
    row = view.cast(cast)
    if row is None:
        return
    floor, anchor, late = row["floor"], row["anchor"], row["late"]
    wanted = anchor + late + row["shift"] + planned["before"]
    if planned["n"] == 0:
        query = "UPDATE ears SET anchor=max(anchor, ?) WHERE lane=? AND job_epoch=?"
        view.db.execute(query, (view.now, view.lane, cast))  # playback can start
        floor, anchor = 0, max(anchor, view.now)
    elif view.rule.restart and view.now > wanted:
        late += view.now - wanted  # playback stood still until now
    shift = row["shift"] + duration - planned["length"]
    query = "UPDATE casts SET floor=?, anchor=?, late=?, shift=? WHERE lane=? AND job_epoch=?"
    view.db.execute(query, (floor, anchor, late, shift, view.lane, cast))


def _place(view: LaneView, cast: str) -> Place | None:
    me = view.cast(cast)
    if me is None:
        return None
    if me["started"]:
        return Place(True, 0, 0, not me["tier"])
    waiting = view.db.execute(WAITING, (view.lane,)).fetchall()
    ahead = _casts_ahead(waiting, cast)
    started = [r for r in view.db.execute(STARTED, (view.lane,)) if r["wanted"] <= view.now + view.rule.quiet_ms / 2]
    speed = view.rule.share * max(view.fleet_xrt(), SLOWEST_FLEET)
    audio = 0.0
    if ahead + len(started) + 1 > speed and (started or ahead):
        # Started casts end one by one, evenly spread; what waits before this one comes after them.
        count = len(started)
        rest = sum(r["finish"] - r["before"] for r in started)
        mean = sum(r["finish"] for r in waiting) / len(waiting)
        audio = rest * min(1, (ahead + 1) / max(1, count)) + mean * max(0, ahead + 1 - count)
    return Place(False, ahead, round(audio), not me["tier"])


def _casts_ahead(waiting: Sequence[sqlite3.Row], cast: str) -> int:
    """Turns that come before this cast's, if each start counts as one more running cast of its client."""
    turns: list[tuple[int, int, int, int, str]] = []
    taken: dict[str, int] = {}
    for row in waiting:  # in the order of each client's own queue
        before = taken.get(row["client"], 0)
        taken[row["client"]] = before + 1
        turns.append((row["tier"], row["running"] + before, row["since"], row["created"], row["job_epoch"]))
    mine = next(turn for turn in turns if turn[-1] == cast)
    return sum(turn < mine for turn in turns)
