"""A TCP proxy on the loopback that can be slow, narrow, deaf, or cut every connection."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct

CHUNK = 1 << 16
CHUNKS_UNDER_WAY = 64

_Line = asyncio.Queue[tuple[float, bytes]]
"""(when it may go on, data); b"" is the end."""


class Proxy:
    """Forwards its own port to another one. The faults are attributes, and may be changed at any time.

    latency_s: every chunk is late by so much, give or take jitter_s, without changing its place; bytes_per_s: both
    directions of all connections together, 0 is without limit.
    """

    def __init__(self, upstream_port: int, rng: random.Random) -> None:
        self._upstream = upstream_port
        self._rng = rng
        self._open = asyncio.Event()
        self._open.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._connections: set[asyncio.Task[None]] = set()
        self._free_at = 0.0
        self.latency_s = 0.0
        self.jitter_s = 0.0
        self.bytes_per_s = 0.0
        self.port = 0

    async def start(self) -> Proxy:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def close(self) -> None:
        """Stop listening, and cut what is connected."""
        self._server.close()
        self.mend()
        self.reset_all()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def hole(self) -> None:
        """Nothing gets through any more, and nobody is told: connections stand, bytes wait."""
        self._open.clear()

    def mend(self) -> None:
        """No fault but those that have happened."""
        self.latency_s = self.jitter_s = self.bytes_per_s = 0.0
        self._open.set()

    def reset_all(self) -> int:
        """Cut every connection with a RST, on both sides. How many sockets."""
        writers = list(self._writers)
        for writer in writers:
            _reset(writer)
        return len(writers)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._open.wait()
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        except OSError:
            _reset(writer)  # the server is down: the closest to a refusal that a proxy has
        else:
            self._writers.add(up_writer)
            await self._carry(reader, up_writer, up_reader, writer)
            self._writers.discard(up_writer)
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
        up_reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Until either side ends. No half-closed connections: neither Redis nor AMQP has any."""
        up: _Line = asyncio.Queue(CHUNKS_UNDER_WAY)
        down: _Line = asyncio.Queue(CHUNKS_UNDER_WAY)
        takes = [asyncio.create_task(self._take(r, line)) for r, line in ((reader, up), (up_reader, down))]
        gives = [asyncio.create_task(self._give(line, w)) for line, w in ((up, up_writer), (down, writer))]
        try:
            await asyncio.wait(gives, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in (*takes, *gives):
                task.cancel()
            await asyncio.gather(*takes, *gives, return_exceptions=True)
            up_writer.close()

    async def _take(self, reader: asyncio.StreamReader, line: _Line) -> None:
        loop = asyncio.get_running_loop()
        due = 0.0
        data = b"?"
        while data:
            try:
                data = await reader.read(CHUNK)
            except OSError:
                data = b""
            late = max(0.0, self.latency_s + self._rng.uniform(-self.jitter_s, self.jitter_s))
            due = max(due, loop.time() + late)
            await line.put((due, data))

    async def _give(self, line: _Line, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while True:
                due, data = await line.get()
                if (wait := max(due, self._turn(len(data))) - loop.time()) > 0:
                    await asyncio.sleep(wait)
                await self._open.wait()
                if not data:
                    return
                writer.write(data)
                await writer.drain()

    def _turn(self, size: int) -> float:
        """When so many bytes have fitted through, loop time in s."""
        if not self.bytes_per_s:
            return 0.0
        now = asyncio.get_running_loop().time()
        self._free_at = max(now, self._free_at) + size / self.bytes_per_s
        return self._free_at


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with a RST instead of a FIN."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed meanwhile
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
