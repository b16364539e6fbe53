"""Voice chat for several at once: simulated browsers over the WebSocket, and where the time goes.

    python -m load_tests.voice_chat [--levels 1,5,10] [--turns 6] [--no-realtime] [--csv FILE] [--speech WAV]
                                    [--silence 200] [--real URL]

Each browser sends a recorded or synthesised question in real time, 40 ms a message, then silence, as a microphone does,
and takes the reply; --no-realtime sends the question as fast as it goes, as who has a file. The reference is the end of
speech in the sound, by the clock by which it is sent, not the end of an upload. Stages, ms after it: final transcript,
first token, first audio byte, last. Added: the time to the first audio, less the silence that ends a turn (--silence,
a setting) and what the three engines say they took: the hearing of the last utterance, the request to the first token,
the making of the first unit. It may be less than nothing: an utterance is heard while its silence goes on.

Without --real the engines wait as long as models would (echo, a scripted upstream, tone), on real RabbitMQ and a
redis-server of its own; with it, Whisper tiny.en, Kokoro and the language model at URL share this machine's cores.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import csv
import json
import statistics
import sys
import tempfile
import time
import wave
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from urllib.parse import urlsplit
from uuid import uuid4

import numpy as np
import uvloop
from numpy.typing import NDArray
from websockets.asyncio.client import ClientConnection, connect

from contracts.adapters import Address
from load_tests.services import own_redis, shared_rabbitmq
from load_tests.voice_system import real, simulated

RATE = 24_000
MESSAGE_MS = 40
STEP = RATE * MESSAGE_MS // 1000
SILENCE_MS = 200
"""That ends a turn, unless another is asked for: a setting of the session, not work."""
SPEECH_S = 1.6
SILENT = 0.01
"""A recording's speech ends with the last sound that is louder than so much of its loudest: -40 dB."""
TURN_S = 60.0
ANSWER = "tokens=24 rate=0"


@dataclass(frozen=True)
class Turn:
    """One question and its answer; ms after the end of speech, but for the engines' own."""

    level: int
    browser: int
    turn: int
    silence: float
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
        return self.first_audio - self.silence - self.hear - self.write - self.speak


def question(path: Path | None) -> NDArray[np.int16]:
    """Speech without silence at its end, RATE Hz: a recording, or a sound with the rhythm of a voice."""
    if path is not None:
        with wave.open(str(path)) as file:
            if (file.getframerate(), file.getnchannels(), file.getsampwidth()) != (RATE, 1, 2):
                raise SystemExit(f"{path}: a WAV file of {RATE} Hz, mono, 16 bits is wanted")
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.int16)
        loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > SILENT * np.abs(sound.astype(np.int32)).max())
        return sound[: loud[-1] + 1]
    at = np.arange(round(SPEECH_S * RATE)) / RATE
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * at)
    tone = sum(np.sin(2 * np.pi * 140 * n * at) / n for n in range(1, 20))
    return np.asarray(6_000 * syllables * tone / 2, np.int16)


@dataclass(frozen=True)
class Setting:
    """What all browsers do. realtime: they speak as fast as a human does."""

    speech: NDArray[np.int16]
    voice: str = "tone"
    hearing: str = "echo"
    silence_ms: int = SILENCE_MS
    realtime: bool = True
    answer: str = ANSWER


