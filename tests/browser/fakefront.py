"""A front for the pages alone: the real web files, and a cast of tones that grows when the test says so."""

from __future__ import annotations

import asyncio
import struct
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

from contracts.codec import encode_chunk
from contracts.records import Record

RATE = 24_000
TONE_SAMPLES = 28_800
"""1.2 s per sentence."""
FADE_SAMPLES = 480

WEB = Path(__file__).parents[2] / "producer_api" / "web"
HERE = Path(__file__).parent
# As strict as a policy can be that lets the pages work: what breaks under it was inline or from elsewhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'"
)


def tone(index: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The sound of unit `index`: a sine of its own pitch, faded at both ends."""
    time = np.arange(TONE_SAMPLES) / RATE
    ramp = np.minimum(1, np.arange(TONE_SAMPLES) / FADE_SAMPLES)
    return np.asarray(0.3 * np.sin(2 * np.pi * pitch(index) * time) * ramp * ramp[::-1], dtype=np.float32)


def pitch(index: int) -> float:
    """Hz."""
    return 400.0 + 150.0 * (index % 12)


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
        self._loop = loop

    def speak(self, count: int = 1, text: str = "Sentence number {i} of this cast.") -> None:
        """Commit this many more tones."""
        for _ in range(count):
            index = len(self.records) - 1
            headers = {"i": index, "d": TONE_SAMPLES // 24, "t": text.format(i=index), "n": TONE_SAMPLES}
            self._append("audio", headers, encode_chunk(tone(index)))

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

    def status(self) -> dict[str, object]:
        """What GET /v1/casts/{id} says."""
        made = sum(r.type in ("audio", "skip") for r in self.records)
        last = {"eos": "done", "cancelled": "cancelled", "error": "failed"}.get(self.records[-1].type)
        path = f"/v1/casts/{self.id}"
        links = {
            "page": f"/c/{self.id}",
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


class FakeFront:
    """The server and its casts."""

    def __init__(self) -> None:
        self.casts: dict[str, FakeCast] = {}
        self.posted: list[dict[str, Any]] = []
        self.problem: dict[str, Any] | None = None
        """When set, POST /v1/casts answers with it."""
        self.url = ""
        self.loop: asyncio.AbstractEventLoop | None = None

    def cast(self, units: int = 6) -> FakeCast:
        """A new cast without any record but meta."""
        assert self.loop is not None
        made = FakeCast(self.loop, units)
        self.casts[made.id] = made
        return made

    def app(self) -> Starlette:
        """The routes that the pages use."""
        routes = [
            Route("/", _page(WEB / "index.html")),
            Route("/c/{id}", _page(WEB / "cast.html")),
            Route("/test/recorder.js", _page(HERE / "recorder.js")),
            Mount("/static", StaticFiles(directory=WEB)),
            Route("/v1/voices", self._voices),
            Route("/v1/casts", self._post, methods=["POST"]),
            Route("/v1/casts/{id}", self._status),
            Route("/v1/casts/{id}", self._cancel, methods=["DELETE"]),
            Route("/v1/casts/{id}/records/{seq:int}", self._record),
            WebSocketRoute("/v1/casts/{id}/follow", self._follow),
        ]
        return Starlette(routes=routes)

    async def _voices(self, _: Request) -> Response:
        names = [
            ("tone", "en-US", True),
            ("af_heart", "en-US", True),
            ("ff_siwis", "fr-FR", True),
            ("x", "de-DE", False),
        ]
        voices = [{"id": i, "model": "m", "language": g, "gender": "female", "available": a} for i, g, a in names]
        return JSONResponse({"voices": voices, "default": "af_heart"})

    async def _post(self, request: Request) -> Response:
        self.posted.append(await request.json())
        if self.problem is not None:
            return JSONResponse(self.problem, self.problem["status"], media_type="application/problem+json")
        return JSONResponse(self.cast().status(), 201)

    async def _status(self, request: Request) -> Response:
        cast = self.casts.get(request.path_params["id"])
        if cast is None:
            problem = {"title": "Unknown log", "status": 404, "detail": "There is no log of that id.", "field": ""}
            return JSONResponse(problem, 404, media_type="application/problem+json")
        return JSONResponse(cast.status())

    async def _cancel(self, request: Request) -> Response:
        self.casts[request.path_params["id"]].end("cancelled")
        return Response(status_code=204)

    async def _record(self, request: Request) -> Response:
        cast, seq = self.casts[request.path_params["id"]], request.path_params["seq"]
        cast.fetched.append(seq)
        return Response(cast.records[seq].body, media_type="audio/ogg")

    async def _follow(self, socket: WebSocket) -> None:
        await socket.accept()
        cast = self.casts.get(socket.path_params["id"])
        if cast is None:
            await socket.close(4404)
            return
        at = int(socket.query_params["offset"])
        cast.requests.append(at)
        cast.sockets.add(socket)
        hearing = asyncio.create_task(_hear(socket, cast))
        try:
            await _send_all(socket, cast, max(0, at - cast.overlap))
        except (WebSocketDisconnect, RuntimeError):
            return  # cut by the test, or the page is gone
        finally:
            hearing.cancel()
            cast.sockets.discard(socket)


async def _hear(socket: WebSocket, cast: FakeCast) -> None:
    with suppress(WebSocketDisconnect, RuntimeError):
        while True:
            cast.told.append((await socket.receive_json())["position_ms"])


async def _send_all(socket: WebSocket, cast: FakeCast, at: int) -> None:
    while not (at > 0 and cast.records[at - 1].terminal):
        grown = cast.grown
        for record in cast.records[at:]:
            await socket.send_bytes(struct.pack(">I", len(record.head)) + record.head + record.body)
            at += 1
        if not cast.records[at - 1].terminal:
            await grown.wait()
    await socket.close(1000)


def _page(path: Path) -> Callable[[Request], Awaitable[Response]]:
    async def answer(_: Request) -> Response:
        return FileResponse(path, headers={"Content-Security-Policy": POLICY})

    return answer


@contextmanager
def running() -> Iterator[FakeFront]:
    """A front on a port of its own."""
    front = FakeFront()
    config = uvicorn.Config(front.app(), port=0, log_level="warning", timeout_graceful_shutdown=1)
    server = _Server(config, front)
    thread = threading.Thread(target=server.run)
    thread.start()
    server.ready.wait()
    try:
        yield front
    finally:
        server.should_exit = True
        thread.join()


class _Server(uvicorn.Server):
    """Says when it listens, and where."""

    def __init__(self, config: uvicorn.Config, front: FakeFront) -> None:
        super().__init__(config)
        self.ready = threading.Event()
        self._front = front

    async def startup(self, sockets: Any = None) -> None:
        await super().startup(sockets)
        self._front.loop = asyncio.get_running_loop()
        port = self.servers[0].sockets[0].getsockname()[1]
        self._front.url = f"http://127.0.0.1:{port}"
        self.ready.set()
