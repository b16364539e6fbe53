"""Dead letters on SQLite. A file holds units alone: without a broker nobody can send a message that is none."""

from __future__ import annotations

from collections.abc import Sequence

from contracts.adapters.sqlite.database import Database
from contracts.jobs import Ticket
from contracts.ports import DeadLetter, JobKind, letter_id
from contracts.units import Lane, Unit

_OF_KIND = "(lane = :kind OR lane LIKE :kind || '.%')"


class SqliteDead:
    """The dead letters of one file."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def list(self, kind: JobKind, limit: int) -> Sequence[DeadLetter]:
        """See DeadLetters.list."""
        query = f"SELECT * FROM dead WHERE {_OF_KIND} ORDER BY at, rowid LIMIT :limit"  # noqa: S608  no text of others
        rows = await self._db.read(lambda db: db.execute(query, {"kind": kind, "limit": limit}).fetchall())
        return [_letter(kind, Unit.parse(r["unit"]), Lane(r["lane"]), r["reason"], r["at"]) for r in rows]

    async def drop(self, kind: JobKind, *ids: str) -> int:
        """See DeadLetters.drop."""
        gone = [(str(letter.unit),) for letter in await self.list(kind, -1) if letter.id in {*ids}]
        return await self._db.write(
            lambda db: db.executemany("DELETE FROM dead WHERE unit = ?", gone).rowcount if gone else 0
        )

    async def close(self) -> None:
        """See DeadLetters.close."""
        await self._db.close()


def _letter(kind: JobKind, unit: Unit, lane: Lane, reason: str, at_ms: int) -> DeadLetter:
    body = Ticket(job=unit.job, epoch=unit.epoch, index=unit.index).model_dump_json().encode()
    return DeadLetter(letter_id(unit, body), kind, lane, unit, reason, at_ms, body)