class Browser:
    """One that talks."""

    def __init__(self, socket: ClientConnection, setting: Setting, level: int, number: int) -> None:
        self._socket, self._setting, self._level, self._number = socket, setting, level, number
        self.seen: dict[str, float] = {}
        """time.perf_counter() of the first event of each type since it was cleared."""
        self._timing: dict[str, float] = {}
        self._done = asyncio.Event()
        self._at = 0.0
        """time.perf_counter() of the sound so far."""

    async def set_up(self) -> None:
        """The session as the page has it."""
        setting = self._setting
        detection = {"type": "server_vad", "silence_duration_ms": setting.silence_ms}
        heard = {"turn_detection": detection, "transcription": {"model": setting.hearing, "language": "en"}}
        audio = {"input": heard, "output": {"voice": setting.voice}}
        told = {
            "type": "realtime",
            "instructions": f"Answer: {setting.answer}",
            "audio": audio,
            "max_output_tokens": 40,
        }
        await self._socket.send(json.dumps({"type": "session.update", "session": told}))

    async def listen(self) -> None:
        """Note when things come."""
        async for message in self._socket:
            event, now = json.loads(message), time.perf_counter()
            kind = event["type"]
            if kind == "error":
                raise AssertionError(event)
            self.seen.setdefault(kind, now)
            if kind == "response.output_audio.delta":
                self.seen["last"] = now
            if kind == "castline.timing":
                self._timing = {**event, **event["engines_ms"]}
                self._done.set()

    async def ask(self, turn: int) -> Turn:
        """One turn: speak, be silent until the answer is here."""
        began = time.perf_counter()
        end = await self.speak(began)
        self.seen.clear()  # a pause within the question may have been answered, and that interrupted
        self._done.clear()
        while not self._done.is_set():
            await self.be_silent()
            if time.perf_counter() - began > TURN_S:
                raise TimeoutError(f"no answer within {TURN_S:g} s")
        after = {name: 1000 * (at - end) for name, at in self.seen.items()}
        timing = self._timing
        found = after["input_audio_buffer.speech_stopped"]
        token = timing["first_token_ms"] - timing["transcript_ms"]
        transcript = after["conversation.item.input_audio_transcription.completed"]
        return Turn(
            self._level, self._number, turn, self._setting.silence_ms, max(transcript, found), transcript + token,
            after["response.output_audio.delta"], after["last"], timing["hear"], timing["write"], timing["speak"],
        )  # fmt: skip

    async def speak(self, began: float) -> float:
        """Say the question; time.perf_counter() of its end."""
        speech = self._setting.speech
        self._at = began
        for at in range(0, speech.size, STEP):
            await self._send(speech[at : at + STEP])
        return began + speech.size / RATE if self._setting.realtime else time.perf_counter()

    async def be_silent(self) -> None:
        """For one message."""
        if not self._setting.realtime:
            self._at = time.perf_counter()
        await self._send(np.zeros(STEP, np.int16), wait=True)

    async def _send(self, piece: NDArray[np.int16], *, wait: bool = False) -> None:
        """When the microphone has it whole."""
        self._at += STEP / RATE
        if self._setting.realtime or wait:
            await asyncio.sleep(max(0.0, self._at - time.perf_counter()))
        whole = np.concatenate([piece, np.zeros(STEP - piece.size, np.int16)])
        audio = base64.b64encode(whole.astype("<i2").tobytes()).decode()
        await self._socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": audio}))


@asynccontextmanager
async def talking(url: str, setting: Setting, level: int = 1, number: int = 0) -> AsyncIterator[Browser]:
    """A browser with a session of its own."""
    address = f"ws://{urlsplit(url).netloc}/v1/realtime?timing=1"
    async with connect(address, max_size=None) as socket:
        browser = Browser(socket, setting, level, number)
        listening = asyncio.create_task(browser.listen())
        await browser.set_up()
        try:
            yield browser
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


async def talk(url: str, setting: Setting, level: int, turns: int) -> list[Turn]:
    """So many browsers at once; they begin spread over a turn."""

    async def one(number: int) -> list[Turn]:
        await asyncio.sleep(number * SPEECH_S / level)
        async with talking(url, setting, level, number) as browser:
            return [await browser.ask(turn) for turn in range(turns)]

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


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--levels", type=lambda given: [int(n) for n in given.split(",")], default=[1, 5, 10])
    parser.add_argument("--turns", type=int, default=6)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--real", metavar="URL", help="real models; URL of the language model's server")
    parser.add_argument("--speech", type=Path, metavar="WAV", help="what is said: 24,000 Hz, mono, 16 bits")
    parser.add_argument("--silence", type=int, default=SILENCE_MS, metavar="MS", help="that ends a turn")
    parser.add_argument("--realtime", action=argparse.BooleanOptionalAction, default=True, help="speak like a human")
    arguments = parser.parse_args()
    everything: list[Turn] = []
    setting = Setting(question(arguments.speech), silence_ms=arguments.silence, realtime=arguments.realtime)
    if arguments.real:
        setting = replace(setting, voice="af_heart", hearing="whisper", answer="in one short sentence.")
    for level in arguments.levels:
        with ExitStack() as stack:
            redis, broker = stack.enter_context(own_redis()), stack.enter_context(shared_rabbitmq())
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            address = Address(redis.url, broker, f"talk-{uuid4().hex[:8]}:")
            if arguments.real:
                running = stack.enter_context(real(address, directory, arguments.real))
            else:
                running = stack.enter_context(simulated(address, directory, max(4, 2 * level)))[0]
            made = uvloop.run(talk(running.url(), setting, level, arguments.turns))
        report(level, made)
        everything += made
    if arguments.csv is not None:
        with arguments.csv.open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow([*(field.name for field in fields(Turn)), "added"])
            rows.writerows([*(astuple(turn)), round(turn.added, 1)] for turn in everything)


if __name__ == "__main__":
    main()
