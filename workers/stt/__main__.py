"""`python -m workers.stt`: one hearing worker, configured by the environment."""

from __future__ import annotations

import sys

from contracts.units import Lane
from workers.main import run_worker
from workers.settings import WorkerSettings
from workers.stt.settings import HearingSettings

LANE = Lane("stt")


def main() -> None:
    """Run until SIGTERM."""
    sys.exit(run_worker(LANE, "workers.stt.render:build", HearingSettings().options(), WorkerSettings()))


if __name__ == "__main__":
    main()
