"""What the front does with casts: open (or find) one, say where it stands, cancel it."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from contracts import text, voices
from contracts.adapters import Store
from contracts.errors import BrokerUnavailable, NothingToSpeak, TextTooLong, UnknownLog, UnknownVoice
from contracts.ids import log_id, new_epoch
from contracts.jobs import JobClass, SpeechRecipe, Ticket, WorkerInfo
from contracts.ports import LogStatus, NewLog, TicketPublisher
from contracts.records import CastMeta
from contracts.topology import speech_lane
from contracts.units import Lane, Unit
from producer_api import metrics

logger = logging.getLogger(__name__)

BULK_DELAY_MS = 24 * 3_600_000
"""A bulk cast is due a day later: behind everything live, yet never starved."""
FIRST_TICKETS = 64
"""Tickets confirmed before the answer; the rest follow behind it. A lost one costs an idle poll, not its unit."""
TITLE_CHARS = 200
WORKERS_S = 1.0
LONG_TEXT_CHARS = 20_000
"""Longer texts are split off the event loop."""


class CastRequest(BaseModel):
    """What to speak, and how."""

    model_config = ConfigDict(
        extra="forbid", strict=True, allow_inf_nan=False, frozen=True,
        json_schema_extra={"examples": [{"text": "Hello there. This is castline.", "voice": "af_heart"}]},
    )  # fmt: skip

    text: str = Field(description="The text to speak; any length up to the server's bound.", min_length=1)
    voice: str | None = Field(
        default=None,
        description="A voice of GET /v1/voices, or a mix of them with weights.",
        examples=["af_heart", "af_bella(2)+af_sky(1)"],
    )
    model: str | None = Field(
        default=None, description="Speech model; decided by the voice if absent.", examples=["kokoro"]
    )
    language: str | None = Field(default=None, description="BCP 47 tag; the voice's own if absent.", examples=["en-US"])
    speed: float = Field(default=1.0, ge=0.25, le=4.0, description="1 is the voice's own pace.")
    title: str = Field(default="", max_length=TITLE_CHARS, description="Shown on the cast's page.")
    job_class: JobClass = Field(
        default="live",
        alias="class",
        description="`live`: somebody waits; `bulk`: within the day, behind everything live.",
    )


class Links(BaseModel):
    """Paths of a cast, relative to this server."""

    page: str
    self: str
    records: str
    follow: str
    captions: str
    audio: dict[str, str]


class CastView(BaseModel):
    """Where a cast stands."""

    id: str = Field(examples=["Zk3vT0x9yQm1LwPa"])
    state: Literal["waiting", "live", "done", "cancelled", "failed"]
    """waiting: nothing of it is in work yet; live: it is being made."""
    model: str
    voice: str
    language: str
    speed: float
    title: str
    job_class: JobClass = Field(serialization_alias="class")
    units: int
    """Sentences and clauses it was cut into."""
    watermark: int
    """How many of them can be heard, from the first on."""
    skipped: int
    audio_ms: int
    gen_ms: int
    """Engine time, ms."""
    xrt: float | None
    """audio_ms / gen_ms."""
    lead_ms: int | None
    """Audio made minus time since playback could start; null before that and after the end."""
    position: int | None
    """Units of other casts that come before its first one; null once it is in work."""
    eta_ms: int | None
    """When its first unit may be heard, estimated from the workers' measured speed; null if unknown."""
    workers: int
    """Workers that can make it now."""
    created: int
    """Milliseconds since 1970."""
    expires: int
    links: Links


