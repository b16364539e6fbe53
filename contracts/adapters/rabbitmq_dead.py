"""Dead letters on RabbitMQ: read by taking them all in hand and giving them back.

A quorum queue can not be browsed. What is taken stays with this channel until it is given back, and giving back and
taking again are in order only on one channel: so one is kept. If this process dies, the broker gives back for it.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aio_pika.exceptions import ChannelNotFoundEntity
from pydantic import ValidationError

from contracts.adapters.rabbitmq import AT_HEADER, CALL_TIMEOUT_S, FAILURES, LANE_HEADER, REASON_HEADER
from contracts.errors import BrokerUnavailable, MalformedMessage
from contracts.jobs import Ticket
from contracts.ports import DeadLetter, JobKind, letter_id
from contracts.topology import dead_queue_name, queue_lane
from contracts.units import Lane, Unit


class RabbitDead:
    """The dead letters under one namespace of one broker. Connects at the first call."""

    def __init__(self, url: str, namespace: str) -> None:
        self._url = url
        self._namespace = namespace
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None

    async def list(self, kind: JobKind, limit: int) -> Sequence[DeadLetter]:
        """See DeadLetters.list."""
        letters: list[DeadLetter] = []

        def keep(letter: DeadLetter) -> bool:
            letters.append(letter)
            return False

        await self._read(kind, keep)
        letters.sort(key=lambda letter: letter.at_ms or 0)
        return letters[:limit]

    async def drop(self, kind: JobKind, *ids: str) -> int:
        """See DeadLetters.drop."""
        wanted = Counter(ids)

        def unwanted(letter: DeadLetter) -> bool:
            wanted[letter.id] -= 1  # an id given once stands for one of its copies
            return wanted[letter.id] >= 0

        return await self._read(kind, unwanted, at_most=len(ids))

    async def _read(self, kind: JobKind, unwanted: Callable[[DeadLetter], bool], at_most: int = sys.maxsize) -> int:
        """Take letters in hand, drop the unwanted ones, at most so many, give the others back; how many were dropped.

        The broker mixes what is given back: there is no order to rely on, and no first few.
        """
        dropped = 0
        try:
            channel = await self._open_channel()
            try:
                queue = await channel.get_queue(self._namespace + dead_queue_name(Lane(kind)))
                while (
                    dropped < at_most and (message := await queue.get(fail=False, timeout=CALL_TIMEOUT_S)) is not None
                ):
                    if unwanted(_letter(message, kind, self._namespace)):
                        await message.ack()
                        dropped += 1
                underlay = await channel.get_underlay_channel()
                await underlay.basic_nack(0, multiple=True, requeue=True)  # 0: all that are in hand
            except ChannelNotFoundEntity:
                return 0  # nobody has used this kind yet
            except BaseException:
                await channel.close()  # which gives them back, too
                raise
        except FAILURES as exc:
            raise BrokerUnavailable(f"RabbitMQ ({type(exc).__name__})") from exc
        return dropped

    async def _open_channel(self) -> AbstractChannel:
        """The one channel, or another where the broker has closed it."""
        if self._connection is None or self._connection.is_closed:
            self._connection = await aio_pika.connect(
                self._url, timeout=CALL_TIMEOUT_S, client_properties={"connection_name": "castline dead letters"}
            )
            self._channel = None
        if self._channel is None or self._channel.is_closed:
            self._channel = await self._connection.channel()
        return self._channel

    async def close(self) -> None:
        """See DeadLetters.close."""
        if self._connection is not None:
            await self._connection.close()


def _letter(message: AbstractIncomingMessage, kind: JobKind, namespace: str) -> DeadLetter:
    """Headers are ours if a worker buried a unit, the broker's if it dead-lettered a message, or anybody's."""
    headers, body = message.headers, message.body
    unit = _unit(body)
    reason = _text(headers, REASON_HEADER) or _text(headers, "x-first-death-reason") or "unknown"
    queue = _text(headers, "x-first-death-queue").removeprefix(namespace)
    lane = Lane(_text(headers, LANE_HEADER)) or queue_lane(queue)
    return DeadLetter(letter_id(unit, body), kind, lane, unit, reason, _at_ms(message), body)


def _unit(body: bytes) -> Unit | None:
    try:
        return Unit.parse(str(Ticket.model_validate_json(body).unit))
    except (ValidationError, MalformedMessage):
        return None


def _text(headers: Mapping[str, Any], name: str) -> str:
    value = headers.get(name, "")
    return value if isinstance(value, str) else ""


def _at_ms(message: AbstractIncomingMessage) -> int | None:
    """When a worker buried it, or the broker dead-lettered it."""
    at_ms = message.headers.get(AT_HEADER)
    if isinstance(at_ms, int):
        return at_ms
    deaths = message.headers.get("x-death")
    death = deaths[0] if isinstance(deaths, list) and deaths else None
    at = death.get("time") if isinstance(death, Mapping) else None
    return round(at.timestamp() * 1000) if isinstance(at, datetime) else None
