"""Queues of one namespace are deleted when it is not used any more: hundreds of them slow a shared broker down."""

from __future__ import annotations

import asyncio
import contextlib
import threading

import aio_pika
from aio_pika.exceptions import AMQPError

from contracts import topology
from contracts.topology import HEARING_MODELS, LLM_LANE, cut_lane, live_lane, speech_lane, transcript_lane
from contracts.units import Lane
from contracts.voices import MODELS

GIVE_UP_S = 10.0


def lanes() -> list[Lane]:
    """All that workers may have."""
    heard = [transcript_lane(model) for model in HEARING_MODELS]
    return [*map(speech_lane, MODELS), *heard, *map(cut_lane, heard), *map(live_lane, heard), LLM_LANE]


async def delete_queues(url: str, namespace: str) -> None:
    """Durable queues and exchanges; those that are not there are no error. Nor is a broker that was killed."""
    with contextlib.suppress(AMQPError, OSError, TimeoutError):
        async with asyncio.timeout(GIVE_UP_S), await aio_pika.connect(url) as connection:
            channel = await connection.channel()
            known = lanes()
            names = {topology.queue_name(lane) for lane in known} | {topology.dead_queue_name(lane) for lane in known}
            for name in sorted(names):
                await channel.queue_delete(namespace + name)
            for exchange in (topology.DEAD_EXCHANGE, topology.CANCEL_EXCHANGE):
                await channel.exchange_delete(namespace + exchange)


def forget_queues(url: str, namespace: str) -> None:
    """The same, from wherever: a loop may be running."""
    thread = threading.Thread(target=lambda: asyncio.run(delete_queues(url, namespace)))
    thread.start()
    thread.join()
