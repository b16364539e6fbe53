"""A cast of tones that grows when the test says so."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import numpy as np
from starlette.websockets import WebSocket

from contracts.codec import encode_chunk
from contracts.records import Record

RATE = 24_000
TONE_SAMPLES = 28_800
"""1.2 s per sentence."""
FADE_SAMPLES = 480


def tone(index: int, samples: int = TONE_SAMPLES) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The sound of unit `index`: a sine of its own pitch, faded at both ends."""
    time = np.arange(samples) / RATE
    ramp = np.minimum(1, np.arange(samples) / FADE_SAMPLES)
    return np.asarray(0.3 * np.sin(2 * np.pi * pitch(index) * time) * ramp * ramp[::-1], dtype=np.float32)


def pitch(index: int) -> float:
    """Hz."""
    return 400.0 + 150.0 * (index % 12)


def _words(text: str, duration_ms: int) -> list[dict[str, Any]]:
    """As a record has them, without the full stop; times in ms."""
    words = text.rstrip(".").split()
    edges = [duration_ms * at // len(words) for at in range(len(words) + 1)]
    return [{"w": word, "s": edges[at], "e": edges[at + 1]} for at, word in enumerate(words)]


class FakeCast:
    """A cast under the test's control. Methods may be called from the test's thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, units: int) -> None:
        self.id = uuid.uuid4().hex[:22]
        self.units = units
        self.records: list[Record] = [Record(0, "meta", {"title": "A fake cast", "voice": "tone", "v": 1})]
        self.requests: list[int] = []
        """The offset of every follow connection."""
        self.told: list[int | None] = []
        """Every playhead the page has said, ms; None: paused."""
        self.fetched: list[int] = []
        """Seqs whose body was asked for by themselves."""
        self.overlap = 0
        """Records that a follower is sent again when it returns."""
        self.position: int | None = 2
        self.grown = asyncio.Event()
        self.sockets: set[WebSocket] = set()
        self.dead: set[WebSocket] = set()
        """Connections that stand and bring nothing any more."""
        self._loop = loop

    def speak(self, count: int = 1, *, samples: int = TONE_SAMPLES, words: bool = False) -> None:
        """Commit this many more tones; with words that take equal parts of their time."""
        for _ in range(count):
            index = len(self.records) - 1
            text = f"Sentence number {index} of this cast."
            headers: dict[str, Any] = {"i": index, "d": samples // 24, "t": text, "n": samples}
            if words:
                headers["words"] = _words(text, samples // 24)
            self._append("audio", headers, encode_chunk(tone(index, samples)))

    def skip(self, text: str) -> None:
        """Commit a unit that failed."""
        self._append("skip", {"i": len(self.records) - 1, "t": text, "reason": "the engine died"})

    def spoil(self, seq: int) -> None:
        """Replace the body of a record with noise."""
        old = self.records[seq]
        self.records[seq] = Record(old.seq, old.type, old.headers, bytes(range(256)))

    def end(self, kind: str = "eos", **headers: object) -> None:
        """Commit a terminal record."""
        self._append(kind, headers)

    def cut(self) -> None:
        """Drop every connection without a goodbye."""

        async def drop() -> None:
            for socket in list(self.sockets):
                await socket.close(1012)

        asyncio.run_coroutine_threadsafe(drop(), self._loop).result()

    def deafen(self) -> None:
        """From now on nothing gets through the connections there are, and nobody is told."""
        self.dead |= self.sockets

    def status(self) -> dict[str, object]:
        """What GET /v1/casts/{id} says."""
        made = sum(r.type in ("audio", "skip") for r in self.records)
        last = {"eos": "done", "cancelled": "cancelled", "error": "failed"}.get(self.records[-1].type)
        path = f"/v1/casts/{self.id}"
        links = {
            "page": f"/c/{self.id}",
            "follow": f"{path}/follow",
            "captions": f"{path}/captions.vtt",
            "audio": {f: f"{path}/audio.{f}" for f in ("opus", "mp3", "wav", "flac")},
        }
        state = last or ("live" if made else "waiting")
        waiting = {"position": self.position, "eta_ms": 40_000} if state == "waiting" else {"position": None}
        return {
            "id": self.id,
            "state": state,
            "units": self.units,
            "watermark": made,
            "xrt": 3.4,
            "links": links,
            **waiting,
        }

    def _append(self, kind: str, headers: dict[str, Any], body: bytes = b"") -> None:
        self.records.append(Record(len(self.records), kind, headers, body))
        self._loop.call_soon_threadsafe(self._ring)

    def _ring(self) -> None:
        self.grown.set()
        self.grown = asyncio.Event()
