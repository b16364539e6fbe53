"""What the front does with casts: open (or find) one, say where it stands, cancel it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from contracts import text, voices
from contracts.adapters import Store
from contracts.errors import NothingToSpeak, TextTooLong, UnknownLog, UnknownVoice
from contracts.ids import client_id, log_id, new_epoch
from contracts.jobs import JobClass, SpeechRecipe, WorkerInfo
from contracts.ports import LogStatus, NewLog, TicketPublisher
from contracts.records import CastMeta
from contracts.topology import speech_lane
from contracts.units import Lane, Unit
from producer_api import metrics
from producer_api.cast_models import TITLE_CHARS, CastRequest, CastView, links
from producer_api.dispatch import Dispatch, lengths_ms

LONG_TEXT_CHARS = 20_000
"""Longer texts are split off the event loop."""


class Casts:
    """Casts of one front process."""

    def __init__(
        self, store: Store, publisher: TicketPublisher, dispatch: Dispatch, secret: bytes, *,
        retention_s: int, max_text_chars: int,
    ) -> None:  # fmt: skip
        self._log, self._reader, self._scheduler = store.log_writer, store.log_reader, store.scheduler
        self._publisher = publisher
        self._dispatch = dispatch
        self._secret = secret
        self._ttl_ms = retention_s * 1000
        self._max_chars = max_text_chars

    async def post(self, request: CastRequest, *, address: str, tenant: str = "") -> tuple[bool, CastView]:
        """Open the cast of this recipe, or find it and submit what is missing. (is new, where it stands).

        address: where it came from; without a tenant, casts of one address share its turns.
        Raises BadInput or Unavailable; whatever was written stays and the same call goes on from there.
        """
        if len(request.text) > self._max_chars:
            raise TextTooLong(len(request.text), self._max_chars)
        content, units, recipe = await self._prepare(request)
        job = log_id(self._secret, tenant, recipe, content)
        lane = speech_lane(recipe.model)
        meta = CastMeta(
            model=recipe.model, model_version=recipe.model_version, voice=recipe.voice, language=recipe.language,
            speed=recipe.speed, title=_title(request.title or content), created=0,
        ).model_dump(exclude={"created"})  # fmt: skip
        with metrics.OPEN_SECONDS.time():
            await self._refuse_if_full(lane, request.job_class, job)
            new_log = NewLog(
                job, new_epoch(), lane, request.job_class, tenant, recipe.model_dump(), meta, units,
                closed=True, ttl_ms=self._ttl_ms, reply_to=self._publisher.reply_to,
            )  # fmt: skip
            opened, _ = await asyncio.gather(self._log.open(new_log), self._dispatch.expect(lane, job))
            if opened.status.state == "live":
                client = client_id(self._secret, tenant, address)
                await self._dispatch.supply(opened.status, client, lengths_ms(units, recipe), new=opened.new)
        metrics.POSTED.labels("new" if opened.new else "same").inc()
        return opened.new, await (self._view(opened.status, meta) if opened.new else self.view(job))

    async def _refuse_if_full(self, lane: Lane, job_class: JobClass, job: str) -> None:
        """Raises TooBusy; a cast that is here already is never refused."""
        if (refusal := await self._dispatch.full(lane, job_class)) and await self._reader.status(job) is None:
            metrics.POSTED.labels("refused").inc()
            raise refusal

    async def _prepare(self, request: CastRequest) -> tuple[str, list[str], SpeechRecipe]:
        model, voice, language = voices.resolve(request.model, request.voice, request.language)
        long = len(request.text) > LONG_TEXT_CHARS
        content = await asyncio.to_thread(text.normalise, request.text) if long else text.normalise(request.text)
        if not text.speakable(content):
            raise NothingToSpeak
        await self._check_loaded(speech_lane(model.id), voice)
        recipe = SpeechRecipe(
            model=model.id, model_version=model.version, voice=voice, language=language, speed=request.speed,
            normaliser=text.NORMALISER_VERSION,
        )  # fmt: skip
        units = (
            await asyncio.to_thread(text.split_units, content, language)
            if long
            else text.split_units(content, language)
        )
        return content, units, recipe

    async def _check_loaded(self, lane: Lane, voice: str) -> None:
        """Refuse a voice that no worker has; while no worker is known, one that has it may come."""
        loaded = {v for w in await self._dispatch.workers(lane) for v in w.voices}
        for part, _ in voices.parse_mix(voice):
            if loaded and part.id not in loaded:
                raise UnknownVoice(part.id, "no worker has its data; `castline models pull` may get it")

    async def status(self, job: str) -> LogStatus:
        """Where the log stands. Raises UnknownLog; a log of another kind is none."""
        status = await self._reader.status(job)
        if status is None or not status.lane.startswith("tts"):
            raise UnknownLog(job)
        return status

    async def view(self, job: str) -> CastView:
        """Where the cast stands, for a client. Raises UnknownLog."""
        status = await self.status(job)
        page = await self._reader.read(job, 0, max_records=1)
        if page is None or not page.records:
            raise UnknownLog(job)
        return await self._view(status, page.records[0].headers)

    async def _view(self, status: LogStatus, meta: Mapping[str, Any]) -> CastView:
        position = eta_ms = None
        workers: Sequence[WorkerInfo] = ()
        if status.state == "live":
            workers = await self._dispatch.workers(status.lane)
        if status.state == "live" and status.watermark == 0:
            place = await self._scheduler.place(status.lane, f"{status.job}:{status.epoch}")
            if place is not None and not place.started:
                position = place.casts_ahead
                eta_ms = await self._dispatch.wait_ms(status.lane, place.audio_ahead_ms)
        started = status.state == "live" and status.first_ms > 0
        return CastView(
            id=status.job, state="waiting" if position is not None else status.state,
            model=meta["model"], voice=meta["voice"], language=meta["language"], speed=meta["speed"],
            title=meta["title"], job_class=status.job_class, units=status.total, watermark=status.watermark,
            skipped=status.skipped, audio_ms=status.audio_ms, gen_ms=status.gen_ms,
            xrt=round(status.audio_ms / status.gen_ms, 3) if status.gen_ms else None,
            lead_ms=status.audio_ms - (status.now_ms - status.first_ms) if started else None,
            position=position, eta_ms=eta_ms, workers=len(workers), created=status.created_ms,
            expires=status.expires_ms, links=links(status.job),
        )  # fmt: skip

    async def cancel(self, job: str) -> None:
        """End a live cast: its log, its waiting units, the engines at work on it. Raises UnknownLog, Unavailable."""
        status = await self._log.cancel(job)
        if status is None:
            raise UnknownLog(job)
        if status.state == "cancelled":
            units = [Unit(job, status.epoch, n) for n in range(status.watermark, status.total)]
            await self._scheduler.release(status.lane, [(unit, None) for unit in units])
            await self._publisher.cancel(job)


def _title(given: str) -> str:
    """One clean line."""
    return " ".join(text.normalise(given[: 4 * TITLE_CHARS]).split())[:TITLE_CHARS]
