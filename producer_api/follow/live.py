"""A response that lasts: sends pieces as they come, pings while there are none, lets go of readers that do not read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncGenerator

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from contracts.errors import CastlineError
from producer_api.protocol import cut

logger = logging.getLogger(__name__)

PING_S = 15.0


async def started(pieces: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
    """The same pieces, with the first one made already: an error before it can still become a problem response."""
    first = await anext(pieces)

    async def again() -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(pieces):
            yield first
            async for piece in pieces:
                yield piece

    return again()


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
