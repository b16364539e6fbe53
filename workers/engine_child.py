"""The engine process: owns the model, renders what it is sent on a socket, ends when the socket does.

Started by workers.engine_process as `python -m workers.engine_child FD FACTORY OPTIONS`, where FACTORY is
`module:function` and the function makes an Engine of the JSON options. Model libraries may print and crash as they
like: the socket is not stdout, and the worker outlives this process.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import logging
import os
import signal
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from contracts.errors import CastlineError, EngineStopped
from workers import wire
from workers.engine import Engine, UnitRequest

logger = logging.getLogger(__name__)


class _Server:
    """Reads requests on the main thread, renders on `slots` others."""

    def __init__(self, connection: socket.socket, engine: Engine) -> None:
        self._connection = connection
        self._engine = engine
        self._writing = threading.Lock()
        self._stops: dict[int, threading.Event] = {}

    def run(self) -> None:
        """Load, say so, serve until the worker closes the socket."""
        try:
            info = self._engine.load()
        except CastlineError as exc:
            self._send({"op": "unloadable", "error": str(exc), "kind": type(exc).__name__})
            return
        self._send({"op": "ready", "info": dataclasses.asdict(info)})
        pool = ThreadPoolExecutor(info.slots, "render")
        while (message := self._receive()) is not None:
            key = message["key"]
            if message["op"] == "stop":
                if (stop := self._stops.get(key)) is not None:
                    stop.set()
                continue
            self._stops[key] = threading.Event()
            request = UnitRequest(message["index"], message["text"], message["recipe"], message["alone"])
            pool.submit(self._render, key, request)

    def _render(self, key: int, request: UnitRequest) -> None:
        stop = self._stops[key]
        try:
            output = self._engine.render(request, stop)
        except EngineStopped:
            reply, body = {"op": "stopped", "key": key}, b""
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

    def _receive(self) -> dict[str, Any] | None:
        lengths = self._exactly(wire.LENGTHS_SIZE)
        if lengths is None:
            return None
        head, _ = wire.unpack_lengths(lengths)
        data = self._exactly(head)
        return None if data is None else dict(json.loads(data))

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
