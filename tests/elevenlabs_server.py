"""A server that speaks ElevenLabs' API as far as it is used here, in tones, and does as it is told.

tests/unit/test_elevenlabs.py asks it with their own client, too: what it says is what that client understands.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import math
import threading
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from load_tests.services import free_port, wait_until
from workers.tts.engines.elevenlabs import VOICE_IDS
from workers.tts.engines.tone import SECONDS_PER_CHARACTER, tone_frequency
from workers.tts.speech import SAMPLE_RATE

KEY = "sk_0123456789abcdef_a_key_for_tests"
NOT_HERE = "eleven-rachel"
"""A voice this account does not have."""
PER_CHARACTER = round(SECONDS_PER_CHARACTER * SAMPLE_RATE)
CHARACTERS = 7
"""Of a line."""


def pcm(text: str) -> bytes:
    """What it says of a text: 60 ms per character, whatever the speed."""
    phase = np.arange(len(text) * PER_CHARACTER) * (2 * math.pi * tone_frequency(text) / SAMPLE_RATE)
    return bytes(np.round(0.25 * 32_767 * np.sin(phase)).astype("<i2").tobytes())


@dataclass
class ElevenLabsServer:
    """What it has seen. plan: how the next answers go, else well: a status, "die", "slow", "garbage", "end"."""

    url: str = ""
    plan: deque[int | str] = field(default_factory=deque)
    retry_after: str = ""
    spoken: list[dict[str, Any]] = field(default_factory=list)
    """Bodies of requests for speech, and their voice and output_format."""
    listed: int = 0
    done: int = 0
    aborted: int = 0
    peers: set[str] = field(default_factory=set)

    def app(self) -> Starlette:
        path = "/v1/text-to-speech/{voice}/stream/with-timestamps"
        return Starlette(routes=[Route("/v1/voices", self._voices), Route(path, self._speak, methods=["POST"])])

    def _refused(self, request: Request) -> Response | None:
        if request.headers.get("xi-api-key") == KEY:
            return None
        detail = {"status": "invalid_api_key", "message": f"Invalid API key {request.headers.get('xi-api-key')}"}
        return JSONResponse({"detail": detail}, 401)

    async def _voices(self, request: Request) -> Response:
        self.listed += 1
        here = [{"voice_id": id_, "name": name} for name, id_ in VOICE_IDS.items() if name != NOT_HERE]
        return self._refused(request) or JSONResponse({"voices": [*here, {"voice_id": "mine", "name": "Mine"}]})

    async def _speak(self, request: Request) -> Response:
        body = await request.json()
        voice, form = request.path_params["voice"], request.query_params.get("output_format")
        self.spoken.append({**body, "voice": voice, "output_format": form})
        self.peers.add(str(request.client))
        told = self.plan.popleft() if self.plan else ""
        if refused := self._refused(request):
            return refused
        if isinstance(told, int):
            detail = {"status": "as_told", "message": f"{told}, and the key is {request.headers['xi-api-key']}"}
            headers = {"Retry-After": self.retry_after} if self.retry_after else {}
            return JSONResponse({"detail": detail}, told, headers)
        return StreamingResponse(self._watched(_lines(body["text"], told)), media_type="text/event-stream")

    async def _watched(self, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Starlette cancels it when the other side has gone."""
        try:
            async for line in lines:
                yield line
            self.done += 1
        except (asyncio.CancelledError, GeneratorExit):
            self.aborted += 1
            raise


class _Died(Exception):
    """Breaks the connection."""


async def _lines(text: str, told: str) -> AsyncIterator[bytes]:
    """The speech, a few characters to a line; cut where no JSON reader expects it, as networks do."""
    sound, sent = pcm(text), b""
    for at in range(0, len(text), CHARACTERS):
        part = text[at : at + CHARACTERS]
        times = [(at + n) * SECONDS_PER_CHARACTER for n in range(len(part) + 1)]
        alignment = {
            "characters": list(part), "character_start_times_seconds": times[:-1],
            "character_end_times_seconds": times[1:],
        }  # fmt: skip
        audio = sound[2 * PER_CHARACTER * at : 2 * PER_CHARACTER * (at + len(part))]
        line = {"audio_base64": base64.b64encode(audio).decode(), "alignment": alignment, "normalized_alignment": None}
        sent += json.dumps(line, ensure_ascii=False).encode() + b"\n"
        yield sent[:-100]
        sent = sent[-100:]
        if told == "slow":
            await asyncio.sleep(60)
        if told == "die":
            raise _Died
        if told == "garbage":
            sent += b'\n{"detail": {"status": "something", "message": "went wrong"}}\n'
        if told == "end":
            return
    yield sent


@contextlib.contextmanager
def elevenlabs() -> Iterator[ElevenLabsServer]:
    """One in a thread of this process, for as long as the block runs."""
    port = free_port()
    served = ElevenLabsServer(f"http://127.0.0.1:{port}")
    config = uvicorn.Config(served.app(), port=port, log_level="critical", ws="none", lifespan="off")
    running = uvicorn.Server(config)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    wait_until(lambda: running.started, 30, "the server of tones")
    try:
        yield served
    finally:
        running.force_exit = running.should_exit = True
        thread.join()
