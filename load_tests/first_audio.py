"""First audible sound and total time, against fastkokoro, side by side in one run.

    python -m load_tests.first_audio [--runs 10] [--short] [--peer DIR]

fastkokoro gets a virtual environment of its own (made on the first run) and the same model file and voice. Both serve
over HTTP on this machine and are asked in turn, A B A B, for PCM they stream: fastkokoro by /v1/audio/speech, castline
by POST /v1/casts and then audio.wav of the cast's link, on SQLite as `castline up` runs it. "First" is the arrival of
the first sample louder than 0.01 of full scale, "total" of the last byte, and "stall" how long
the sound would stand still in between if it were played as it comes. Every run has a text of its own, since
castline would not make one twice. Ratios are castline / fastkokoro, pair by pair.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from platformdirs import user_cache_path, user_data_path

from contracts.adapters import Address
from load_tests.services import free_port, wait_until
from load_tests.system import system

PEER = "fastkokoro[cpu]==0.7.0"
VOICE = "af_heart"
AUDIBLE = 0.01 * 32768
NAMES = ("Anna", "Peter", "Maria", "Simon", "Clara", "Henry", "Julia", "Oscar", "Laura", "Felix", "Emily", "Jacob")
PAIR = "{name} found a small boat near the old harbour. The water was calm and very clear."
TALE = (
    "{name} had lived beside the river for as long as anyone in the village could remember, and knew every stone "
    "of it. In spring the water rose over the lower path, and the children were sent home along the hill. In "
    "summer it sank so far that one could walk across with dry feet, if one knew where to step. Nobody had "
    "drowned there for forty years. Then came the autumn of the great rain. For eleven days it fell without a "
    "pause, on the roofs, on the fields, and on the mill that had stood empty since the war. On the twelfth day "
    "the bridge began to move. It was {name} who heard it first, a low and patient groan like that of a cow "
    "before it calves, and who ran from door to door in the dark. By midnight every family stood on the hill "
    "under borrowed blankets. They watched the lanterns of the mill go out one by one, although nobody had lit "
    "them. At dawn there was no bridge. There was no mill either, only a brown sea that reached as far as the "
    "church, and on it, turning slowly, the door of the school. Years later they asked how anyone could have "
    "known. {name} never gave the same answer twice. To the priest it was a dream, to the mayor a broken drain, "
    "and to the children, who believed it, the river itself. What is certain is that the new bridge stands a "
    "little higher, and that on the night of the first great rain of every year somebody puts a lantern on it. "
    "Nobody has ever been seen doing so, and nobody has ever asked."
)


@dataclass(frozen=True)
class Times:
    """Seconds after the request: first audible sample, last byte; seconds without sound in between, and of audio."""

    first: float
    total: float
    stall: float
    audio: float


def measure(pieces: Iterator[bytes], began: float) -> Times:
    """Read a stream of s16 PCM at 24 kHz."""
    data = bytearray()
    first = played = stall = 0.0
    for piece in pieces:
        now = time.perf_counter() - began
        data += piece
        if first:
            stall += max(0.0, now - played)
        played = max(played, now) + len(piece) / 48_000
        whole = np.frombuffer(bytes(data[: len(data) // 2 * 2]), np.int16)
        if not first and np.any(np.abs(whole.astype(np.int32)) > AUDIBLE):
            first = now
    return Times(first, time.perf_counter() - began, stall, len(data) / 48_000)


def castline(client: httpx.Client, url: str, text: str) -> Times:
    """Post, then listen to the link."""
    began = time.perf_counter()
    cast = client.post(f"{url}/v1/casts", json={"text": text, "voice": VOICE}).raise_for_status().json()
    with client.stream("GET", url + cast["links"]["audio"]["wav"]) as response:
        pieces = response.iter_raw()
        head = next(pieces)
        return measure(_chain(head[44:], pieces), began)


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def fastkokoro(client: httpx.Client, url: str, text: str) -> Times:
    """One request."""
    body = {"model": "kokoro", "input": text, "voice": VOICE, "lang": "en-us", "response_format": "pcm", "stream": True}
    began = time.perf_counter()
    with client.stream("POST", f"{url}/v1/audio/speech", json=body) as response:
        response.raise_for_status()
        return measure(response.iter_raw(), began)


@contextlib.contextmanager
def peer(home: Path, models: Path) -> Iterator[str]:
    """A running fastkokoro; its URL."""
    python = home / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(home / "venv")], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "--quiet", PEER], check=True)
    voices = home / "voices.npz"
    row = np.fromfile(models / "voices" / f"{VOICE}.bin", np.float32).reshape(-1, 1, 256)
    np.savez(voices, **{VOICE: row})  # type: ignore[arg-type]
    port = free_port()
    environment = {
        **os.environ,
        "HF_HUB_OFFLINE": "1",
        "FASTKOKORO_HOST": "127.0.0.1",
        "FASTKOKORO_PORT": str(port),
        "FASTKOKORO_MODEL_PATH": str(models / "kokoro-v1.0.int8.onnx"),
        "FASTKOKORO_VOICES_PATH": str(voices),
    }
    log = (home / "log").open("w")
    process = subprocess.Popen([str(home / "venv" / "bin" / "fastkokoro")], env=environment, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until(lambda: _speaks(url, process), 300, "fastkokoro")
        yield url
    finally:
        process.kill()
        process.wait()


def _speaks(url: str, process: subprocess.Popen[bytes]) -> bool:
    if process.poll() is not None:
        raise RuntimeError("fastkokoro ended; its log is in the peer directory")
    try:
        with httpx.Client(timeout=60, trust_env=False) as client:
            return fastkokoro(client, url, "Ready.").audio > 0
    except httpx.HTTPError:
        return False


def compare(name: str, template: str, ours: Callable[[str], Times], theirs: Callable[[str], Times], runs: int) -> None:
    """A B A B; medians, percentiles, ratios."""
    pairs = []
    for n in range(runs + 1):
        text = template.format(name=f"{NAMES[n % len(NAMES)]}{' the second' * (n // len(NAMES))}")
        pair = (ours(text), theirs(text))
        if n:  # the first pair warms up
            pairs.append(pair)
    sys.stdout.write(f"\n{name}: {runs} pairs\n")
    for field in ("first", "total", "stall", "audio"):
        a = [getattr(p[0], field) for p in pairs]
        b = [getattr(p[1], field) for p in pairs]
        sys.stdout.write(
            f"  {field:6s} castline p50 {statistics.median(a):7.3f} s (p90 {_p90(a):7.3f})   "
            f"fastkokoro p50 {statistics.median(b):7.3f} s (p90 {_p90(b):7.3f})"
        )
        if all(b):
            ratios = sorted(x / y for x, y in zip(a, b, strict=True))
            sys.stdout.write(
                f"   ratio p50 {statistics.median(ratios):5.2f} (min {ratios[0]:.2f}, p90 {_p90(ratios):.2f})"
            )
        sys.stdout.write("\n")


def _p90(values: list[float]) -> float:
    return float(np.percentile(values, 90))


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10)
    parser.add_argument("--peer", type=Path, default=user_cache_path("castline") / "peers" / "fastkokoro")
    parser.add_argument("--models", type=Path, default=user_data_path("castline") / "models")
    parser.add_argument("--short", action="store_true", help="the two sentences alone")
    arguments = parser.parse_args()
    arguments.peer.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory, peer(arguments.peer, arguments.models / "kokoro-onnx") as peer_url:
        address = Address(f"sqlite://{directory}/castline.db", "")
        with system(address, Path(directory), CASTLINE_MODEL_DIR=str(arguments.models)) as running:
            running.front()
            running.worker("kokoro-onnx")
            running.wait_for_workers(1)
            with httpx.Client(timeout=300, trust_env=False) as client:
                texts = {"two sentences": PAIR, f"{len(TALE):,} characters": TALE}
                for name, template in list(texts.items())[: 1 if arguments.short else 2]:
                    compare(
                        name,
                        template,
                        lambda text: castline(client, running.url(), text),
                        lambda text: fastkokoro(client, peer_url, text),
                        arguments.runs,
                    )


if __name__ == "__main__":
    main()
