"""What the front does with casts: open (or find) one, say where it stands, cancel it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from contracts import text, voices
from contracts.adapters import Store
from contracts.errors import NothingToSpeak, TextTooLong, Unavailable, UnknownLog, UnknownVoice
from contracts.ids import client_id, log_id, new_epoch, new_id
from contracts.jobs import JobClass, SpeechRecipe, WorkerInfo
from contracts.ports import LogStatus, NewLog, TicketPublisher
from contracts.records import CastMeta
from contracts.topology import speech_lane
from contracts.units import Lane
from producer_api import metrics
from producer_api.cast_models import TITLE_CHARS, CastRequest, CastView, VoiceView, links
from producer_api.dispatch import NO_WORKER_RETRY_S, Dispatch, lengths_ms

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

    async def post(
        self, request: CastRequest, *, address: str, tenant: str = "", attended: bool = False
    ) -> tuple[bool, CastView]:
        """Open the cast of this recipe, or find it and submit what is missing. (is new, where it stands).

        One whose text is still to come (`open`, `source`) is named by no recipe, and always new.
        address: where it came from; without a tenant, casts of one address share its turns.
        attended: the client waits for the sound on this very connection, and for all of it: what nobody is there to
        make is refused, and a finished cast that lacks sentences which were given up begins anew.
        Raises BadInput or Unavailable; whatever was written stays and the same call goes on from there.
        """
        content, units = await self._split(request)
        growing = request.open or request.source is not None
        if not (units or growing):
            raise NothingToSpeak
        recipe = await self._recipe(request)
        job = new_id() if growing else log_id(self._secret, tenant, recipe, content)
        lane = speech_lane(recipe.model)
        meta = cast_meta(recipe, request.title or content)
        with metrics.OPEN_SECONDS.time():
            await self._refuse_if_full(lane, request.job_class, job)
            before = await self._reader.status(job) if attended else None
            if attended:
                await self._refuse_if_nobody_works(lane, before)
            new_log = NewLog(
                job, new_epoch(), lane, request.job_class, tenant, recipe.model_dump(), meta, units,
                closed=not growing, ttl_ms=self._ttl_ms, reply_to=self._publisher.reply_to,
                replace=before is not None and before.skipped > 0,
            )  # fmt: skip
            client = client_id(self._secret, tenant, address)
            opened = await self._dispatch.open(new_log, client, lengths_ms(units, recipe))
        metrics.POSTED.labels("open" if growing else "new" if opened.new else "same").inc()
        return opened.new, await (self._view(opened.status, meta) if opened.new else self.view(job))

    async def _refuse_if_full(self, lane: Lane, job_class: JobClass, job: str) -> None:
        """Raises TooBusy; a cast that is here already is never refused."""
        if (refusal := await self._dispatch.full(lane, job_class)) and await self._reader.status(job) is None:
            metrics.POSTED.labels("refused").inc()
            raise refusal

    async def _refuse_if_nobody_works(self, lane: Lane, before: LogStatus | None) -> None:
        """Raises Unavailable, unless the cast is there, whole."""
        if before is not None and before.state == "done" and not before.skipped:
            return
        if not (await self._dispatch.workers(lane) or await self._dispatch.workers(lane, fresh=True)):
            metrics.POSTED.labels("refused").inc()
            raise Unavailable("A worker for this speech model", retry_after_s=NO_WORKER_RETRY_S)

    async def _split(self, request: CastRequest) -> tuple[str, list[str]]:
        """The text in its normal form, and its units; none if there is nothing to speak. Raises BadInput."""
        if len(request.text) > self._max_chars:
            raise TextTooLong(len(request.text), self._max_chars)
        _, _, language = voices.resolve(request.model, request.voice, request.language)
        if len(request.text) > LONG_TEXT_CHARS:
            return await asyncio.to_thread(_split, request.text, language)
        return _split(request.text, language)

    async def _recipe(self, request: CastRequest) -> SpeechRecipe:
        """How the cast sounds. Raises BadInput."""
        model, voice, language = voices.resolve(request.model, request.voice, request.language)
        await self._check_loaded(speech_lane(model.id), voice)
        return SpeechRecipe(
            model=model.id, model_version=model.version, voice=voice, language=language, speed=request.speed,
            normaliser=text.NORMALISER_VERSION, completion=request.source.completion if request.source else "",
        )  # fmt: skip

    async def _check_loaded(self, lane: Lane, voice: str) -> None:
        """Refuse a voice that no worker has; while no worker is known, one that has it may come."""
        loaded = {v for w in await self._dispatch.workers(lane) for v in w.voices}
        for part, _ in voices.parse_mix(voice):
            if loaded and part.id not in loaded:
                raise UnknownVoice(part.id, "no worker has its data; `castline models pull` may get it")

    async def voices(self) -> list[VoiceView]:
        """The catalogue, and which of it running workers have. Raises StoreUnavailable."""
        lanes = [speech_lane(model) for model in voices.MODELS]
        fleets = await asyncio.gather(*map(self._scheduler.workers, lanes))
        loaded = {voice for fleet in fleets for worker in fleet for voice in worker.voices}
        return [
            VoiceView(
                id=v.id, name=v.id, model=v.model, language=v.language, gender=v.gender,
                mixes=voices.MODELS[v.model].mixes, available=v.id in loaded,
            )
            for v in voices.VOICES.values()
        ]  # fmt: skip

    async def models(self) -> list[str]:
        """Speech models that a running worker has."""
        return await self._dispatch.served({model: speech_lane(model) for model in voices.MODELS})

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
            skipped=status.skipped, open=status.state == "live" and not status.closed,
            audio_ms=status.audio_ms, gen_ms=status.gen_ms,
            xrt=round(status.audio_ms / status.gen_ms, 3) if status.gen_ms else None,
            lead_ms=status.audio_ms - (status.now_ms - status.first_ms) if started else None,
            position=position, eta_ms=eta_ms, workers=len(workers), created=status.created_ms,
            expires=status.expires_ms, links=links(status.job),
        )  # fmt: skip

    async def cancel(self, job: str) -> None:
        """End a live cast: its log, its waiting units, the engines at work on it. Raises UnknownLog, Unavailable."""
        if await self._dispatch.cancel(job) is None:
            raise UnknownLog(job)


def cast_meta(recipe: SpeechRecipe, title: str) -> dict[str, Any]:
    """Headers of a cast's `meta` record, as open takes them."""
    return CastMeta(
        model=recipe.model, model_version=recipe.model_version, voice=recipe.voice, language=recipe.language,
        speed=recipe.speed, title=_title(title), created=0,
    ).model_dump(exclude={"created"})  # fmt: skip


def _split(given: str, language: str) -> tuple[str, list[str]]:
    content = text.normalise(given)
    return content, text.split_units(content, language) if text.speakable(content) else []


def _title(given: str) -> str:
    """One clean line."""
    return " ".join(text.shown(text.normalise(given[: 4 * TITLE_CHARS])).split())[:TITLE_CHARS]
