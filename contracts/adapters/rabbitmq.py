"""Tickets on RabbitMQ: quorum queues, publisher confirms, manual acks, separate connections to publish and to consume.

Separate, because an alarm of the broker stops reading from connections that publish, acks included. The comments name
what aio-pika does by default and why it is not what we want.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Sequence
from typing import Any

import aio_pika
from aio_pika.abc import (
    AbstractChannel,
    AbstractExchange,
    AbstractIncomingMessage,
    AbstractQueue,
    AbstractRobustConnection,
)
from aio_pika.exceptions import AMQPError, ChannelInvalidStateError, DeliveryError
from pydantic import BaseModel, ValidationError

from contracts.errors import BrokerUnavailable
from contracts.jobs import Receipt, Ticket
from contracts.ports import Delivery
from contracts.topology import (
    CANCEL_EXCHANGE,
    DEAD_EXCHANGE,
    DEAD_QUEUE_ARGUMENTS,
    JOB_QUEUE_ARGUMENTS,
    cancel_queue_name,
    dead_queue_name,
    queue_name,
)
from contracts.units import Lane, Unit

logger = logging.getLogger(__name__)

HEARTBEAT_S = 15
CALL_TIMEOUT_S = 5.0
CONNECT_TIMEOUT_S = 30.0
PUBLISH_AT_ONCE = 500
"""Messages in flight before their confirms are awaited."""
REASON_HEADER, LANE_HEADER, AT_HEADER = "x-castline-reason", "x-castline-lane", "x-castline-at"
"""Headers of a buried unit; at: milliseconds since 1970, where AMQP's own timestamp has seconds."""

FAILURES = (AMQPError, ChannelInvalidStateError, DeliveryError, ConnectionError, OSError, TimeoutError, RuntimeError)
"""What aio-pika raises when a connection or channel is not usable; a closed channel is a RuntimeError."""


async def _connect(url: str, name: str) -> AbstractRobustConnection:
    """Connect, waiting for a broker that is still starting. Raises BrokerUnavailable."""
    delay = 0.1
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            while True:
                try:
                    return await aio_pika.connect_robust(
                        url,
                        timeout=CALL_TIMEOUT_S,
                        heartbeat=HEARTBEAT_S,
                        reconnect_interval=0.5,
                        client_properties={"connection_name": name},
                    )
                except (AMQPError, OSError) as exc:
                    logger.warning("broker does not answer yet", extra={"error": str(exc)})
                    await asyncio.sleep(delay)
                    delay = min(2 * delay, 2.0)
    except TimeoutError as exc:
        raise BrokerUnavailable("RabbitMQ") from exc


async def _close(connection: AbstractRobustConnection) -> None:
    """A connection that is broken, or to a broker that hangs, is left to itself."""
    try:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            await connection.close()
    except FAILURES as exc:
        logger.info("connection not closed in order", extra={"error": str(exc)})


async def declare_lane(channel: AbstractChannel, namespace: str, lane: Lane) -> AbstractQueue:
    """The lane's queue and its dead letters, with the same arguments everywhere (they can not be changed later)."""
    exchange = await channel.declare_exchange(
        namespace + DEAD_EXCHANGE, aio_pika.ExchangeType.DIRECT, durable=True, timeout=CALL_TIMEOUT_S
    )
    dead = await channel.declare_queue(
        namespace + dead_queue_name(lane), durable=True, arguments=dict(DEAD_QUEUE_ARGUMENTS), timeout=CALL_TIMEOUT_S
    )
    name = namespace + queue_name(lane)
    await dead.bind(exchange, routing_key=name, timeout=CALL_TIMEOUT_S)
    arguments: dict[str, Any] = {**JOB_QUEUE_ARGUMENTS, "x-dead-letter-exchange": namespace + DEAD_EXCHANGE}
    return await channel.declare_queue(name, durable=True, arguments=arguments, timeout=CALL_TIMEOUT_S)


async def _cancel_exchange(channel: AbstractChannel, namespace: str) -> AbstractExchange:
    return await channel.declare_exchange(
        namespace + CANCEL_EXCHANGE, aio_pika.ExchangeType.FANOUT, durable=True, timeout=CALL_TIMEOUT_S
    )


def _message(body: BaseModel | bytes, **properties: Any) -> aio_pika.Message:
    data = body if isinstance(body, bytes) else body.model_dump_json().encode()
    return aio_pika.Message(
        data,
        content_type="application/json",
        delivery_mode=aio_pika.DeliveryMode.PERSISTENT,  # the default is not
        **properties,
    )


