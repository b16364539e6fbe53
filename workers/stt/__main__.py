"""`python -m workers.stt`: one hearing worker, configured by the environment."""

from __future__ import annotations

import sys

from contracts.topology import DEFAULT_HEARING_MODEL, cut_lane, live_lane, transcript_lane
from workers.main import Post, run_worker
from workers.settings import WorkerSettings
from workers.stt.renderers import CutRenderer, PieceRenderer
from workers.stt.settings import HearingSettings

MODEL_OF_ENGINE = {"faster-whisper": DEFAULT_HEARING_MODEL}


def main() -> None:
    """Run until SIGTERM. A worker hears pieces; beside it, what somebody says now; and cuts one recording."""
    hearing = HearingSettings()
    lane = transcript_lane(MODEL_OF_ENGINE.get(hearing.engine, hearing.engine))
    posts = [
        Post(lane, lambda store, engine, _source: PieceRenderer(store, engine)),
        Post(live_lane(lane), lambda store, engine, _source: PieceRenderer(store, engine)),
        Post(cut_lane(lane), lambda store, engine, source: CutRenderer(store, engine, source, lane), slots=1),
    ]
    sys.exit(run_worker(posts, "workers.stt.render:build", hearing.options(), WorkerSettings()))


if __name__ == "__main__":
    main()
