"""A response that lasts: pieces, pings, clients that leave, clients that do not read, errors on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any

import pytest
from starlette.requests import Request

from contracts.errors import CastlineError, ClientLeft, UnknownLog
from producer_api.follow import live
from producer_api.follow.live import LiveResponse, begun, started


class Client:
    """An ASGI client. left: set when it goes; reads: whether it takes what is sent."""

    def __init__(self, *, reads: bool = True) -> None:
        self.left = asyncio.Event()
        self.sent: list[dict[str, Any]] = []
        self.got = asyncio.Event()
        self.cut = asyncio.Event()
        self._reads = reads

    async def receive(self) -> dict[str, Any]:
        await self.left.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if not self._reads and message.get("body"):
            await asyncio.Event().wait()
        self.sent.append(message)
        self.got.set()

    @property
    def request(self) -> Request:
        return Request({"type": "http"}, self.receive)

    @property
    def body(self) -> bytes:
        return b"".join(m.get("body", b"") for m in self.sent)

    @property
    def whole(self) -> bool:
        """The closing chunk has come: the stream was not cut."""
        return self.sent[-1].get("more_body") is False


async def run(pieces: AsyncGenerator[bytes, None], client: Client, **options: Any) -> None:
    response = LiveResponse(pieces, media_type="text/plain", headers={}, **{"send_timeout_s": 5.0, **options})
    async with asyncio.timeout(20):
        await response({"type": "http", "state": {"castline.cut": client.cut.set}}, client.receive, client.send)


class Pieces:
    """A generator that says whether it was closed."""

    def __init__(self, *steps: bytes | Exception | None) -> None:
        self.steps = steps
        self.closed = False

    async def __call__(self) -> AsyncGenerator[bytes, None]:
        try:
            for step in self.steps:
                if isinstance(step, Exception):
                    raise step
                if step is None:
                    await asyncio.Event().wait()
                else:
                    yield step
        finally:
            self.closed = True


async def test_a_whole_stream_ends_with_its_closing_chunk() -> None:
    client, pieces = Client(), Pieces(b"one", b"two")
    await run(pieces(), client)
    assert (client.body, client.whole, pieces.closed, client.cut.is_set()) == (b"onetwo", True, True, False)
    assert not any(k == b"content-length" for k, _ in client.sent[0]["headers"])


async def test_an_error_on_the_way_cuts_the_stream() -> None:
    client, pieces = Client(), Pieces(b"one", CastlineError("no"))
    await run(pieces(), client)
    assert (client.body, client.whole, pieces.closed) == (b"one", False, True)


async def test_a_client_that_leaves_ends_the_generator() -> None:
    client, pieces = Client(), Pieces(b"one", None)
    running = asyncio.create_task(run(pieces(), client))
    while client.body != b"one":
        await client.got.wait()
        client.got.clear()
    client.left.set()
    await running
    assert (client.whole, pieces.closed) == (False, True)


async def test_a_client_that_does_not_read_is_let_go() -> None:
    client, pieces = Client(reads=False), Pieces(b"one")
    await run(pieces(), client, send_timeout_s=0.05)
    assert (client.body, pieces.closed, client.cut.is_set()) == (b"", True, True)


@pytest.mark.parametrize("reads", [True, False])
async def test_pings_fill_silence_and_notice_who_does_not_read(monkeypatch: pytest.MonkeyPatch, *, reads: bool) -> None:
    monkeypatch.setattr(live, "PING_S", 0.02)
    client, pieces = Client(reads=reads), Pieces(None)
    running = asyncio.create_task(run(pieces(), client, ping=b": ping\n\n", send_timeout_s=0.05))
    if reads:
        while client.body.count(b"ping") < 2:
            await client.got.wait()
            client.got.clear()
        client.left.set()
    await running
    assert pieces.closed


async def test_an_error_before_the_first_piece_can_still_be_a_problem() -> None:
    with pytest.raises(UnknownLog):
        await started(Pieces(UnknownLog("x"), b"one")())
    pieces = Pieces(b"one", b"two")
    assert [p async for p in await started(pieces())] == [b"one", b"two"]
    assert pieces.closed


async def test_who_leaves_before_the_first_piece_ends_the_work() -> None:
    client, pieces = Client(), Pieces(None)
    client.left.set()
    with pytest.raises(ClientLeft):
        await begun(client.request, pieces())
    assert pieces.closed


async def test_an_error_after_the_first_piece_is_an_event_or_cuts() -> None:
    client = Client()
    with pytest.raises(UnknownLog):
        await begun(client.request, Pieces(UnknownLog("x"))(), 5, said)
    late = await begun(client.request, Pieces(b"one", UnknownLog("x"))(), 5, said)
    assert [piece async for piece in late] == [b"one", b"UnknownLog"]
    late = await begun(client.request, Pieces(b"one", UnknownLog("x"))())
    assert await anext(late) == b"one"
    with pytest.raises(UnknownLog):
        await anext(late)


async def test_events_begin_in_time_whatever_comes() -> None:
    waiting = await begun(Client().request, Pieces(None)(), 0.01, said)
    assert await anext(waiting) == b": ping\n\n"
    await waiting.aclose()


async def test_a_stream_may_hold_nothing() -> None:
    assert [piece async for piece in await started(Pieces()())] == [b""]
    assert [piece async for piece in await begun(Client().request, Pieces()())] == [b""]


def said(exc: CastlineError) -> bytes:
    return type(exc).__name__.encode()
