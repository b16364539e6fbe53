"""`python -m workers.stt`: one hearing worker, configured by the environment."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import replace

from contracts.topology import DEFAULT_HEARING_MODEL, cut_lane, live_lane, transcript_lane
from workers.engine import EngineInfo
from workers.engine_process import EngineProcess
from workers.main import Post, run_worker, with_engine
from workers.settings import WorkerSettings
from workers.stt.renderers import CutRenderer, PieceRenderer
from workers.stt.settings import HearingSettings

MODEL_OF_ENGINE = {"faster-whisper": DEFAULT_HEARING_MODEL}


def main() -> None:
    """Run until SIGTERM. A worker hears pieces; beside it, what somebody says now; and cuts one recording."""
    hearing = HearingSettings()
    lane = transcript_lane(MODEL_OF_ENGINE.get(hearing.engine, hearing.engine))

    def posts(engine: EngineProcess, info: EngineInfo) -> Sequence[Post]:
        return (
            Post(lane, info, lambda bench: PieceRenderer(bench.store, engine)),
            Post(live_lane(lane), info, lambda bench: PieceRenderer(bench.store, engine)),
            Post(cut_lane(lane), replace(info, slots=1), lambda bench: CutRenderer(bench, engine, lane)),
        )

    sys.exit(run_worker(with_engine("workers.stt.render:build", hearing.options(), posts), WorkerSettings()))


if __name__ == "__main__":
    main()
