"""Voice chat for several at once: simulated browsers over the WebSocket, and where the time goes.

    python -m load_tests.voice_chat [--levels 1 5 10] [--turns 5] [--csv FILE] [--real] [--store embedded]

Each browser sends a recorded or synthesised question in real time, 40 ms a message, then silence, as a microphone does,
and takes the reply. The reference is the end of speech in the sound, by the clock by which it is sent, not the end of
an upload. Stages, ms after it: final transcript, first token, first audio byte, last. Added: the time to the first
audio, less the silence a turn ends with (200 ms, a setting) and what the three engines say they took: the hearing of
the last utterance, the request to the first token, the making of the first unit.

Without --real the engines wait as long as models would (echo, a scripted upstream, tone), on real RabbitMQ and a
redis-server of its own; with it, Whisper tiny.en, SmolLM2 and Kokoro share this machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import csv
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import httpx
import numpy as np
import uvloop
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect

from contracts.adapters import Address
from load_tests.services import free_port, own_redis, shared_rabbitmq, wait_until
from load_tests.system import System, system

RATE = 24_000
MESSAGE_MS = 40
SILENCE_MS = 200
"""That ends a turn: a setting of the session, not work."""
SPEECH_S = 1.6
TURN_S = 60.0
HEAR_XRT, SPEAK_XRT = 12.0, 8.0
ANSWER = "tokens=24 rate=0"


@dataclass(frozen=True)
class Turn:
    """One question and its answer; ms after the end of speech, but for the engines' own."""

    level: int
    browser: int
    turn: int
    transcript: float
    first_token: float
    first_audio: float
    last: float
    hear: float
    write: float
    speak: float

    @property
    def added(self) -> float:
        """What is not silence and not an engine."""
        return self.first_audio - SILENCE_MS - self.hear - self.write - self.speak


def question(path: Path | None) -> NDArray[np.int16]:
    """Speech without silence at its end, RATE Hz: a recording (raw, s16), or a sound with the rhythm of a voice."""
    if path is not None:
        return np.frombuffer(path.read_bytes(), "<i2").astype(np.int16)
    at = np.arange(round(SPEECH_S * RATE)) / RATE
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * at)
    tone = sum(np.sin(2 * np.pi * 140 * n * at) / n for n in range(1, 20))
    return np.asarray(6_000 * syllables * tone / 2, np.int16)


class Browser:
    """One that talks."""

    def __init__(self, socket: ClientConnection, speech: NDArray[np.int16], level: int, number: int) -> None:
        self._socket, self._speech, self._level, self._number = socket, speech, level, number
        self._seen: dict[str, float] = {}
        self._timing: dict[str, float] = {}
        self._done = asyncio.Event()

    async def set_up(self, voice: str, hearing: str) -> None:
        """The session as the page has it."""
        detection = {"type": "server_vad", "silence_duration_ms": SILENCE_MS}
        heard = {"turn_detection": detection, "transcription": {"model": hearing, "language": "en"}}
        audio = {"input": heard, "output": {"voice": voice}}
        told = {"type": "realtime", "instructions": f"Answer: {ANSWER}", "audio": audio, "max_output_tokens": 40}
        await self._socket.send(json.dumps({"type": "session.update", "session": told}))

    async def listen(self) -> None:
        """Note when things come."""
        async for message in self._socket:
            event, now = json.loads(message), time.perf_counter()
            kind = event["type"]
            if kind == "error":
                raise AssertionError(event)
            self._seen.setdefault(kind, now)
            if kind == "response.output_audio.delta":
                self._seen["last"] = now
            if kind == "castline.timing":
                self._timing = {**event, **event["engines_ms"]}
                self._done.set()

    async def ask(self, turn: int) -> Turn:
        """One turn: speak, be silent until the answer is here."""
        self._seen.clear()
        self._done.clear()
        silence = np.zeros(RATE // 1000 * MESSAGE_MS, np.int16)
        step, began = silence.size, time.perf_counter()
        sending = 0
        while not self._done.is_set():
            piece = self._speech[sending : sending + step]
            piece = np.concatenate([piece, silence[piece.size :]])
            sending += step
            await asyncio.sleep(max(0.0, began + sending / RATE - time.perf_counter()))
            audio = base64.b64encode(piece.astype("<i2").tobytes()).decode()
            await self._socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))
            if time.perf_counter() - began > TURN_S:
                raise TimeoutError(f"no answer within {TURN_S:g} s")
        end = began + self._speech.size / RATE
        after = {name: 1000 * (at - end) for name, at in self._seen.items()}
        timing = self._timing
        found = after["input_audio_buffer.speech_stopped"]
        token = timing["first_token_ms"] - timing["transcript_ms"]
        transcript = after["conversation.item.input_audio_transcription.completed"]
        return Turn(
            self._level, self._number, turn, max(transcript, found), transcript + token,
            after["response.output_audio.delta"], after["last"], timing["hear"], timing["write"], timing["speak"],
        )  # fmt: skip


