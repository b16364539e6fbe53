"""A bell that never rings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from contracts.ports import Ring


class SilentBell:
    """Readers find what is there; nobody tells them of more."""

    async def watch(self, job: str) -> None:
        """Nothing to do."""

    async def unwatch(self, job: str) -> None:
        """Nothing to do."""

    async def rings(self) -> AsyncIterator[Ring]:
        await asyncio.Event().wait()
        yield Ring("")

    async def close(self) -> None:
        """Nothing to do."""
