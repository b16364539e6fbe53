"""A response that lasts: sends pieces as they come, pings while there are none, lets go of readers that do not read."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncGenerator, AsyncIterator

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from contracts.errors import CastlineError

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

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  ASGI
        """Send it all; see the class."""
        async with contextlib.aclosing(self._pieces):
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            gone = asyncio.create_task(_disconnected(receive))
            try:
                async with contextlib.aclosing(_with_pings(self._pieces, gone, self._ping)) as pieces:
                    async for piece in pieces:
                        async with asyncio.timeout(self._send_timeout_s):
                            await send({"type": "http.response.body", "body": piece, "more_body": True})
                if not gone.done():
                    await send({"type": "http.response.body", "body": b"", "more_body": False})
            except TimeoutError:
                logger.info("reader let go: it does not read")
            except CastlineError as exc:
                logger.info("stream cut", extra={"error": str(exc)})
            finally:
                gone.cancel()


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _with_pings(
    pieces: AsyncIterator[bytes], gone: asyncio.Task[None], ping: bytes
) -> AsyncGenerator[bytes, None]:
    """The pieces, with pings between them, until they end or the client has gone."""
    while not gone.done():
        following = asyncio.ensure_future(anext(pieces))
        try:
            while not following.done():
                await asyncio.wait((following, gone), timeout=PING_S, return_when=asyncio.FIRST_COMPLETED)
                if gone.done():
                    return
                if not following.done() and ping:
                    yield ping
            yield await following
        except StopAsyncIteration:
            return
        finally:
            if not following.done():
                following.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await following
