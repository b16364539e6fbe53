"""Live transcripts: how long after the pause the text is there, for so many speakers at once.

    python -m load_tests.live [--speakers 1 10 40] [--seconds 30] [--xrt 20] [--real FOLDER]

Each speaker sends human speech (Debian's pocketsphinx-testdata) in messages of 100 ms, in real time: half of that is in
every figure. Real RabbitMQ and a redis-server of its own (fsync always), one front, one worker: the echo engine, which
waits for audio / xrt, or with --real a CTranslate2 Whisper. "final" is from the end of the pause that ends an
utterance, as the client sent it, to the `segment` at the client; "added" is that without the engine's time. "partial"
is how old the newest sound in a text of the moment is.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

import numpy as np
from websockets.asyncio.client import ClientConnection, connect

from contracts.adapters import Address
from load_tests.long_file import RATE, recorded
from load_tests.services import own_redis, shared_rabbitmq
from load_tests.system import system

MESSAGE_S = 0.1
PAUSE_MS = 600
AFTER_MS = 200
"""Of the pause, in the segment; see producer_api.live.turns."""
GAP_S = 1.0


@dataclass
class Times:
    """Milliseconds, see the module."""

    final: list[float] = field(default_factory=list)
    added: list[float] = field(default_factory=list)
    partial: list[float] = field(default_factory=list)


def speech(seconds: float, first: int) -> bytes:
    """Sentences with a second of silence between, for about so long; first: which one begins."""
    gap = np.zeros(round(GAP_S * RATE), np.int16)
    parts = recorded()
    parts = parts[first % len(parts) :] + parts[: first % len(parts)]
    once = np.concatenate([sound for part in parts for sound in (part, gap)])
    return bytes(np.tile(once, 1 + round(seconds * RATE) // once.size)[: round(seconds * RATE)].tobytes())


async def speak(url: str, pcm: bytes, times: Times) -> None:
    """One speaker."""
    async with connect(url, proxy=None) as socket:
        await socket.recv()
        began = time.perf_counter()
        listening = asyncio.create_task(_listen(socket, began, times, len(pcm) * 500 // RATE))
        size = round(MESSAGE_S * RATE) * 2
        for n, at in enumerate(range(0, len(pcm), size), 1):
            await asyncio.sleep(max(0.0, began + n * MESSAGE_S - time.perf_counter()))
            await socket.send(pcm[at : at + size])
        await socket.send('{"type": "close"}')
        await listening


async def _listen(socket: ClientConnection, began: float, times: Times, length_ms: int) -> None:
    async for raw in socket:
        message = json.loads(raw)
        now_ms = (time.perf_counter() - began) * 1000
        if message["e"] == "partial":
            times.partial.append(now_ms - message["end"])
        elif message["e"] == "segment" and message["end"] - AFTER_MS + PAUSE_MS <= length_ms:  # ended by a pause
            times.final.append(now_ms - (message["end"] - AFTER_MS + PAUSE_MS))
            times.added.append(times.final[-1] - message["g"])


def report(name: str, values: list[float]) -> str:
    """p50 and p99."""
    cuts = statistics.quantiles(values, n=100)
    return f"{name} p50 {cuts[49]:5.0f} p99 {cuts[98]:5.0f} ms"


async def measure(url: str, speakers: int, seconds: float, model: str) -> str:
    """So many at once."""
    times = Times()
    target = f"ws{url.removeprefix('http')}/v1/transcripts/live?model={model}&pause_ms={PAUSE_MS}&language=en"
    await asyncio.gather(*(speak(target, speech(seconds, n), times) for n in range(speakers)))
    parts = [report(name, getattr(times, name)) for name in ("final", "added", "partial")]
    return f"{speakers:3d} speakers, {len(times.final):4d} utterances: " + "   ".join(parts)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speakers", type=int, nargs="+", default=[1, 10, 40])
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--xrt", type=float, default=20)
    parser.add_argument("--real", type=Path, help="folder of a CTranslate2 Whisper model")
    arguments = parser.parse_args()
    with own_redis() as redis, shared_rabbitmq() as broker, tempfile.TemporaryDirectory() as directory:
        address = Address(redis.url, broker, f"live-{uuid4().hex[:8]}:")
        with system(address, Path(directory)) as running:
            running.front()
            if arguments.real:
                folder: Path = arguments.real
                running.hearer("faster-whisper", CASTLINE_STT_MODEL=folder.name, CASTLINE_MODEL_DIR=str(folder.parent))
            else:
                running.hearer("echo", CASTLINE_STT_SLOTS="64", CASTLINE_STT_ECHO_XRT=str(arguments.xrt))
            running.wait_for_workers(1)
            for speakers in arguments.speakers:
                model = "whisper" if arguments.real else "echo"
                line = asyncio.run(measure(running.url(), speakers, arguments.seconds, model))
                sys.stdout.write(line + "\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
