"""Adds units to one open cast, as they become known."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import accumulate

from contracts.adapters import Store
from contracts.errors import AnotherWriter, CastNotOpen
from contracts.jobs import SpeechRecipe
from contracts.ports import Grown, LogSource, Work
from producer_api.dispatch import Dispatch, lengths_ms, source_lengths_ms


class CastWriter:
    """Of a cast as `source` says it stands.

    exact: adds behind what is there, and nobody else does. Otherwise it begins again at unit 0: units that are there
    stay, so others may add the same at the same time.
    """

    def __init__(self, store: Store, dispatch: Dispatch, source: LogSource, client: str, *, exact: bool) -> None:
        self._log, self._dispatch = store.log_writer, dispatch
        self._opened, self._client, self._exact = source, client, exact
        self.recipe = SpeechRecipe.model_validate(source.recipe)
        self._lengths_ms = source_lengths_ms(source)
        self.units = source.status.total if exact else 0
        """Of the cast, as far as this writer has come."""

    async def supply(self) -> None:
        """Submit what was there before and is not committed: who wrote it may have died. Raises Unavailable."""
        if self._lengths_ms:
            await self._dispatch.supply(self._opened.status, self._client, self._lengths_ms)

    async def add(self, units: Sequence[str], *, close: bool = False) -> None:
        """These come next; close: they were the last. Raises CastNotOpen, AnotherWriter, StoreUnavailable."""
        if not (units or close):
            return
        first = self.units
        grown = await self._grow(first, units, close=close)
        self.units = first + len(units)
        if grown.total < self.units:
            raise CastNotOpen("it was closed")
        known = len(self._lengths_ms)
        self._lengths_ms += lengths_ms(units[max(0, known - first) :], self.recipe)
        if known < len(self._lengths_ms):
            await self._submit(known)

    async def touch(self) -> None:
        """Say that somebody writes. Raises as add does."""
        grown = await self._log.grow(*self._name, self.units, [], close=False)
        if grown.verdict != "OK":
            raise CastNotOpen("it was cancelled, or has expired")

    @property
    def _name(self) -> tuple[str, str]:
        return self._opened.status.job, self._opened.status.epoch

    async def _grow(self, first: int, units: Sequence[str], *, close: bool) -> Grown:
        grown = await self._log.grow(*self._name, first, units, close=close, exact=self._exact)
        if grown.verdict == "GONE":
            raise CastNotOpen("it was cancelled, or has expired")
        if grown.verdict == "GAP":
            raise AnotherWriter
        return grown

    async def _submit(self, first: int) -> None:
        """Units from `first` on. Their times are counted from the audio that is there, where it is known."""
        job, epoch = self._name
        before = [0, *accumulate(self._lengths_ms)]
        status = await self._log.status(job)
        shift_ms = 0
        if status is not None and status.epoch == epoch and status.watermark <= first:
            shift_ms = status.audio_ms - before[status.watermark]
        opened = self._opened.status
        work = Work(
            job, epoch, self._client, opened.job_class, self._lengths_ms[first:], first, before[first], shift_ms
        )
        await asyncio.shield(self._dispatch.add(opened.lane, work))
