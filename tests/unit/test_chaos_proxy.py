"""The proxy of the chaos run: each of its faults is one."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator

import pytest

from load_tests.chaos.proxy import Proxy


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[tuple[Proxy, asyncio.StreamReader, asyncio.StreamWriter]]:
    """A server that echoes, a proxy before it, a connection through both."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    proxy = await Proxy(server.sockets[0].getsockname()[1], random.Random(1)).start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    try:
        yield proxy, reader, writer
    finally:
        writer.close()
        await proxy.close()
        server.close()


async def round_trip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size: int = 4) -> float:
    """Seconds."""
    began = time.monotonic()
    writer.write(b"x" * size)
    assert await reader.readexactly(size) == b"x" * size
    return time.monotonic() - began


async def test_it_forwards_late_if_told_to() -> None:
    async with echo() as (proxy, reader, writer):
        assert await round_trip(reader, writer, 1 << 20) < 1
        proxy.latency_s, proxy.jitter_s = 0.05, 0.02
        assert 0.06 <= await round_trip(reader, writer) < 1
        proxy.mend()
        assert await round_trip(reader, writer) < 0.05


async def test_a_narrow_line() -> None:
    async with echo() as (proxy, reader, writer):
        proxy.bytes_per_s = 1_000_000
        assert await round_trip(reader, writer, 100_000) >= 0.19


async def test_a_black_hole_keeps_what_falls_into_it() -> None:
    async with echo() as (proxy, reader, writer):
        proxy.hole()
        writer.write(b"held")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(4), 0.1)
        proxy.mend()
        assert await asyncio.wait_for(reader.readexactly(4), 1) == b"held"


async def test_a_reset_is_a_reset_and_new_connections_work() -> None:
    async with echo() as (proxy, reader, writer):
        await round_trip(reader, writer)
        assert proxy.reset_all() == 2
        with pytest.raises(ConnectionResetError):
            await reader.readexactly(1)
        again_reader, again_writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        await round_trip(again_reader, again_writer)
        again_writer.close()


async def test_a_server_that_is_down_is_a_reset() -> None:
    proxy = await Proxy(1, random.Random(1)).start()
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    with pytest.raises(ConnectionResetError):
        await reader.readexactly(1)
    writer.close()
    await proxy.close()
