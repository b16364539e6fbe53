"""The worker's end of its engine process: starts it, sends it units, survives it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import socket
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any

from contracts.errors import BadInput, EngineDied, EngineError, EngineStopped, ModelMissing, UnitFailed
from contracts.ports import Output
from workers import wire
from workers.engine import EngineInfo, Piece, UnitRequest

logger = logging.getLogger(__name__)


class EngineProcess:
    """One child process at a time; a unit that is in it when it dies raises EngineDied, the next one starts another."""

    def __init__(self, factory: str, options: Mapping[str, Any], start_timeout_s: float) -> None:
        self._command = (factory, json.dumps(dict(options)))
        self._start_timeout_s = start_timeout_s
        self._starting = asyncio.Lock()
        self._process: asyncio.subprocess.Process | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._reading: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Output]] = {}
        self._pieces: dict[int, asyncio.Queue[Piece | None]] = {}
        self._keys = itertools.count(1)
        self.starts = 0

    @property
    def pid(self) -> int | None:
        """Process id while it runs."""
        return None if self._process is None else self._process.pid

    async def start(self) -> EngineInfo:
        """Start the process and wait until its model is loaded. Raises ModelMissing or EngineError."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "workers.engine_child", str(theirs.fileno()), *self._command,
                pass_fds=[theirs.fileno()], stdin=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        self.starts += 1
        reader, self._writer = await asyncio.open_connection(sock=ours)
        try:
            async with asyncio.timeout(self._start_timeout_s):
                head, _ = await _receive(reader)
        except (TimeoutError, asyncio.IncompleteReadError, ConnectionError) as exc:
            await self._end()
            raise EngineDied("the engine process ended or hung while it loaded its model") from exc
        if head["op"] != "ready":
            await self._end()
            error = ModelMissing if head["kind"] == "ModelMissing" else EngineError
            raise error(head["error"])
        self._reading = asyncio.create_task(self._read(reader))
        info = head["info"]
        return EngineInfo(**{**info, "voices": tuple(info["voices"])})

    async def render(self, request: UnitRequest, stop: asyncio.Event) -> Output:
        """Render one unit; when `stop` is set, tell the engine and raise EngineStopped.

        Raises EngineDied, EngineStopped or UnitFailed.
        """
        fields = {"index": request.index, "text": request.text, "recipe": dict(request.recipe), "alone": request.alone}
        async with self._asked({"op": "render", **fields}, request.body, stop) as (_, done):
            try:
                return await done
            except BadInput as exc:  # whoever took the job in has looked at it: for a unit it is a failure like others
                raise UnitFailed(exc.detail) from exc

    async def cut(self, path: str, recipe: Mapping[str, Any], stop: asyncio.Event) -> AsyncGenerator[Piece | Output]:
        """Pieces of a recording as they are cut, then what that came to; a few are made ahead of those taken.

        The engine must be a CuttingEngine. Raises BadAudio, EngineDied, EngineStopped or UnitFailed.
        """
        async with self._asked({"op": "cut", "path": path, "recipe": dict(recipe)}, b"", stop) as (key, done):
            pieces = self._pieces[key] = asyncio.Queue()
            done.add_done_callback(lambda _: pieces.put_nowait(None))
            try:
                while (piece := await pieces.get()) is not None:
                    yield piece
                    self._tell({"op": "more", "key": key})
                yield await done
            finally:
                del self._pieces[key]

    @contextlib.asynccontextmanager
    async def _asked(
        self, request: Mapping[str, Any], body: bytes, stop: asyncio.Event
    ) -> AsyncIterator[tuple[int, asyncio.Future[Output]]]:
        """Send a request; its key, and its answer to come. The engine is told to stop with `stop`, or if we leave."""
        await self._alive()
        key = next(self._keys)
        done = self._waiting[key] = asyncio.get_running_loop().create_future()
        self._tell({**request, "key": key}, body)
        stopping = asyncio.create_task(stop.wait())
        stopping.add_done_callback(lambda _: None if done.done() else self._tell({"op": "stop", "key": key}))
        try:
            yield key, done
        finally:
            stopping.cancel()
            self._waiting.pop(key, None)

    def _tell(self, head: Mapping[str, Any], body: bytes = b"") -> None:
        assert self._writer is not None  # noqa: S101  (set by start)
        self._writer.write(wire.pack(head, body))

    async def _alive(self) -> None:
        async with self._starting:
            if self._reading is None or self._reading.done():
                await self._end()
                logger.warning("engine process starts again", extra={"starts": self.starts})
                await self.start()

    async def _read(self, reader: asyncio.StreamReader) -> None:
        """Hand results to those who wait for them, until the process is gone."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head, body = await _receive(reader)
                waiting = self._waiting.get(head["key"])
                if head["op"] == "piece":
                    if (pieces := self._pieces.get(head["key"])) is not None:
                        pieces.put_nowait(Piece(head["start_ms"], head["end_ms"], head["language"], body))
                elif waiting is not None and not waiting.done():
                    _settle(waiting, head, body)
        held = [waiting for waiting in self._waiting.values() if not waiting.done()]
        for waiting in held:
            waiting.set_exception(EngineDied("the engine process ended", beside=len(held) - 1))

    async def _end(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()
            self._process = None

    async def close(self) -> None:
        """End the process; nothing it does matters any more."""
        await self._end()
        if self._reading is not None:
            await self._reading


async def _receive(reader: asyncio.StreamReader) -> tuple[dict[str, Any], bytes]:
    head, body = wire.unpack_lengths(await reader.readexactly(wire.LENGTHS_SIZE))
    return json.loads(await reader.readexactly(head)), await reader.readexactly(body)


def _bad_input(head: Mapping[str, Any]) -> BadInput:
    exc = BadInput(head["error"], field=head["field"])
    exc.slug = head["slug"]
    return exc


def _settle(waiting: asyncio.Future[Output], head: Mapping[str, Any], body: bytes) -> None:
    if head["op"] == "done":
        times = {"duration_ms": head["duration_ms"], "gen_ms": head["gen_ms"]}
        waiting.set_result(Output(head["type"], head["headers"], body, **times))
    elif head["op"] == "stopped":
        waiting.set_exception(EngineStopped("stopped"))
    elif head["op"] == "bad":
        waiting.set_exception(_bad_input(head))
    else:
        waiting.set_exception(UnitFailed(head["error"]))
