"""One long recording on 1, 2, 4 and 8 hearing workers: order, speed-up, time to the first segment.

    python -m load_tests.long_file [--minutes 60] [--xrt 20] [--workers 1 2 4 8] [--real MODEL [--rounds 3]]

The recording is human speech (Debian's pocketsphinx-testdata), over and over, as 16 kHz WAV. Workers have the echo
engine, which waits for audio / xrt, on a real RabbitMQ and a redis-server of its own (fsync always). --real adds two
workers of faster-whisper, one slot and one core each, and beside them the library's own batched pipeline on two cores,
in turns, so often. "first" is from the end of the upload to the first segment at an SSE reader.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import sys
import tempfile
import time
import wave
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import numpy as np
from numpy.typing import NDArray

from contracts.adapters import Address
from load_tests.reader import events
from load_tests.services import install, own_redis, shared_rabbitmq
from load_tests.system import system

RATE = 16_000
PAUSE_S = 0.6
RECORDINGS, PACKAGE = Path("/usr/share/pocketsphinx/test/data/librivox"), "pocketsphinx-testdata"


@dataclass(frozen=True)
class Result:
    """Seconds after the upload; speech in the segments, seconds."""

    first: float
    total: float
    speech: float
    pieces: int


def recorded() -> list[NDArray[np.int16]]:
    """Sentences read by a human, 16 kHz."""
    if not RECORDINGS.is_dir():
        install(PACKAGE)
    parts = []
    for path in sorted(RECORDINGS.glob("*.wav")):
        with wave.open(str(path)) as file:
            parts.append(np.frombuffer(file.readframes(file.getnframes()), np.int16))
    return parts


def long_wav(minutes: float) -> bytes:
    """Human speech for so long."""
    pause = np.zeros(round(PAUSE_S * RATE), np.int16)
    once = np.concatenate([sound for part in recorded() for sound in (part, pause)])
    size = round(minutes * 60 * RATE)
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(np.tile(once, size // once.size + 1)[:size].tobytes())
    return out.getvalue()


async def transcribe(url: str, body: bytes, model: str) -> Result:
    """Post, follow, check the order."""
    async with httpx.AsyncClient(base_url=url, timeout=600, trust_env=False) as client:
        answer = await client.post("/v1/transcripts", params={"model": model, "title": uuid4().hex}, content=body)
        answer.raise_for_status()
        began = time.perf_counter()
        first, speech, indexes = 0.0, 0, []
        async for event in events(client, url, answer.json()["id"], kind="transcripts"):
            record = event.record
            if record["e"] == "segment":
                first = first or event.at - began
                speech += record["end"] - record["start"]
                indexes.append(record["i"])
        if indexes != list(range(len(indexes))):
            raise AssertionError(f"out of order: {indexes}")
        return Result(first, time.perf_counter() - began, speech / 1000, len(indexes))


def run(address: Address, body: bytes, workers: int, engine: str, **settings: str) -> Result:
    """A front and so many workers."""
    address = Address(address.store, address.broker, f"{address.namespace}{workers}{engine}:")
    with tempfile.TemporaryDirectory() as directory, system(address, Path(directory)) as running:
        running.front()
        for _ in range(workers):
            running.hearer(engine, CASTLINE_STT_SLOTS="1", **settings)
        running.wait_for_workers(workers)
        model = "echo" if engine == "echo" else "whisper"
        return asyncio.run(transcribe(running.url(), body, model))


def batched(body: bytes, model: Path) -> float:
    """Seconds the library's batched pipeline takes for the whole of it, on two cores, the model loaded before."""
    from faster_whisper import BatchedInferencePipeline, WhisperModel  # type: ignore[import-untyped]  # noqa: PLC0415

    library = WhisperModel(str(model), device="cpu", compute_type="int8", cpu_threads=2, local_files_only=True)
    pipeline = BatchedInferencePipeline(library)
    began = time.perf_counter()
    segments, _ = pipeline.transcribe(io.BytesIO(body), language="en", batch_size=8)
    for _ in segments:
        pass
    return time.perf_counter() - began


def beside_the_library(address: Address, body: bytes, model: Path) -> None:
    """Two real workers, then the library."""
    settings = {"CASTLINE_STT_MODEL": model.name, "CASTLINE_MODEL_DIR": str(model.parent)}
    got = run(address, body, 2, "faster-whisper", **settings)
    theirs = batched(body, model)
    sys.stdout.write(
        f"  2 workers of {model.name}: first {got.first:.2f} s, all {got.total:.1f} s; "
        f"the library's batched pipeline on 2 cores {theirs:.1f} s: ratio {got.total / theirs:.2f}\n"
    )
    sys.stdout.flush()


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--xrt", type=float, default=20)
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--real", type=Path, help="folder of a CTranslate2 Whisper model")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    body = long_wav(arguments.minutes)
    with own_redis() as redis, shared_rabbitmq() as broker:
        address = Address(redis.url, broker, f"long-{uuid4().hex[:8]}:")
        size = len(body) / 2**20
        sys.stdout.write(f"{arguments.minutes:g} minutes of speech, {size:.0f} MiB; engines of {arguments.xrt:g} x\n")
        one = 0.0
        for count in arguments.workers:
            got = run(address, body, count, "echo", CASTLINE_STT_ECHO_XRT=str(arguments.xrt))
            rate = got.speech / got.total
            one = one or rate / count
            sys.stdout.write(
                f"  {count} workers: {got.pieces} pieces in order, first {got.first:5.2f} s, all {got.total:6.1f} s, "
                f"{rate:6.1f} x = {rate / one / count:.3f} N\n"
            )
            sys.stdout.flush()
        if arguments.real:
            for _ in range(arguments.rounds):
                fresh = Address(redis.url, broker, f"long-{uuid4().hex[:8]}:")
                beside_the_library(fresh, body, arguments.real)


if __name__ == "__main__":
    main()
