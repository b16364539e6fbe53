"""A response that lasts: sends pieces as they come, pings while there are none, lets go of readers that do not read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator, Callable
from typing import TypeVar

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from contracts.errors import CastlineError, ClientLeft
from producer_api.follow.framing import SSE_PING
from producer_api.protocol import cut

T = TypeVar("T")

logger = logging.getLogger(__name__)

PING_S = 15.0


async def started(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The same pieces, with the first one made already: an error before it can still become a problem response."""
    first = await _first(pieces)

    async def again() -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    return again()


async def begun(
    http: Request, pieces: AsyncGenerator[bytes, None],
    within_s: float | None = None, as_event: Callable[[CastlineError], bytes] | None = None,
) -> AsyncGenerator[bytes, None]:  # fmt: skip
    """As `started`, for a request that may be the only one who wants them: if its client goes, they are closed.

    within_s: of server-sent events, how long to wait for the first; from then on errors are events, made by as_event.
    Raises what is raised before that, and ClientLeft.
    """
    first = asyncio.create_task(_first(pieces))
    await attend(http, first, within_s)
    if first.done():
        await first

    async def again() -> AsyncGenerator[bytes, None]:
        try:
            async with contextlib.aclosing(pieces):
                try:
                    if not first.done():
                        yield SSE_PING
                    yield await first
                finally:  # what runs can not be closed
                    first.cancel()
                    await asyncio.gather(first, return_exceptions=True)
                async for piece in pieces:
                    yield piece
        except CastlineError as exc:
            if as_event is None:
                raise
            yield as_event(exc)

    return again()


async def _first(pieces: AsyncGenerator[bytes, None]) -> bytes:
    return await anext(pieces, b"")  # a cast may hold no sound at all


async def attend(http: Request, task: asyncio.Task[T], within_s: float | None = None) -> None:
    """Wait for a task while its client stays, but not longer than within_s. Raises ClientLeft: the task is cancelled
    then.
    """
    leaving = asyncio.create_task(left(http.receive))
    stays = False
    try:
        await asyncio.wait((task, leaving), timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        stays = task.done() or not leaving.done()
    finally:
        leaving.cancel()
        if not stays:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    if not stays:
        raise ClientLeft


class LiveResponse(Response):
    """Streams an async generator. ping: sent after PING_S without a piece; b"" sends none.

    An error after the first byte cuts the connection without the closing chunk: a client can tell a cut stream from a
    whole one. A reader that takes longer than send_timeout_s over one piece is cut, too.
    """

    def __init__(
        self, pieces: AsyncGenerator[bytes, None], *,
        media_type: str, headers: dict[str, str], send_timeout_s: float, ping: bytes = b"",
    ) -> None:  # fmt: skip
        super().__init__(None, 200, headers, media_type)
        del self.headers["content-length"]
        self._pieces = pieces
        self._ping = ping
        self._send_timeout_s = send_timeout_s
        self._sending = asyncio.Lock()
        self._sent_at = time.monotonic()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it all; see the class."""
        async with contextlib.aclosing(self._pieces):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            beside: list[asyncio.Task[None]] = []
            try:
                async with asyncio.timeout(None) as connection:
                    beside.append(asyncio.create_task(_end_with(connection, receive)))
                    if self._ping:
                        beside.append(asyncio.create_task(self._keep_alive(send, connection)))
                    async for piece in self._pieces:
                        await self._send(send, piece)
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            except TimeoutError:
                logger.info("reader has gone, or does not read")
                cut(scope)
            except CastlineError as exc:
                logger.info("stream cut", extra={"error": str(exc)})
            finally:
                for task in beside:
                    task.cancel()
                await asyncio.gather(*beside, return_exceptions=True)

    async def _send(self, send: Send, piece: bytes) -> None:
        async with self._sending, asyncio.timeout(self._send_timeout_s):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        self._sent_at = time.monotonic()

    async def _keep_alive(self, send: Send, connection: asyncio.Timeout) -> None:
        try:
            while True:
                await asyncio.sleep(PING_S)
                if time.monotonic() - self._sent_at > PING_S / 2:
                    await self._send(send, self._ping)
        except TimeoutError:
            _end(connection)


async def _end_with(connection: asyncio.Timeout, receive: Receive) -> None:
    """When the client has gone, its response ends."""
    await left(receive)
    _end(connection)


async def left(receive: Receive) -> None:
    """Until the client of a request has gone; its body has been read."""
    while (await receive())["type"] != "http.disconnect":
        pass


def _end(connection: asyncio.Timeout) -> None:
    connection.reschedule(asyncio.get_running_loop().time())
