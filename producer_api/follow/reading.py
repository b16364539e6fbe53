"""What every way to read a log over HTTP shares: where to begin, how to wait, when nothing has changed."""

from __future__ import annotations

import asyncio
import contextlib

from contracts.errors import BadInput
from contracts.ports import LogStatus, Page
from producer_api.follow.hub import Hub

LONG_POLL_S = 20.0
MAX_OFFSET = 10**10 - 1
"""Ten digits, as many as a padded offset has."""


def resolve(status: LogStatus, offset: str) -> int:
    """Seq that an offset means: -1 is the beginning, `now` the live edge. Raises BadInput."""
    if offset == "now":
        return status.next_seq
    if offset == "-1":
        return 0
    if not (offset.isascii() and offset.isdigit()) or int(offset[:12]) > MAX_OFFSET:
        raise BadInput("an offset is -1, 0, 1, 2, … or `now`", field="offset")
    return int(offset)


async def until_more(hub: Hub, job: str, start: int) -> None:
    """Until there is a record from `start` on, the log is closed, or LONG_POLL_S are over. Raises UnknownLog."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LONG_POLL_S):
            async with contextlib.aclosing(hub.follow(job, start)) as runs:  # type: ignore[type-var]
                async for _ in runs:
                    return


def etag(page: Page, start: int) -> str:
    """Of a page from `start` on: another one once it is longer, closed, or of another incarnation."""
    return f'"{page.epoch}-{start}-{page.next_seq}{"-closed" if page.closed else ""}"'


def unchanged(tag: str, if_none_match: str | None) -> bool:
    """Whether a client that sent this If-None-Match has what the tag names."""
    return if_none_match is not None and tag in (known.strip() for known in if_none_match.split(","))
