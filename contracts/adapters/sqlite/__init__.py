"""SQLite: the log, the order of work, tickets and the bell, for one machine with no server to install."""

from contracts.adapters.sqlite.blobs import SqliteBlobs
from contracts.adapters.sqlite.database import Database
from contracts.adapters.sqlite.dead import SqliteDead
from contracts.adapters.sqlite.log import SqliteLog
from contracts.adapters.sqlite.schedule import SqliteScheduler
from contracts.adapters.sqlite.tickets import SqliteBell, SqlitePublisher, SqliteSource

__all__ = [
    "Database",
    "SqliteBell",
    "SqliteBlobs",
    "SqliteDead",
    "SqliteLog",
    "SqlitePublisher",
    "SqliteScheduler",
    "SqliteSource",
]
