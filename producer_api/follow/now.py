"""The records a log has now, all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator

from contracts.errors import UnknownLog
from contracts.ports import LogReader
from contracts.records import Record


async def records_now(reader: LogReader, job: str) -> AsyncIterator[Record]:
    """From the first on, without waiting for more. Raises UnknownLog."""
    at = 0
    while True:
        page = await reader.read(job, at)
        if page is None:
            raise UnknownLog(job)
        for record in page.records:
            yield record
        if not page.records or page.closed:
            return
        at = page.next_seq
