"""uvicorn's HTTP/1.1, and one thing more: a response may cut its connection without waiting for its reader."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_CUT = "castline.cut"


class CuttableHttp(HttpToolsProtocol):
    """uvicorn closes a connection once what was written has been read: for a reader that does not read, never."""

    def on_message_begin(self) -> None:
        """A request begins."""
        super().on_message_begin()
        self.scope["state"][_CUT] = self.transport.abort


def cut(scope: Scope) -> None:
    """Drop this request's connection, and what was written to it and not read."""
    abort = scope.get("state", {}).get(_CUT)
    if abort is not None:  # another server, or none: tests
        cast("Callable[[], None]", abort)()
