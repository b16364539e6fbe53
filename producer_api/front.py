"""What one front process has, made at start and handed to routes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends
from starlette.requests import HTTPConnection

from contracts.adapters import Store, open_bell, open_publisher, open_store
from contracts.errors import Misconfigured
from contracts.ports import Ring, TicketPublisher
from producer_api import metrics
from producer_api.audio.cache import AudioCache
from producer_api.audio.hls import SegmentCache
from producer_api.audio.sounds import SoundIndex
from producer_api.canary import Canary
from producer_api.casts import Casts
from producer_api.completions import Completions
from producer_api.dispatch import Dispatch
from producer_api.documents.reader import Reader
from producer_api.fetch import Fetcher, Policy
from producer_api.fetch.addresses import networks, ports
from producer_api.follow.attention import Attention
from producer_api.follow.glances import Glances
from producer_api.follow.hub import Hub
from producer_api.janitor import Janitor
from producer_api.open_casts.narrators import Narrators
from producer_api.open_casts.texts import OpenCasts
from producer_api.settings import FrontSettings
from producer_api.texts import Texts
from producer_api.transcripts import Transcripts

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Front:
    """Everything routes need."""

    settings: FrontSettings
    store: Store
    publisher: TicketPublisher
    dispatch: Dispatch
    casts: Casts
    open_casts: OpenCasts
    transcripts: Transcripts
    completions: Completions
    texts: Texts
    canary: Canary
    hub: Hub
    attention: Attention
    glances: Glances
    janitor: Janitor
    audio_cache: AudioCache
    sounds: SoundIndex
    segments: SegmentCache


@contextlib.asynccontextmanager
async def open_front(settings: FrontSettings) -> AsyncIterator[Front]:
    """Connect, follow the bell and the receipts, close. Raises Misconfigured or BrokerUnavailable."""
    secret = settings.secret.get_secret_value().encode()
    if len(secret) < 16:
        raise Misconfigured("CASTLINE_SECRET must have at least 16 characters, the same on every front")
    texts = _texts(settings)
    store = open_store(settings.address)
    publisher = await open_publisher(settings.address)
    bell = open_bell(settings.address)
    attention = Attention(store.scheduler)
    hub = Hub(store.log_reader, bell, attention)
    dispatch = Dispatch(store, publisher, max_wait_s=settings.max_wait_s)
    narrators = Narrators(store, dispatch, hub, secret, max_text_chars=settings.max_text_chars)
    janitor = Janitor(store, dispatch, secret, open_idle_s=settings.open_idle_s, take_over=narrators.follow)
    casts = Casts(
        store, publisher, dispatch, secret, retention_s=settings.retention_s, max_text_chars=settings.max_text_chars
    )
    open_casts = OpenCasts(casts, narrators, store, dispatch, secret, max_text_chars=settings.max_text_chars)
    transcripts = Transcripts(
        store, publisher, dispatch, secret, retention_s=settings.retention_s, max_upload_bytes=settings.max_upload_bytes
    )
    completions = Completions(store, publisher, dispatch, hub, secret, retention_s=settings.retention_s)
    canary = Canary(completions, fresh_s=settings.canary_s, timeout_s=settings.canary_timeout_s)
    cache = AudioCache(settings.cache_dir / "audio", settings.cache_bytes)
    running = (hub.run(), attention.run(), janitor.run(), _heed_receipts(publisher, hub))
    tasks = [asyncio.create_task(part) for part in running]
    for task in tasks:
        task.add_done_callback(_complain)
    try:
        yield Front(
            settings, store, publisher, dispatch, casts, open_casts, transcripts, completions, texts, canary, hub,
            attention, Glances(attention), janitor, cache, SoundIndex(store.log_reader), SegmentCache(),
        )  # fmt: skip
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await narrators.close()
        await texts.close()
        await publisher.close()
        await bell.close()
        await store.close()


def _texts(settings: FrontSettings) -> Texts:
    """Raises Misconfigured."""
    fetcher = None
    if settings.fetch == "on":
        policy = Policy(ports(settings.fetch_ports), networks(settings.fetch_allow))
        fetcher = Fetcher(policy, max_bytes=settings.max_document_bytes, limit_s=settings.fetch_timeout_s)
    reader = Reader(limit_s=settings.document_timeout_s, max_chars=settings.max_text_chars)
    return Texts(reader, fetcher, max_bytes=settings.max_document_bytes)


async def _heed_receipts(publisher: TicketPublisher, hub: Hub) -> None:
    """A receipt is a doorbell: the feed looks at once, and the figures are counted."""
    async for receipt in publisher.receipts():
        hub.ring(Ring(receipt.job))
        metrics.FINISHED.inc()
        metrics.FINISHED_AUDIO_SECONDS.inc(receipt.audio_ms / 1000)
        logger.info("receipt", extra={"receipt": receipt.model_dump()})


def _complain(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (exc := task.exception()) is not None:
        logger.critical("a task of the front ended", exc_info=exc)


async def _front(connection: HTTPConnection) -> Front:  # not def: that would be a thread per request
    front: Front = connection.app.state.front
    return front


FrontDep = Annotated[Front, Depends(_front)]
