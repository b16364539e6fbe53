"""The engine process: owns the model, renders what it is sent on a socket, ends when the socket does.

Started by workers.engine_process as `python -m workers.engine_child FD FACTORY OPTIONS`, where FACTORY is
`module:function` and the function makes an Engine of the JSON options. Model libraries may print and crash as they
like: the socket is not stdout, and the worker outlives this process.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import json
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from contracts.errors import BadInput, CastlineError, EngineStopped
from contracts.ports import Output
from workers import wire
from workers.engine import CuttingEngine, Engine, UnitRequest

logger = logging.getLogger(__name__)

MOST_AT_ONCE = 1_024
"""Threads; one is made where none is idle, so the worker decides how many there are."""
PIECES_AHEAD = 8
"""Pieces of a recording sent before the first of them is taken."""
LOOK_S = 0.5
"""How often a cut that waits looks whether it was stopped."""


class _Server:
    """Reads requests on the main thread, renders on others."""

    def __init__(self, connection: socket.socket, engine: Engine) -> None:
        self._connection = connection
        self._engine = engine
        self._writing = threading.Lock()
        self._stops: dict[int, threading.Event] = {}
        self._credits: dict[int, threading.Semaphore] = {}

    def run(self) -> None:
        """Load, say so, serve until the worker closes the socket."""
        try:
            info = self._engine.load()
        except CastlineError as exc:
            self._send({"op": "unloadable", "error": str(exc), "kind": type(exc).__name__})
            return
        self._send({"op": "ready", "info": dataclasses.asdict(info)})
        pool = ThreadPoolExecutor(MOST_AT_ONCE, "render")
        while (received := self._receive()) is not None:
            message, body = received
            key = message["key"]
            if message["op"] == "stop":
                if (stop := self._stops.get(key)) is not None:
                    stop.set()
                continue
            if message["op"] == "more":
                if (credit := self._credits.get(key)) is not None:
                    credit.release()
                continue
            self._stops[key] = threading.Event()
            if message["op"] == "cut":
                self._credits[key] = threading.Semaphore(PIECES_AHEAD)
                pool.submit(
                    self._answer, key, functools.partial(self._cut, key, Path(message["path"]), message["recipe"])
                )
                continue
            request = UnitRequest(message["index"], message["text"], message["recipe"], message["alone"], body)
            pool.submit(self._answer, key, functools.partial(self._engine.render, request))

    def _cut(self, key: int, path: Path, recipe: Mapping[str, Any], stop: threading.Event) -> Output:
        """Send pieces, a few ahead of those that were taken."""
        started = time.monotonic()
        engine: CuttingEngine = self._engine  # type: ignore[assignment]  # only those that can are asked to
        credit = self._credits[key]
        count = 0
        try:
            cutting = engine.cut(path, recipe, stop)
            for count, piece in enumerate(cutting, 1):  # noqa: B007  (it is used behind the loop)
                while not credit.acquire(timeout=LOOK_S):
                    if stop.is_set():
                        raise EngineStopped("stopped")
                head = {"start_ms": piece.start_ms, "end_ms": piece.end_ms, "language": piece.language}
                self._send({"op": "piece", "key": key, **head}, piece.body)
        finally:
            del self._credits[key]
        gen_ms = round(1000 * (time.monotonic() - started))
        return Output("cut", {"i": 0, "t": "", "units": count, "end": cutting.duration_ms, "g": gen_ms}, b"", 0, gen_ms)

    def _answer(self, key: int, work: Callable[[threading.Event], Output]) -> None:
        try:
            output = work(self._stops[key])
        except EngineStopped:
            reply, body = {"op": "stopped", "key": key}, b""
        except BadInput as exc:
            reply, body = {"op": "bad", "key": key, "slug": exc.slug, "error": exc.detail, "field": exc.field}, b""
        except Exception as exc:
            logger.warning("unit failed", exc_info=True)
            reply, body = {"op": "failed", "key": key, "error": f"{type(exc).__name__}: {exc}"}, b""
        else:
            fields = {"type": output.type, "headers": dict(output.headers)}
            times = {"duration_ms": output.duration_ms, "gen_ms": output.gen_ms}
            reply, body = {"op": "done", "key": key, **fields, **times}, output.body
        del self._stops[key]
        self._send(reply, body)

    def _send(self, head: dict[str, Any], body: bytes = b"") -> None:
        try:
            with self._writing:
                self._connection.sendall(wire.pack(head, body))
        except OSError:
            os._exit(0)  # the worker is gone, and nobody waits for this

    def _receive(self) -> tuple[dict[str, Any], bytes] | None:
        lengths = self._exactly(wire.LENGTHS_SIZE)
        if lengths is None:
            return None
        head_size, body_size = wire.unpack_lengths(lengths)
        head, body = self._exactly(head_size), self._exactly(body_size)
        return None if head is None or body is None else (dict(json.loads(head)), body)

    def _exactly(self, size: int) -> bytes | None:
        data = bytearray()
        while len(data) < size:
            try:
                more = self._connection.recv(size - len(data))
            except OSError:
                return None
            if not more:
                return None
            data += more
        return bytes(data)


def main() -> None:
    """Serve on the inherited socket; see the module's first lines for the arguments."""
    fd, factory, options = sys.argv[1:]
    logging.basicConfig(level=logging.INFO, format="%(asctime)s engine %(name)s %(levelname)s %(message)s")
    # Ctrl-C reaches the whole group; it is the worker that decides when the engine ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    module, _, function = factory.partition(":")
    engine: Engine = getattr(importlib.import_module(module), function)(json.loads(options))
    _Server(socket.socket(fileno=int(fd)), engine).run()
    os._exit(0)  # threads may still be inside a model; nothing they hold is worth waiting for


if __name__ == "__main__":
    main()
