"""Ports: what the front and the workers may ask of the store and the broker. Adapters are in contracts.adapters.

LogWriter, LogReader and Scheduler are the log and the order of work (Redis, or SQLite); TicketPublisher and
TicketSource say that there is work (RabbitMQ, or a watched SQLite file); DeadLetters are what was given up; Blobs are
what came in.
Every verb may raise Unavailable. All times are milliseconds; all clocks are the store's.
"""

from contracts.ports.blobs import Blobs
from contracts.ports.dead import JOB_KINDS, DeadLetter, DeadLetters, JobKind, letter_id
from contracts.ports.log import (
    AppendVerdict,
    Assignment,
    Bell,
    Committed,
    CommitVerdict,
    Grown,
    LogReader,
    LogSource,
    LogState,
    LogStatus,
    LogWriter,
    NewLog,
    Opened,
    Output,
    Page,
    Part,
    Ring,
)
from contracts.ports.schedule import Backlog, Claim, Listening, Place, Scheduler, Work
from contracts.ports.tickets import Delivery, TicketPublisher, TicketSource

__all__ = [
    "JOB_KINDS",
    "AppendVerdict",
    "Assignment",
    "Backlog",
    "Bell",
    "Blobs",
    "Claim",
    "CommitVerdict",
    "Committed",
    "DeadLetter",
    "DeadLetters",
    "Delivery",
    "Grown",
    "JobKind",
    "Listening",
    "LogReader",
    "LogSource",
    "LogState",
    "LogStatus",
    "LogWriter",
    "NewLog",
    "Opened",
    "Output",
    "Page",
    "Part",
    "Place",
    "Ring",
    "Scheduler",
    "TicketPublisher",
    "TicketSource",
    "Work",
    "letter_id",
]
