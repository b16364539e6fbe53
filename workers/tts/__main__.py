"""`python -m workers.tts`: one speech worker, configured by the environment."""

from __future__ import annotations

import sys

from contracts.topology import speech_lane
from workers.main import Post, run_worker
from workers.renderer import EngineRenderer
from workers.settings import WorkerSettings
from workers.tts.settings import SpeechSettings

MODEL_OF_ENGINE = {"kokoro-onnx": "kokoro", "kokoro": "kokoro", "espeak": "espeak", "tone": "tone"}


def main() -> None:
    """Run until SIGTERM."""
    speech = SpeechSettings()
    model = MODEL_OF_ENGINE.get(speech.engine, speech.engine)
    post = Post(speech_lane(model), lambda _store, engine, _source: EngineRenderer(engine))
    sys.exit(run_worker([post], "workers.tts.render:build", speech.options(), WorkerSettings()))


if __name__ == "__main__":
    main()