async def talk(url: str, speech: NDArray[np.int16], level: int, turns: int, voice: str, hearing: str) -> list[Turn]:
    """So many browsers at once; they begin spread over a turn."""

    async def one(number: int) -> list[Turn]:
        await asyncio.sleep(number * SPEECH_S / level)
        address = f"ws://{urlsplit(url).netloc}/v1/realtime?timing=1"
        async with connect(address, max_size=None) as socket:
            browser = Browser(socket, speech, level, number)
            listening = asyncio.create_task(browser.listen())
            await browser.set_up(voice, hearing)
            made = [await browser.ask(turn) for turn in range(turns)]
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
            return made

    found = await asyncio.gather(*(one(number) for number in range(level)))
    return [turn for made in found for turn in made[1:]]  # the first one opens logs and connections


def report(level: int, made: list[Turn]) -> None:
    """A line per stage."""
    sys.stdout.write(f"{level} at once, {len(made)} turns\n")
    for name in ("transcript", "first_token", "first_audio", "last", "hear", "write", "speak", "added"):
        values = [float(getattr(turn, name)) for turn in made]
        p = statistics.quantiles(values, n=100, method="inclusive")
        sys.stdout.write(f"  {name:12s} p50 {p[49]:7.0f}   p90 {p[89]:7.0f}   max {max(values):7.0f} ms\n")
    worst = max(
        statistics.median(t.first_audio for t in made if t.browser == number) for number in {t.browser for t in made}
    )
    sys.stdout.write(f"  the slowest browser's median first_audio: {worst:.0f} ms\n")
    sys.stdout.flush()


@contextmanager
def simulated(address: Address, directory: Path, level: int) -> Iterator[System]:
    """Engines that wait as long as models would, with slots for all browsers, so that none waits for another."""
    port = free_port()
    upstream = [sys.executable, "-m", "load_tests.upstream", "--port", str(port)]
    with subprocess.Popen(upstream) as server, system(address, directory) as running:
        try:
            wait_until(lambda: _answers(port), 30, "the upstream")
            running.front()
            slots = str(max(4, 2 * level))
            running.hearer(CASTLINE_STT_SLOTS=slots, CASTLINE_STT_ECHO_XRT=str(HEAR_XRT))
            running.worker("tone", CASTLINE_TTS_SLOTS=slots, CASTLINE_TTS_TONE_XRT=str(SPEAK_XRT))
            running.proxy(CASTLINE_LLM_URL=f"http://127.0.0.1:{port}/v1", CASTLINE_LLM_PARALLEL=slots)
            running.wait_for_workers(3)
            yield running
        finally:
            server.terminate()


@contextmanager
def real(address: Address, directory: Path, upstream: str) -> Iterator[System]:
    """Real models on this machine's cores. upstream: an OpenAI-compatible server."""
    with system(address, directory) as running:
        running.front()
        running.hearer("faster-whisper", CASTLINE_STT_MODEL="whisper-tiny.en", CASTLINE_STT_SLOTS="1")
        running.worker("kokoro-onnx")
        running.proxy(CASTLINE_LLM_URL=upstream)
        running.wait_for_workers(3)
        yield running


def _answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/v1/models", timeout=2, trust_env=False).status_code == 200
    except httpx.HTTPError:
        return False


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=lambda given: [int(n) for n in given.split(",")], default=[1, 5, 10])
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--real", metavar="URL", help="real models; URL of the language model's server")
    parser.add_argument("--speech", type=Path, help="what is said: raw, 16 bits, 24,000 Hz, mono")
    arguments = parser.parse_args()
    everything: list[Turn] = []
    speech = question(arguments.speech)
    voice, hearing = ("af_heart", "whisper") if arguments.real else ("tone", "echo")
    for level in arguments.levels:
        with ExitStack() as stack:
            redis, broker = stack.enter_context(own_redis()), stack.enter_context(shared_rabbitmq())
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            address = Address(redis.url, broker, f"talk-{uuid4().hex[:8]}:")
            if arguments.real:
                running = stack.enter_context(real(address, directory, arguments.real))
            else:
                running = stack.enter_context(simulated(address, directory, level))
            made = uvloop.run(talk(running.url(), speech, level, arguments.turns, voice, hearing))
        report(level, made)
        everything += made
    if arguments.csv is not None:
        with arguments.csv.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow([*(field.name for field in fields(Turn)), "added"])
            rows.writerows([*(astuple(turn)), round(turn.added, 1)] for turn in everything)


if __name__ == "__main__":
    main()
