"""What the front does with transcripts: take a recording in, open (or find) its log, say where it stands, cancel it."""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from contracts.adapters import Store
from contracts.errors import BadAudio, UnknownLog, UploadTooLarge
from contracts.ids import client_id, log_id, new_epoch, new_id
from contracts.jobs import CutOrder, TranscriptRecipe
from contracts.ports import LogStatus, NewLog, Opened, TicketPublisher
from contracts.records import TranscriptMeta
from contracts.topology import HEARING_MODELS, blob_of, cut_job, cut_lane, live_lane, transcript_lane
from producer_api import metrics
from producer_api.dispatch import CUT_MS, Dispatch
from producer_api.live.moment import Session
from producer_api.transcript_models import TITLE_CHARS, LiveRequest, TranscriptRequest, TranscriptView, links

PART_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Upload:
    """A recording that was taken in."""

    blob: str
    parts: int
    sha256: str


class Transcripts:
    """Transcripts of one front process."""

    def __init__(
        self, store: Store, publisher: TicketPublisher, dispatch: Dispatch, secret: bytes, *,
        retention_s: int, max_upload_bytes: int,
    ) -> None:  # fmt: skip
        self._log, self._reader, self._scheduler = store.log_writer, store.log_reader, store.scheduler
        self._blobs = store.blobs
        self._publisher = publisher
        self._dispatch = dispatch
        self._secret = secret
        self._ttl_ms = retention_s * 1000
        self._max_bytes = max_upload_bytes

    async def post(
        self, request: TranscriptRequest, recording: AsyncIterator[bytes], *, name: str, address: str, tenant: str = ""
    ) -> tuple[bool, TranscriptView]:
        """Take the recording in; open its transcript, or find it. (is new, where it stands).

        A finished one that lacks pieces which were given up begins anew: the recording is here again, all can be heard.
        Raises BadInput or Unavailable; the recording is forgotten then.
        """
        lane = transcript_lane(request.model)
        if refusal := await self._dispatch.full(lane, request.job_class):
            metrics.POSTED.labels("refused").inc()
            raise refusal
        upload = await self._take_in(recording)
        client, ordered = client_id(self._secret, tenant, address), False
        try:
            recipe = TranscriptRecipe(**request.model_dump(exclude={"title", "job_class"}))
            job = log_id(self._secret, tenant, recipe, upload.sha256)
            title = " ".join((request.title or name).split())[:TITLE_CHARS]
            meta = TranscriptMeta(
                model=recipe.model, language=recipe.language, task=recipe.task, title=title, created=0
            ).model_dump(exclude={"created"})
            before = await self._reader.status(job)
            new_log = NewLog(
                job, new_epoch(), lane, request.job_class, tenant, recipe.model_dump(), meta, [], closed=False,
                ttl_ms=self._ttl_ms, reply_to=self._publisher.reply_to,
                replace=before is not None and before.skipped > 0,
            )  # fmt: skip
            opened = await self._dispatch.open(new_log, client)
            cutting = await self._order_cut(opened.status, recipe, upload, client)
            ordered = cutting is not None and cutting.new
        finally:
            if not ordered:  # another upload of it is used, or it came to nothing
                await asyncio.shield(self._blobs.drop(upload.blob))
        if cutting is not None:
            await self._supply(cutting, client)
        metrics.POSTED.labels("new" if opened.new else "same").inc()
        return opened.new, await self.view(job)

    async def models(self) -> list[str]:
        """Hearing models that a running worker has."""
        return await self._dispatch.served({model: transcript_lane(model) for model in HEARING_MODELS})

    async def open_live(self, request: LiveRequest, *, address: str, tenant: str = "") -> Session:
        """Open the transcript of what somebody is about to say. Raises Unavailable."""
        lane = live_lane(transcript_lane(request.model))
        if refusal := await self._dispatch.full(lane, "live"):
            metrics.POSTED.labels("refused").inc()
            raise refusal
        recipe = TranscriptRecipe(**request.model_dump(include=set(TranscriptRecipe.model_fields)))
        job, epoch = new_id(), new_epoch()
        meta = TranscriptMeta(
            model=recipe.model, language=recipe.language, task=recipe.task, title=request.title, created=0
        ).model_dump(exclude={"created"})
        new_log = NewLog(
            job, epoch, lane, "live", tenant, recipe.model_dump(), meta, [],
            closed=False, ttl_ms=self._ttl_ms, reply_to=self._publisher.reply_to,
        )  # fmt: skip
        client = client_id(self._secret, tenant, address)
        await self._dispatch.open(new_log, client)
        metrics.POSTED.labels("live").inc()
        return Session(job, epoch, lane, client, recipe, self._ttl_ms, request.interim)

    async def _take_in(self, recording: AsyncIterator[bytes]) -> Upload:
        """Store it part by part, as it comes. Raises BadAudio, UploadTooLarge, StoreUnavailable."""
        blob, digest, held = f"up.{secrets.token_hex(8)}", hashlib.sha256(), bytearray()
        parts = 0
        try:
            async for piece in _bounded(recording, self._max_bytes):
                digest.update(piece)
                held += piece
                while len(held) >= PART_BYTES:
                    await self._blobs.put(blob, {parts: bytes(held[:PART_BYTES])}, self._ttl_ms)
                    del held[:PART_BYTES]
                    parts += 1
            if held:
                await self._blobs.put(blob, {parts: bytes(held)}, self._ttl_ms)
                parts += 1
        except BaseException:
            await asyncio.shield(self._blobs.drop(blob))
            raise
        if not parts:
            raise BadAudio("The file is empty.")
        return Upload(blob, parts, digest.hexdigest())

    async def _order_cut(
        self, status: LogStatus, recipe: TranscriptRecipe, upload: Upload, client: str
    ) -> Opened | None:
        """Have the recording cut. None: it is, or nobody wants it; not new: another upload of it is being cut."""
        if status.state != "live" or status.closed:
            return None
        order = CutOrder(
            job=status.job, epoch=status.epoch, job_class=status.job_class, client=client, blob=upload.blob,
            parts=upload.parts, ttl_ms=self._ttl_ms,
        )  # fmt: skip
        meta = {"v": 1, "kind": "stt", "title": ""}
        new_log = NewLog(
            cut_job(status.job), status.epoch, cut_lane(status.lane), status.job_class, "", recipe.model_dump(), meta,
            [order.model_dump_json()], closed=True, ttl_ms=self._ttl_ms, replace=True,
        )  # fmt: skip
        return await self._log.open(new_log)

    async def _supply(self, cutting: Opened, client: str) -> None:
        """Put the cut in the order of work; have a janitor look after it."""
        await self._dispatch.expect(cutting.status.lane, cutting.status.job)
        if cutting.status.state == "live":
            await self._dispatch.supply(cutting.status, client, [CUT_MS])

    async def status(self, job: str) -> LogStatus:
        """Where the log stands. Raises UnknownLog; a log of another kind is none."""
        status = await self._reader.status(job)
        if status is None or not status.lane.startswith("stt"):
            raise UnknownLog(job)
        return status

    async def view(self, job: str) -> TranscriptView:
        """Where the transcript stands, for a client. Raises UnknownLog."""
        status = await self.status(job)
        page = await self._reader.read(job, 0, max_records=1)
        if page is None or not page.records:
            raise UnknownLog(job)
        meta: Mapping[str, Any] = page.records[0].headers
        live = status.state == "live"
        position = None
        if live and status.watermark == 0:
            place = await self._scheduler.place(status.lane, f"{job}:{status.epoch}")
            position = place.casts_ahead if place is not None and not place.started else None
        return TranscriptView(
            id=job, state="waiting" if live and status.watermark == 0 else status.state, model=meta["model"],
            language=meta["language"], task=meta["task"], title=meta["title"], job_class=status.job_class,
            cut=status.closed, units=status.total, watermark=status.watermark, skipped=status.skipped,
            audio_ms=status.audio_ms, gen_ms=status.gen_ms,
            xrt=round(status.audio_ms / status.gen_ms, 3) if status.gen_ms else None, position=position,
            workers=len(await self._dispatch.workers(status.lane)) if live else 0, created=status.created_ms,
            expires=status.expires_ms, links=links(job),
        )  # fmt: skip

    async def cancel(self, job: str) -> None:
        """End a live transcript: its log, the cutting, its waiting units, the engines at work on it.

        Raises UnknownLog, Unavailable.
        """
        await self.status(job)
        status = await self._dispatch.cancel(job)
        if status is None:
            raise UnknownLog(job)
        if status.state == "cancelled":
            await self._dispatch.cancel(cut_job(job))
            await self._blobs.drop(blob_of(job, status.epoch))


async def _bounded(recording: AsyncIterator[bytes], limit: int) -> AsyncIterator[bytes]:
    """Raises UploadTooLarge."""
    size = 0
    async for piece in recording:
        size += len(piece)
        if size > limit:
            raise UploadTooLarge(limit)
        yield piece
