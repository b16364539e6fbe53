"""What the front measures."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

POSTED = Counter("castline_casts_posted_total", "POST /v1/casts answered, by outcome", ["outcome"])
FINISHED = Counter("castline_casts_finished_total", "Receipts of finished casts")
FINISHED_AUDIO_SECONDS = Counter("castline_casts_finished_audio_seconds_total", "Audio of finished casts")
OPEN_SECONDS = Histogram("castline_open_seconds", "POST /v1/casts, from text to ticket",
                         buckets=(0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5))  # fmt: skip
FOLLOWERS = Gauge("castline_followers", "Readers at live edges")
FEEDS = Gauge("castline_feeds", "Logs that are followed")
