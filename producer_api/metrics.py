"""What the front measures."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from contracts.ports import Backlog
from contracts.units import Lane

POSTED = Counter("castline_casts_posted_total", "POST /v1/casts answered, by outcome", ["outcome"])
COMPLETIONS = Counter("castline_completions_posted_total", "Completions asked for, by outcome", ["outcome"])
FINISHED = Counter("castline_casts_finished_total", "Receipts of finished casts")
FINISHED_AUDIO_SECONDS = Counter("castline_casts_finished_audio_seconds_total", "Audio of finished casts")
OPEN_SECONDS = Histogram("castline_open_seconds", "POST /v1/casts, from text to ticket",
                         buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5))  # fmt: skip
FOLLOWERS = Gauge("castline_followers", "Readers at live edges")
SPEAKERS = Gauge("castline_speakers", "Open live transcripts")
TALKS = Gauge("castline_realtime_sessions", "Open voice chats")
FEEDS = Gauge("castline_feeds", "Logs that are followed")
DUE_UNITS = Gauge("castline_due_units", "Units not handed out, as last asked", ["lane"])
WAITING_CASTS = Gauge("castline_waiting_casts", "Casts not started, as last asked", ["lane"])
BACKLOG_SECONDS = Gauge("castline_backlog_audio_seconds", "Estimated audio of due units, as last asked", ["lane"])
REPAIRED_UNITS = Counter("castline_repaired_units_total", "Units a janitor submitted again")


def observe_backlog(lane: Lane, backlog: Backlog) -> None:
    """Keep what the store has said of a lane."""
    DUE_UNITS.labels(lane).set(backlog.due)
    WAITING_CASTS.labels(lane).set(backlog.waiting)
    BACKLOG_SECONDS.labels(lane).set((backlog.heard_ms + backlog.quiet_ms) / 1000)
