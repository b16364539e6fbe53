"""What the verbs of the SQLite scheduler have in common: the counterpart of lane.lua, for one lane and one instant."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from contracts.schedule import Rule
from contracts.units import Lane

WANTED = "c.anchor + c.late + c.shift + d.before"
STARTED = (
    f"SELECT c.*, d.n, d.before, d.length, {WANTED} AS wanted FROM casts c JOIN due d ON d.lane=c.lane "  # noqa: S608  (a text of ours)
    "AND d.job_epoch=c.job_epoch AND d.n=(SELECT min(n) FROM due p WHERE p.lane=c.lane AND p.job_epoch=c.job_epoch "
    "AND p.lease IS NULL) WHERE c.lane=? AND c.started=1 "
)
"""Started casts with pending units, each with the first of them."""
RUNNING = "(SELECT count(*) FROM casts r WHERE r.lane=c.lane AND r.client=c.client AND r.started=1)"
WAITING = (
    f"SELECT c.*, {RUNNING} AS running, max(c.created, coalesce(k.served, 0)) AS since FROM casts c "  # noqa: S608
    "LEFT JOIN clients k ON k.lane=c.lane AND k.client=c.client WHERE c.lane=? AND c.started=0 "
    "ORDER BY c.tier, running, since, c.created, c.job_epoch"
)
"""Waiting casts; the first one is next."""
SLOWEST_FLEET = 1.25


@dataclass(frozen=True)
class LaneView:
    """One lane inside one transaction."""

    db: sqlite3.Connection
    lane: Lane
    rule: Rule
    now: int

    def one(self, query: str, *args: object) -> sqlite3.Row | None:
        """The first row of a query."""
        row: sqlite3.Row | None = self.db.execute(query, args).fetchone()
        return row

    def cast(self, cast: str) -> sqlite3.Row | None:
        """A cast's row."""
        return self.one("SELECT * FROM casts WHERE lane=? AND job_epoch=?", self.lane, cast)

    def refresh(self, cast: str) -> None:
        """Who listens has changed, or the time has come to look: anchor and tier of a cast follow."""
        self.db.execute("DELETE FROM ears WHERE lane=? AND job_epoch=? AND until<=?", (self.lane, cast, self.now))
        query = "SELECT min(anchor) AS soonest, min(until) AS look FROM ears WHERE lane=? AND job_epoch=?"
        ears = self.one(query, self.lane, cast)
        row = self.cast(cast)
        assert ears is not None  # noqa: S101  (aggregates answer with a row)
        assert row is not None  # noqa: S101  (asked for casts that are there)
        aged = row["created"] + self.rule.quiet_ms
        heard = ears["soonest"] is not None
        look = ears["look"] if heard else aged if self.now < aged else None
        self.db.execute(
            "UPDATE casts SET tier=?, anchor=?, look=? WHERE lane=? AND job_epoch=?",
            (
                int(not heard and self.now < aged), max(ears["soonest"] if heard else aged, row["floor"]), look,
                self.lane, cast,
            ),
        )  # fmt: skip

    def return_lapsed(self) -> None:
        """Units whose lease has run out are pending again, in their old place."""
        query = "UPDATE due SET lease=NULL, owner='', ticket='' WHERE lane=? AND lease<=?"
        self.db.execute(query, (self.lane, self.now))
        query = "SELECT job_epoch FROM casts WHERE lane=? AND look<=? LIMIT 16"
        for row in self.db.execute(query, (self.lane, self.now)).fetchall():
            self.refresh(row["job_epoch"])

    def choose_cast(self) -> str | None:
        """The rule of contracts.schedule; starts the cast if it has waited."""
        top = self.one(STARTED + "ORDER BY wanted LIMIT 1", self.lane)
        if top is not None and top["wanted"] < self.now + self.rule.protect_ms:
            return str(top["job_epoch"])
        waiting = self.one(WAITING + " LIMIT 1", self.lane)
        if waiting is not None and (
            top is None or (waiting["tier"] == 0 and self._carries_another(soonest=top["wanted"]))
        ):
            self._start(waiting)
            return str(waiting["job_epoch"])
        return None if top is None else str(top["job_epoch"])

    def _start(self, row: sqlite3.Row) -> None:
        query = "UPDATE casts SET started=1, floor=? WHERE lane=? AND job_epoch=?"
        self.db.execute(query, (self.now, self.lane, row["job_epoch"]))
        self.db.execute("INSERT OR REPLACE INTO clients VALUES (?,?,?)", (self.lane, row["client"], self.now))
        self.refresh(row["job_epoch"])

    def _carries_another(self, *, soonest: int) -> bool:
        speed = self.rule.share * max(self.fleet_xrt(), SLOWEST_FLEET)
        heard = [r for r in self.db.execute(STARTED, (self.lane,)) if r["wanted"] <= self.now + self.rule.quiet_ms / 2]
        if not heard or len(heard) + 1 <= speed:
            return True
        if soonest < self.now + self.rule.hand_ms:
            return False
        for horizon in self.rule.horizons_ms:
            rest = ((r["finish"] - r["before"], horizon - (r["wanted"] - self.now)) for r in heard)
            if horizon + sum(max(0, min(r)) for r in rest) > speed * horizon:
                return False
        return True

    def choose_unit(self, cast: str, xrt: float) -> int:
        """The first unit; for a slow worker the first it finishes in time, or sooner than a faster one would."""
        query = (
            f"SELECT d.n, d.length, {WANTED} AS wanted FROM due d JOIN casts c ON c.lane=d.lane "  # noqa: S608
            "AND c.job_epoch=d.job_epoch WHERE d.lane=? AND d.job_epoch=? AND d.lease IS NULL ORDER BY d.n LIMIT 16"
        )
        units = self.db.execute(query, (self.lane, cast)).fetchall()
        faster = [(w, w / s) for w, s in self._speeds() if xrt > 0 and w / s >= 2 * xrt]
        if not faster:
            return int(units[0]["n"])
        total, best = sum(w for w, _ in faster), max(one for _, one in faster)
        sooner = 0.0
        for row in units:
            sooner += row["length"] / total
            if row["length"] / xrt <= max(row["wanted"] - self.now, sooner + row["length"] / best):
                return int(row["n"])
        return int(units[-1]["n"])

    def _speeds(self) -> Iterator[tuple[float, int]]:
        query = "SELECT xrt, slots FROM workers WHERE lane=? AND expires>?"
        yield from ((r["xrt"], r["slots"]) for r in self.db.execute(query, (self.lane, self.now)).fetchall())

    def fleet_xrt(self) -> float:
        """Seconds of audio the registered workers make per second."""
        return sum(xrt for xrt, _ in self._speeds())

    def forget_if_done(self, cast: str) -> None:
        """A cast without units is no cast any more."""
        if self.one("SELECT 1 FROM due WHERE lane=? AND job_epoch=? LIMIT 1", self.lane, cast) is None:
            for table in ("casts", "ears"):
                self.db.execute(f"DELETE FROM {table} WHERE lane=? AND job_epoch=?", (self.lane, cast))  # noqa: S608
            query = (
                "DELETE FROM clients WHERE lane=? AND NOT EXISTS "
                "(SELECT 1 FROM casts c WHERE c.lane=clients.lane AND c.client=clients.client)"
            )
            self.db.execute(query, (self.lane,))
