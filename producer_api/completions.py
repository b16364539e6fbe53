"""What the front does with completions: open (or find) one, follow it, say where it stands, cancel it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import Any

from contracts.adapters import Store
from contracts.errors import ReusedKey, Unavailable, UnknownLog, UnknownModel
from contracts.ids import client_id, keyed_id, new_epoch, new_id
from contracts.jobs import CompletionRecipe
from contracts.ports import LogStatus, NewLog, TicketPublisher
from contracts.records import CompletionMeta, Record
from contracts.topology import LLM_LANE
from producer_api import metrics
from producer_api.chat.chunks import failure_of
from producer_api.chat.request import CompletionRequest
from producer_api.completion_models import CompletionView, links
from producer_api.dispatch import COMPLETION_MS, NO_WORKER_RETRY_S, Dispatch
from producer_api.follow.hub import Hub
from producer_api.follow.now import records_now


class Completions:
    """Completions of one front process."""

    def __init__(
        self, store: Store, publisher: TicketPublisher, dispatch: Dispatch, hub: Hub, secret: bytes, *, retention_s: int
    ) -> None:
        self._reader, self._scheduler = store.log_reader, store.scheduler
        self._publisher = publisher
        self._dispatch = dispatch
        self._hub = hub
        self._secret = secret
        self._ttl_ms = retention_s * 1000

    async def models(self, *, fresh: bool = False) -> list[str]:
        """Aliases that a running worker has, by name. fresh: not older than a second."""
        workers = await self._dispatch.workers(LLM_LANE, fresh=fresh)
        return sorted({alias for worker in workers for alias in worker.voices})

    async def post(
        self, request: CompletionRequest, *, key: str = "", address: str, tenant: str = "", ttl_ms: int = 0
    ) -> tuple[bool, str]:
        """Open a completion, or find the one of this key. (is new, its id).

        key: of the client's, for a request that may be sent again; ttl_ms: retention, if not the usual.
        Raises ReusedKey, UnknownModel or Unavailable; what was written stays, and the same key goes on from there.
        """
        job = keyed_id(self._secret, "completion", tenant, key) if key else new_id()
        known = await self._reader.status(job) if key else None
        if known is None or _failed(known):
            await self._refuse(request.model)
        digest = keyed_id(self._secret, "request", tenant, request.text)
        meta = CompletionMeta(model=request.model, title="", request=digest, created=0).model_dump(exclude={"created"})
        new_log = NewLog(
            job, new_epoch(), LLM_LANE, "live", tenant, CompletionRecipe(model=request.model).model_dump(), meta,
            [request.text], closed=True, ttl_ms=ttl_ms or self._ttl_ms, reply_to=self._publisher.reply_to,
            replace=known is not None and _failed(known),
        )  # fmt: skip
        opened = await self._dispatch.open(new_log, client_id(self._secret, tenant, address), [COMPLETION_MS])
        if not opened.new and (await self._meta(job)).get("request") != digest:
            raise ReusedKey
        metrics.COMPLETIONS.labels("new" if opened.new else "same").inc()
        return opened.new, job

    async def _refuse(self, model: str) -> None:
        """Raises Unavailable or UnknownModel, if a new completion would not be written soon."""
        refusal: Unavailable | UnknownModel | None = None
        models, full = await asyncio.gather(self.models(), self._dispatch.full(LLM_LANE, "live"))
        if model not in models:
            models = await self.models(fresh=True)
        if not models:
            refusal = Unavailable("A worker for language models", retry_after_s=NO_WORKER_RETRY_S)
        else:
            refusal = full if model in models else UnknownModel(model)
        if refusal is not None:
            metrics.COMPLETIONS.labels("refused").inc()
            raise refusal

    async def _meta(self, job: str) -> dict[str, Any]:
        """Headers of the first record. Raises UnknownLog."""
        page = await self._reader.read(job, 0, max_records=1)
        if page is None or not page.records:
            raise UnknownLog(job)
        return dict(page.records[0].headers)

    async def follow(self, job: str, *, new: bool, ephemeral: bool = False) -> AsyncGenerator[Sequence[Record], None]:
        """Runs of its records from the first on, to the last. Raises UnknownLog.

        new: it was opened a moment ago; else what is there comes in one run, so that attempts that are lost show.
        ephemeral: whoever leaves before the end cancels it.
        """
        at, ended = 0, False
        try:
            if not new:
                run = [record async for record in records_now(self._reader, job)]
                at, ended = len(run), run[-1].terminal
                yield run
            if not ended:
                async with contextlib.aclosing(self._hub.follow(job, at)) as runs:  # type: ignore[type-var]
                    async for records in runs:
                        ended = records[-1].terminal
                        yield records
        finally:
            if ephemeral and not ended:
                await asyncio.shield(self.cancel(job))

    async def status(self, job: str) -> LogStatus:
        """Where the log stands. Raises UnknownLog; a log of another kind is none."""
        status = await self._reader.status(job)
        if status is None or status.lane != LLM_LANE:
            raise UnknownLog(job)
        return status

    async def view(self, job: str) -> CompletionView:
        """Where the completion stands, for a client. Raises UnknownLog."""
        status = await self.status(job)
        records = [record async for record in records_now(self._reader, job)]
        starts = [n for n, record in enumerate(records) if record.type == "start"]
        start = records[starts[-1]].headers if starts else {}
        attempt = records[starts[-1] :] if starts else []
        end = records[-1].headers if records[-1].type == "eos" else {}
        failure = next((failure_of(r) for r in records if r.type in ("error", "skip")), None)
        live = status.state == "live"
        place = await self._scheduler.place(LLM_LANE, f"{job}:{status.epoch}") if live else None
        state = "waiting" if live and not starts else "failed" if failure else status.state
        return CompletionView(
            id=job, state=state, model=records[0].headers["model"],
            text="".join(r.headers["t"] for r in attempt if r.type == "delta"),
            attempt=start.get("a"), upstream=start.get("upstream"), upstream_model=start.get("model"),
            finish_reason=end.get("finish_reason"), usage=end.get("usage"), ttft_ms=end.get("ttft_ms"),
            gen_ms=end.get("g"), error=None if failure is None else dict(failure),
            position=place.casts_ahead if place is not None and not place.started else None,
            workers=len(await self._dispatch.workers(LLM_LANE)) if live else 0, created=status.created_ms,
            expires=status.expires_ms, links=links(job),
        )  # fmt: skip

    async def cancel(self, job: str) -> None:
        """End a completion that is being written: its log, its place in the order of work, the request to the upstream.

        Raises UnknownLog, Unavailable.
        """
        await self.status(job)
        if await self._dispatch.cancel(job) is None:
            raise UnknownLog(job)


def _failed(status: LogStatus) -> bool:
    """It has ended without an answer: a request that comes again is written anew."""
    return status.state in ("failed", "cancelled") or status.skipped > 0
