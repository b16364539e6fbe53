"""What pages of other sites may read, as pure ASGI: streams, HLS and oEmbed, for players that are not ours.

Who knows the id of a log may read it, so no origin is refused. The headers stand on every answer, problems too, whether
or not the request names an origin: a cache may keep it for another one.
"""

from __future__ import annotations

import re

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OPEN = re.compile(r"/v1/(casts|transcripts|completions)/[^/]+/(stream|live\.m3u8|hls/[^/]+)|/oembed")
_HEADERS = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Expose-Headers": (
        "ETag, Retry-After, Stream-Next-Offset, Stream-Cursor, Stream-Up-To-Date, Stream-Closed"
    ),
    "Cross-Origin-Resource-Policy": "cross-origin",
    "X-Content-Type-Options": "nosniff",
}
_PREFLIGHT = {
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "If-None-Match, Last-Event-ID, Range",
    "Access-Control-Max-Age": "86400",
}


class CrossOrigin:
    """Answers preflights of those paths, and says on every answer that it may be read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, with the headers."""
        if scope["type"] != "http" or not _OPEN.fullmatch(scope["path"]):
            await self._app(scope, receive, send)
            return

        async def opened(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        if scope["method"] == "OPTIONS":
            await Response(None, 204, _PREFLIGHT)(scope, receive, opened)
        else:
            await self._app(scope, receive, opened)
