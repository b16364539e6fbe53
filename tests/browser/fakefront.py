"""A front for the pages alone: the real web files, and casts of tones."""

from __future__ import annotations

import asyncio
import struct
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import uvicorn
from browser.fakecast import FakeCast
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.websockets import WebSocket, WebSocketDisconnect

WEB = Path(__file__).parents[2] / "producer_api" / "web"
HERE = Path(__file__).parent
# As strict as a policy can be that lets the pages work: what breaks under it was inline or from elsewhere.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class FakeFront:
    """The server and its casts."""

    def __init__(self) -> None:
        self.casts: dict[str, FakeCast] = {}
        self.posted: list[dict[str, Any]] = []
        self.problem: dict[str, Any] | None = None
        """When set, POST /v1/casts answers with it."""
        self.document: dict[str, Any] = {}
        """What POST /v1/texts answers; a problem if it has a status."""
        self.texts: list[tuple[str, str, bytes]] = []
        """What was sent there: name, type, body."""
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
            Route("/v1/texts", self._text, methods=["POST"]),
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
        kept = {"model": "m", "gender": "female", "mixes": True}
        voices = [{"id": i, "language": g, "available": a, **kept} for i, g, a in names]
        return JSONResponse({"voices": voices, "default": "af_heart"})

    async def _text(self, request: Request) -> Response:
        kind = request.headers["content-type"]
        self.texts.append((request.query_params.get("name", ""), kind, await request.body()))
        if status := self.document.get("status"):
            return JSONResponse(self.document, status, media_type="application/problem+json")
        return JSONResponse(self.document)

    async def _post(self, request: Request) -> Response:
        self.posted.append(wanted := await request.json())
        if self.problem is not None:
            return JSONResponse(self.problem, self.problem["status"], media_type="application/problem+json")
        cast = self.cast()
        if wanted["text"].startswith("Hello. This is how I sound"):
            cast.speak(1)
            cast.end()
        return JSONResponse(cast.status(), 201)

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
        for record in [] if socket in cast.dead else cast.records[at:]:
            await socket.send_bytes(struct.pack(">I", len(record.head)) + record.head + record.body)
            at += 1
        if socket in cast.dead or not cast.records[at - 1].terminal:
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