async def _publish(channel: AbstractChannel, key: str, tickets: Sequence[Ticket], reply_to: str | None) -> None:
    """Persistent, mandatory, confirmed; the channel raises for a message that no queue takes."""

    async def one(ticket: Ticket) -> None:
        message = _message(
            ticket, message_id=str(ticket.unit), correlation_id=ticket.job, reply_to=reply_to, type="ticket"
        )
        await channel.default_exchange.publish(message, key, mandatory=True, timeout=CALL_TIMEOUT_S)

    for i in range(0, len(tickets), PUBLISH_AT_ONCE):
        await asyncio.gather(*(one(ticket) for ticket in tickets[i : i + PUBLISH_AT_ONCE]))


class RabbitPublisher:
    """The front's side. Make one with `connect`."""

    def __init__(self, url: str, namespace: str) -> None:
        self._url = url
        self._namespace = namespace
        self._declared: set[Lane] = set()
        self._receipts: asyncio.Queue[Receipt] = asyncio.Queue(maxsize=1024)
        self.reply_to = f"{namespace}reply.{uuid.uuid4().hex}"

    async def connect(self) -> RabbitPublisher:
        """Open both connections and the reply queue. Raises BrokerUnavailable."""
        self._out = await _connect(self._url, f"castline front {self.reply_to[-8:]} publish")
        self._in = await _connect(self._url, f"castline front {self.reply_to[-8:]} replies")
        # Without on_return_raises a message that no queue takes is confirmed as if all were well.
        self._channel = await self._out.channel(publisher_confirms=True, on_return_raises=True)
        replies = await self._in.channel()
        queue = await replies.declare_queue(self.reply_to, exclusive=True, auto_delete=True, timeout=CALL_TIMEOUT_S)
        await queue.consume(self._on_reply, no_ack=True, timeout=CALL_TIMEOUT_S)
        self._cancels = await _cancel_exchange(self._channel, self._namespace)
        return self

    async def _on_reply(self, message: AbstractIncomingMessage) -> None:
        try:
            receipt = Receipt.model_validate_json(message.body)
        except ValidationError:
            logger.warning("reply that is no receipt", extra={"correlation_id": message.correlation_id})
            return
        if self._receipts.full():
            self._receipts.get_nowait()  # a doorbell: what is lost here stands in the log
        self._receipts.put_nowait(receipt)

    async def publish(self, lane: Lane, tickets: Sequence[Ticket]) -> None:
        """See TicketPublisher.publish."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S + len(tickets) / 1000):
                if lane not in self._declared:
                    await declare_lane(self._channel, self._namespace, lane)
                    self._declared.add(lane)
                await _publish(self._channel, self._namespace + queue_name(lane), tickets, self.reply_to)
        except FAILURES as exc:
            raise BrokerUnavailable(f"RabbitMQ ({type(exc).__name__})") from exc

    async def cancel(self, job: str) -> None:
        """See TicketPublisher.cancel."""
        try:
            message = _message(b"{}", correlation_id=job, type="cancel")
            await self._cancels.publish(message, "", mandatory=False, timeout=CALL_TIMEOUT_S)
        except FAILURES as exc:
            raise BrokerUnavailable(f"RabbitMQ ({type(exc).__name__})") from exc

    async def receipts(self) -> AsyncIterator[Receipt]:
        """See TicketPublisher.receipts."""
        while True:
            yield await self._receipts.get()

    async def ready(self) -> bool:
        """See TicketPublisher.ready."""
        return self._out.connected.is_set() and self._in.connected.is_set() and not self._channel.is_closed

    async def close(self) -> None:
        """See TicketPublisher.close."""
        await _close(self._out)
        await _close(self._in)


class _RabbitDelivery:
    """A ticket in hand, bound to the channel it came on."""

    def __init__(self, message: AbstractIncomingMessage, ticket: Ticket) -> None:
        self._message = message
        self.ticket: Ticket | None = ticket
        self.redelivered = bool(message.redelivered)

    async def ack(self) -> None:
        """See Delivery.ack."""
        await self._settle(self._message.ack())

    async def put_back(self) -> None:
        """See Delivery.put_back."""
        await self._settle(self._message.nack(requeue=True))

    async def _settle(self, settling: Awaitable[object]) -> None:
        try:
            await settling
        except FAILURES as exc:
            # The channel it came on is gone: the broker has redelivered it already, and a second delivery is harmless.
            logger.info("ticket settled too late", extra={"error": str(exc), "unit": self._message.message_id})


class RabbitSource:
    """A worker's side: consumes one lane. Make one with `connect`."""

    def __init__(self, url: str, namespace: str, lane: Lane, slots: int, worker: str) -> None:
        self._url = url
        self._namespace = namespace
        self._lane = lane
        self._slots = slots
        self._worker = worker
        self._connects = 0
        self._tickets: asyncio.Queue[Delivery] = asyncio.Queue()  # bounded by the prefetch
        self._cancels: asyncio.Queue[str] = asyncio.Queue()

    async def connect(self) -> RabbitSource:
        """Open both connections and start to consume. Raises BrokerUnavailable."""
        try:
            await self._connect()
        except FAILURES as exc:
            raise BrokerUnavailable(f"RabbitMQ ({type(exc).__name__}: {exc})") from exc
        return self

    async def _connect(self) -> None:
        self._in = await _connect(self._url, f"castline worker {self._worker} consume")
        self._out = await _connect(self._url, f"castline worker {self._worker} publish")
        self._channel = await self._in.channel()
        self._replies = await self._out.channel(publisher_confirms=False)
        self._confirmed = await self._out.channel(publisher_confirms=True, on_return_raises=True)
        await self._channel.set_qos(prefetch_count=self._slots, timeout=CALL_TIMEOUT_S)
        self._queue = await declare_lane(self._channel, self._namespace, self._lane)
        self._connects += 1  # the queue of the connection before may live yet, and is locked
        fanout = await _cancel_exchange(self._channel, self._namespace)
        cancels = await self._channel.declare_queue(
            f"{self._namespace}{cancel_queue_name(self._lane, self._worker, self._connects)}",
            exclusive=True,
            auto_delete=True,
            timeout=CALL_TIMEOUT_S,
        )
        await cancels.bind(fanout, timeout=CALL_TIMEOUT_S)
        await cancels.consume(self._on_cancel, no_ack=True, timeout=CALL_TIMEOUT_S)
        self._consumer = await self._queue.consume(self._on_ticket, timeout=CALL_TIMEOUT_S)

    async def _on_ticket(self, message: AbstractIncomingMessage) -> None:
        try:
            ticket = Ticket.model_validate_json(message.body)
        except ValidationError as exc:
            logger.warning("message that is no ticket", extra={"message_id": message.message_id, "error": str(exc)})
            await message.reject(requeue=False)  # to the dead letters, once
            return
        self._tickets.put_nowait(_RabbitDelivery(message, ticket))

    async def _on_cancel(self, message: AbstractIncomingMessage) -> None:
        if message.correlation_id:
            self._cancels.put_nowait(message.correlation_id)

    async def next(self, timeout_s: float) -> Delivery | None:
        """See TicketSource.next."""
        try:
            async with asyncio.timeout(timeout_s):  # wait_for would make a task for every ticket
                return await self._tickets.get()
        except TimeoutError:
            return None

    async def cancellations(self) -> AsyncIterator[str]:
        """See TicketSource.cancellations."""
        while True:
            yield await self._cancels.get()

    async def publish(self, lane: Lane, tickets: Sequence[Ticket]) -> None:
        """See TicketSource.publish."""
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S + len(tickets) / 1000):
                await _publish(self._confirmed, self._namespace + queue_name(lane), tickets, None)
        except FAILURES as exc:
            raise BrokerUnavailable(f"RabbitMQ ({type(exc).__name__})") from exc

    async def bury(self, lane: Lane, unit: Unit, reason: str) -> None:
        """See TicketSource.bury."""
        ticket = Ticket(job=unit.job, epoch=unit.epoch, index=unit.index)
        message = _message(
            ticket, message_id=str(unit), correlation_id=unit.job, type="dead",
            headers={REASON_HEADER: reason, LANE_HEADER: lane, AT_HEADER: time.time_ns() // 1_000_000},
        )  # fmt: skip
        key = self._namespace + dead_queue_name(lane)
        try:
            await self._confirmed.default_exchange.publish(message, key, mandatory=True, timeout=CALL_TIMEOUT_S)
        except FAILURES as exc:
            raise BrokerUnavailable(f"RabbitMQ ({type(exc).__name__})") from exc

    async def reply(self, reply_to: str, receipt: Receipt) -> None:
        """See TicketSource.reply. A front that is gone has no queue, and needs none."""
        message = _message(receipt, correlation_id=receipt.job, type="receipt")
        try:
            await self._replies.default_exchange.publish(message, reply_to, mandatory=False, timeout=CALL_TIMEOUT_S)
        except FAILURES as exc:
            logger.info("receipt not sent", extra={"job": receipt.job, "error": str(exc)})

    async def renew(self) -> None:
        """See TicketSource.renew. Tickets in hand come again, to somebody."""
        old = (self._in, self._out)
        await self.connect()
        for connection in old:
            await _close(connection)

    async def stop(self) -> None:
        """See TicketSource.stop."""
        try:
            await self._queue.cancel(self._consumer, timeout=CALL_TIMEOUT_S)
        except FAILURES as exc:
            logger.info("consumer was gone already", extra={"error": str(exc)})
        while not self._tickets.empty():
            await self._tickets.get_nowait().put_back()

    async def close(self) -> None:
        """See TicketSource.close."""
        await _close(self._in)
        await _close(self._out)
