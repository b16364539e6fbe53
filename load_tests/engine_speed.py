"""How fast a speech engine is on this machine: `python -m load_tests.engine_speed --engine kokoro-onnx --models DIR`.

Prints seconds of compute for a unit of 4 and one of 15 words, and seconds of audio per second with one and two callers.
For kokoro-onnx also side by side what its own options do: silence synthesised or left out, and a second session that
uses every core. Variants take turns within every round, so that a busy machine is busy for all of them.
"""

from __future__ import annotations

import argparse
import statistics
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from contracts.voices import MODELS
from workers.tts.engines import make_engine
from workers.tts.speech import SAMPLE_RATE, Samples, SpeechEngine
from workers.tts.trim import pause_after, trim

UNITS = {
    "4 words": "I love this town.",
    "15 words": "Every morning the old man walked his dog along the path down to the river.",
}
NEVER = threading.Event()


def speak(engine: SpeechEngine, text: str, *, quick: bool) -> Samples:
    """One unit, trimmed, as a worker would commit it."""
    voice = MODELS[engine.model].default_voice
    raw = engine.speak(text, voice=voice, language="en-US", speed=1.0, quick=quick, stop=NEVER)
    return trim(raw, pause_after(text)).samples


def timed(work: Callable[[], Samples]) -> tuple[float, float, float]:
    """(wall seconds, CPU seconds of the process, seconds of audio)."""
    wall, cpu = time.perf_counter(), time.process_time()
    samples = work()
    return time.perf_counter() - wall, time.process_time() - cpu, samples.size / SAMPLE_RATE


def unit_times(variants: Mapping[str, tuple[SpeechEngine, bool]], rounds: int) -> None:
    """Wall and CPU time of single units, variant by variant in turns."""
    for label, text in UNITS.items():
        figures: dict[str, list[tuple[float, float, float]]] = {name: [] for name in variants}
        for _ in range(rounds):
            for name, (engine, quick) in variants.items():
                figures[name].append(timed(lambda e=engine, t=text, q=quick: speak(e, t, quick=q)))  # type: ignore[misc]
        for name, rows in figures.items():
            wall, cpu, audio = zip(*rows, strict=True)
            print(
                f"{label:9} {name:32} audio {audio[0]:5.2f} s   wall min {min(wall):6.3f} median"
                f" {statistics.median(wall):6.3f} s   cpu min {min(cpu):6.3f} s"
            )


def throughput(name: str, engine: SpeechEngine, rounds: int) -> None:
    """Seconds of audio per second of wall time, by the number of callers."""
    text = UNITS["15 words"]
    for callers in (1, 2):
        jobs = callers * rounds
        with ThreadPoolExecutor(callers) as pool:
            started = time.perf_counter()
            sizes = [samples.size for samples in pool.map(lambda _: speak(engine, text, quick=False), range(jobs))]
            seconds = time.perf_counter() - started
        print(f"{name:42} callers {callers}   xrt {sum(sizes) / SAMPLE_RATE / seconds:8.2f}")


def rss_mb() -> int:
    """Resident memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 // 1_000_000


def loaded(name: str, engine: SpeechEngine) -> SpeechEngine:
    """Load it, warm it up, and say what that took."""
    before, started = rss_mb(), time.perf_counter()
    engine.load()
    took = time.perf_counter() - started
    for text in UNITS.values():
        speak(engine, text, quick=False)
    print(f"{name:42} load {took:5.2f} s   memory +{rss_mb() - before} MB after the first units")
    return engine


def kokoro_variants(models: Path) -> dict[str, tuple[SpeechEngine, bool]]:
    """The engine with and without its two options."""
    from workers.tts.engines.kokoro_onnx import KokoroOnnx  # noqa: PLC0415  needs onnxruntime

    whole = loaded("whole graph", KokoroOnnx(models, lean=False, quick_session=False))
    lean = loaded("silence left out", KokoroOnnx(models, quick_session=False))
    both = loaded("silence left out, and a quick session", KokoroOnnx(models))
    speak(both, UNITS["15 words"], quick=True)
    print(f"{'with the quick session used':42} memory {rss_mb()} MB in all")
    return {
        "whole graph, 1 thread": (whole, False),
        "silence left out, 1 thread": (lean, False),
        "silence left out, all cores": (both, True),
    }


def main() -> None:
    """Measure one engine."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", default="kokoro-onnx")
    parser.add_argument("--models", type=Path, default=Path("models"))
    parser.add_argument("--rounds", type=int, default=7)
    arguments = parser.parse_args()
    options: dict[str, Any] = {"model_dir": str(arguments.models)}
    if arguments.engine == "kokoro-onnx":
        variants = kokoro_variants(arguments.models)
    else:
        variants = {arguments.engine: (loaded(arguments.engine, make_engine(arguments.engine, options)), False)}
    unit_times(variants, arguments.rounds)
    for name, (engine, quick) in variants.items():
        if not quick:
            throughput(name, engine, max(2, arguments.rounds // 2))


if __name__ == "__main__":
    main()
