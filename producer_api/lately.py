"""What a call has said lately, so that its round trip does not stand in the way of every request."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

from contracts.errors import Unavailable

logger = logging.getLogger(__name__)

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")

FRESH_S = 1.0
"""For so long an answer is taken as it is."""
STALE_S = 10.0
"""For so long it is taken, too, and asked for again behind the request."""


class Lately(Generic[K, T]):
    """Answers of one call, by its argument."""

    def __init__(self, call: Callable[[K], Awaitable[T]]) -> None:
        self._call = call
        self._known: dict[K, tuple[float, T]] = {}
        self._behind: dict[K, asyncio.Task[T]] = {}

    async def get(self, key: K) -> T:
        """An answer not older than STALE_S. Raises what the call raises, if there is none."""
        at, known = self._known.get(key, (float("-inf"), None))
        age_s = time.monotonic() - at
        if known is None or age_s >= STALE_S:
            return await self._ask(key)
        if age_s >= FRESH_S and key not in self._behind:
            task = self._behind[key] = asyncio.create_task(self._ask(key))
            task.add_done_callback(lambda task: self._asked(key, task))
        return known

    async def fresh(self, key: K) -> T:
        """An answer not older than FRESH_S: for what is decided against somebody."""
        at, known = self._known.get(key, (float("-inf"), None))
        if known is None or time.monotonic() - at >= FRESH_S:
            return await self._ask(key)
        return known

    def forget(self, key: K) -> None:
        """Ask the next time."""
        self._known.pop(key, None)

    async def _ask(self, key: K) -> T:
        said = await self._call(key)
        self._known[key] = (time.monotonic(), said)
        return said

    def _asked(self, key: K, task: asyncio.Task[T]) -> None:
        del self._behind[key]
        if not task.cancelled() and isinstance(exc := task.exception(), Unavailable):
            logger.info("not asked again", extra={"error": str(exc)})  # whoever needs it now finds out
