"""What a worker measures. Few labels: a worker's lane and pool come from the scrape target."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)

UNITS = Counter("castline_units_total", "Units ended by this worker, by outcome", ["outcome"])
RENDER_SECONDS = Histogram("castline_render_seconds", "Time the engine had a unit", buckets=_SECONDS)
CLAIM_SECONDS = Histogram("castline_claim_seconds", "Round trip of CLAIM", buckets=_SECONDS)
COMMIT_SECONDS = Histogram("castline_commit_seconds", "Round trip of COMMIT", buckets=_SECONDS)
AUDIO_SECONDS = Counter("castline_audio_seconds_total", "Audio committed")
REDELIVERED = Counter("castline_tickets_redelivered_total", "Tickets whose last worker is gone")
ENGINE_STARTS = Gauge("castline_engine_starts", "Times the engine process was started")
IN_FLIGHT = Gauge("castline_units_in_flight", "Units in work")
XRT = Gauge("castline_xrt", "Seconds of audio made per second with all slots busy")
RECONNECTS = Counter("castline_broker_reconnects_total", "Connections made anew by the watchdog")
