"""Blobs on SQLite: a row per part."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

from contracts.adapters.sqlite.database import Database, now_ms


class SqliteBlobs:
    """Sets in one file."""

    def __init__(self, database: Database) -> None:
        self._db = database

    async def put(self, name: str, parts: Mapping[int, bytes], ttl_ms: int) -> None:
        """See Blobs.put."""

        def verb(db: sqlite3.Connection) -> None:
            now = now_ms()
            db.execute("DELETE FROM blobs WHERE expires<=?", (now,))
            rows = ((name, part, body, now + ttl_ms) for part, body in parts.items())
            db.executemany("INSERT OR REPLACE INTO blobs VALUES (?,?,?,?)", rows)
            db.execute("UPDATE blobs SET expires=? WHERE name=?", (now + ttl_ms, name))

        await self._db.write(verb)

    async def get(self, name: str, parts: Sequence[int]) -> list[bytes | None]:
        """See Blobs.get."""

        def verb(db: sqlite3.Connection) -> list[bytes | None]:
            query = "SELECT body FROM blobs WHERE name=? AND part=? AND expires>?"
            now = now_ms()
            rows = [db.execute(query, (name, part, now)).fetchone() for part in parts]
            return [None if row is None else bytes(row["body"]) for row in rows]

        return await self._db.read(verb)

    async def drop(self, name: str, parts: Sequence[int] | None = None) -> None:
        """See Blobs.drop."""

        def verb(db: sqlite3.Connection) -> None:
            if parts is None:
                db.execute("DELETE FROM blobs WHERE name=?", (name,))
            else:
                db.executemany("DELETE FROM blobs WHERE name=? AND part=?", [(name, part) for part in parts])

        await self._db.write(verb)