class Casts:
    """Casts of one front process."""

    def __init__(
        self, store: Store, publisher: TicketPublisher, secret: bytes, *, retention_s: int, max_text_chars: int
    ) -> None:
        self._log, self._reader, self._scheduler = store.log_writer, store.log_reader, store.scheduler
        self._publisher = publisher
        self._secret = secret
        self._ttl_ms = retention_s * 1000
        self._max_chars = max_text_chars
        self._behind: set[asyncio.Task[None]] = set()
        self._known: dict[Lane, tuple[float, tuple[WorkerInfo, ...]]] = {}

    async def post(self, request: CastRequest, tenant: str = "") -> tuple[bool, CastView]:
        """Open the cast of this recipe, or find it and submit what is missing. (is new, where it stands).

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
            opened = await self._log.open(
                NewLog(
                    job, new_epoch(), lane, request.job_class, tenant, recipe.model_dump(), meta, units,
                    closed=True, ttl_ms=self._ttl_ms, reply_to=self._publisher.reply_to,
                )
            )  # fmt: skip
            if opened.status.state == "live":
                await self._supply(opened.status, units, recipe, new=opened.new)
        metrics.POSTED.labels("new" if opened.new else "same").inc()
        return opened.new, await (self._view(opened.status, meta) if opened.new else self.view(job))

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
        loaded = {v for w in await self._workers(lane) for v in w.voices}
        for part, _ in voices.parse_mix(voice):
            if loaded and part.id not in loaded:
                raise UnknownVoice(part.id, "no worker has its data; `castline models pull` may get it")

    async def _workers(self, lane: Lane) -> Sequence[WorkerInfo]:
        """The lane's workers, asked for at most once in WORKERS_S: it stands in the way of every POST."""
        until, known = self._known.get(lane, (0.0, ()))
        now = time.monotonic()
        if not known or now >= until:
            known = tuple(await self._scheduler.workers(lane))
            self._known[lane] = (now + WORKERS_S, known)
        return known

    async def _supply(self, status: LogStatus, units: Sequence[str], recipe: SpeechRecipe, *, new: bool) -> None:
        """Submit the units that are not committed, and publish a ticket for each if any of them was not known."""
        anchor = status.created_ms + (BULK_DELAY_MS if status.job_class == "bulk" else 0)
        lengths = (text.estimate_ms(u, recipe.language, recipe.speed) for u in units)
        before = itertools.accumulate(lengths, initial=0)
        pairs = [
            (Unit(status.job, status.epoch, n), anchor + ms) for n, ms in zip(range(status.total), before, strict=False)
        ]
        missing = pairs[status.watermark :]
        tickets = [Ticket(job=u.job, epoch=u.epoch, index=u.index) for u, _ in missing]
        if new:  # side by side: a ticket that overtakes its unit is looked at twice by the worker
            await asyncio.gather(
                self._scheduler.submit(status.lane, missing),
                self._publisher.publish(status.lane, tickets[:FIRST_TICKETS]),
            )
        elif await self._scheduler.submit(status.lane, missing) == 0:
            return
        else:
            await self._publisher.publish(status.lane, tickets[:FIRST_TICKETS])
        if rest := tickets[FIRST_TICKETS:]:
            task = asyncio.create_task(self._publish_behind(status.lane, rest))
            self._behind.add(task)
            task.add_done_callback(self._behind.discard)

    async def _publish_behind(self, lane: Lane, tickets: Sequence[Ticket]) -> None:
        try:
            await self._publisher.publish(lane, tickets)
        except BrokerUnavailable as exc:
            logger.warning("tickets not published; idle polls find their units", extra={"error": str(exc)})

    async def status(self, job: str) -> LogStatus:
        """Where the log stands. Raises UnknownLog."""
        status = await self._reader.status(job)
        if status is None:
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
            workers = await self._workers(status.lane)
        if status.state == "live" and status.watermark == 0:
            position = await self._scheduler.ahead(status.lane, Unit(status.job, status.epoch, 0))
            eta_ms = _eta_ms(position, sum(w.xrt for w in workers))
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
            await self._scheduler.release(status.lane, units)
            await self._publisher.cancel(job)


MEAN_UNIT_MS = 4_000
"""Audio of a usual unit, for estimates of waiting time."""


def _eta_ms(position: int | None, fleet_xrt: float) -> int | None:
    if position is None or fleet_xrt <= 0:
        return None
    return round((position + 1) * MEAN_UNIT_MS / fleet_xrt)


def _title(given: str) -> str:
    """One clean line."""
    return " ".join(text.normalise(given[: 4 * TITLE_CHARS]).split())[:TITLE_CHARS]


def links(job: str) -> Links:
    """Paths of a cast."""
    base = f"/v1/casts/{job}"
    return Links(
        page=f"/c/{job}", self=base, records=f"{base}/records", follow=f"{base}/follow",
        captions=f"{base}/captions.vtt",
        audio={fmt: f"{base}/audio.{fmt}" for fmt in ("opus", "mp3", "wav", "flac")},
    )  # fmt: skip
