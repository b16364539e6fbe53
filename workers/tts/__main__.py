"""`python -m workers.tts`: one speech worker, configured by the environment."""

from __future__ import annotations

import sys

from contracts.topology import speech_lane
from workers.main import Post, run_worker, with_engine
from workers.renderer import EngineRenderer
from workers.settings import WorkerSettings
from workers.tts.settings import SpeechSettings

MODEL_OF_ENGINE = {"kokoro-onnx": "kokoro"}
"""Where it is not called as its engine."""


def main() -> None:
    """Run until SIGTERM."""
    speech = SpeechSettings()
    lane = speech_lane(MODEL_OF_ENGINE.get(speech.engine, speech.engine))
    posts = with_engine(
        "workers.tts.render:build", speech.options(),
        lambda engine, info: [Post(lane, info, lambda _: EngineRenderer(engine))],
    )  # fmt: skip
    sys.exit(run_worker(posts, WorkerSettings()))


if __name__ == "__main__":
    main()
