"""Tickets on a real RabbitMQ, and their stand-in on SQLite."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import aio_pika
import pytest

from contracts.adapters import Address, open_publisher, open_source, open_store
from contracts.adapters.rabbitmq import RabbitPublisher, RabbitSource, declare_lane
from contracts.errors import BrokerUnavailable, Misconfigured
from contracts.jobs import Receipt, Ticket
from contracts.ports import Delivery
from contracts.units import Lane, Unit

LANE = Lane("tts.tone")


def ticket(n: int) -> Ticket:
    return Ticket(job="a" * 16, epoch="e1", index=n)


async def taken(source: RabbitSource) -> Delivery:
    delivery = await source.next(10)
    assert delivery is not None
    return delivery


async def test_tickets_are_delivered_within_the_slots_and_again_if_put_back(real: Address) -> None:
    publisher = await RabbitPublisher(real.broker, real.namespace).connect()
    await publisher.publish(LANE, [ticket(n) for n in range(5)])
    source = await RabbitSource(real.broker, real.namespace, LANE, slots=2, worker="w1").connect()
    first, second = await taken(source), await taken(source)
    assert (first.ticket, second.ticket) == (ticket(0), ticket(1))
    assert not first.redelivered
    assert await source.next(0.2) is None, "no more than its slots"
    await first.put_back()
    again = await taken(source)
    assert (again.ticket, again.redelivered) == (ticket(0), True)
    await again.ack()
    await second.ack()
    assert (await taken(source)).ticket == ticket(2)
    await source.close()
    other = await RabbitSource(real.broker, real.namespace, LANE, slots=9, worker="w2").connect()
    rest = [await taken(other) for _ in range(3)]
    assert {(d.ticket.index, d.redelivered) for d in rest if d.ticket} == {(2, True), (3, True), (4, False)}
    for delivery in rest:
        await delivery.ack()
    await other.close()
    await rest[0].ack()  # on a connection that is gone: harmless
    await publisher.close()


async def test_a_source_that_stops_lets_go_of_what_it_has_not_begun(real: Address) -> None:
    publisher = await RabbitPublisher(real.broker, real.namespace).connect()
    source = await RabbitSource(real.broker, real.namespace, LANE, slots=4, worker="w1").connect()
    await publisher.publish(LANE, [ticket(n) for n in range(4)])
    mine = await taken(source)
    await source.stop()
    assert await source.next(0.2) is None
    other = await RabbitSource(real.broker, real.namespace, LANE, slots=4, worker="w2").connect()
    assert {(await taken(other)).ticket for _ in range(3)} == {ticket(1), ticket(2), ticket(3)}
    await mine.ack()
    for closing in (source, other, publisher):
        await closing.close()


async def test_a_source_made_anew_goes_on_and_lets_go_of_its_old_connection(real: Address) -> None:
    publisher = await RabbitPublisher(real.broker, real.namespace).connect()
    source = await RabbitSource(real.broker, real.namespace, LANE, slots=1, worker="w1").connect()
    await publisher.publish(LANE, [ticket(0)])
    held = await taken(source)
    await source.renew()
    again = await taken(source)
    assert (again.ticket, again.redelivered) == (ticket(0), True)
    await held.ack()  # on the old connection: harmless
    await again.ack()
    await publisher.publish(LANE, [ticket(1)])
    assert (await taken(source)).ticket == ticket(1)
    async with aclosing(source.cancellations()) as cancellations:  # type: ignore[type-var]
        await publisher.cancel("b" * 16)
        async with asyncio.timeout(10):
            assert await anext(cancellations) == "b" * 16
    await source.close()
    await publisher.close()


async def test_a_message_that_is_no_ticket_is_a_dead_letter_once(real: Address) -> None:
    source = await RabbitSource(real.broker, real.namespace, LANE, slots=2, worker="w1").connect()
    connection = await aio_pika.connect(real.broker)
    channel = await connection.channel()
    for body in (b"", b"{}", b"\xff", b'{"v":1,"job":"a","epoch":"e","index":-1}', b'{"v":2}'):
        await channel.default_exchange.publish(
            aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT), f"{real.namespace}tts.jobs.tone"
        )
    dead = await channel.get_queue(f"{real.namespace}tts.dead")
    found: list[bytes] = []
    async with asyncio.timeout(20):
        while len(found) < 5:
            message = await dead.get(fail=False, no_ack=True)
            if message is None:
                await asyncio.sleep(0.02)
            else:
                found.append(message.body)
    assert len(set(found)) == 5
    assert await dead.get(fail=False) is None
    assert await source.next(0.2) is None
    await connection.close()
    await source.close()


async def test_a_buried_unit_keeps_its_reason(real: Address) -> None:
    source = await RabbitSource(real.broker, real.namespace, LANE, slots=1, worker="w1").connect()
    await source.bury(LANE, Unit("a" * 16, "e1", 3), "given up after 5 attempts")
    connection = await aio_pika.connect(real.broker)
    dead = await (await connection.channel()).get_queue(f"{real.namespace}tts.dead")
    message = await dead.get(no_ack=True)
    assert message is not None
    assert message.headers["x-castline-reason"] == "given up after 5 attempts"
    assert Ticket.model_validate_json(message.body) == ticket(3)
    await connection.close()
    await source.close()


async def test_a_ticket_that_no_queue_takes_is_an_error(real: Address) -> None:
    publisher = await RabbitPublisher(real.broker, real.namespace).connect()
    await publisher.publish(LANE, [ticket(0)])
    connection = await aio_pika.connect(real.broker)
    channel = await connection.channel()
    queue = await declare_lane(channel, real.namespace, LANE)
    await queue.delete(if_unused=False, if_empty=False)
    with pytest.raises(BrokerUnavailable):
        await publisher.publish(LANE, [ticket(1)])
    await connection.close()
    await publisher.close()


@pytest.mark.parametrize("kind", ["embedded", "real"])
async def test_cancellations_reach_every_worker_and_receipts_the_front(
    kind: str, request: pytest.FixtureRequest
) -> None:
    address: Address = request.getfixturevalue(kind)
    store = open_store(address)
    await store.scheduler.backlog(LANE)
    publisher = await open_publisher(address)
    sources = [await open_source(address, LANE, 1, f"w{n}") for n in range(2)]
    receipt = Receipt(
        job="a" * 16, state="done", units=1, skipped=0, audio_ms=10, gen_ms=1, xrt=10.0, voice="tone"
    )  # fmt: skip
    async with (
        aclosing(sources[0].cancellations()) as one,  # type: ignore[type-var]
        aclosing(sources[1].cancellations()) as two,  # type: ignore[type-var]
        aclosing(publisher.receipts()) as receipts,  # type: ignore[type-var]
    ):
        waiting = [asyncio.ensure_future(anext(i)) for i in (one, two, receipts)]
        async with asyncio.timeout(20):
            while not all(w.done() for w in waiting):  # on SQLite only what comes after the first look is news
                await publisher.cancel("b" * 16)
                await sources[0].reply(publisher.reply_to, receipt)
                await asyncio.wait(waiting, timeout=0.2)
        assert [w.result() for w in waiting] == ["b" * 16, "b" * 16, receipt]
    for source in sources:
        await source.close()
    await publisher.close()
    await store.close()


async def test_a_broker_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch, namespace: str) -> None:
    monkeypatch.setattr("contracts.adapters.rabbitmq.CONNECT_TIMEOUT_S", 0.5)
    with pytest.raises(BrokerUnavailable):
        await RabbitPublisher("amqp://guest:guest@127.0.0.1:1/", namespace).connect()


@pytest.mark.parametrize(("store", "broker"), [("redis://h/0", ""), ("sqlite:///x", "amqp://h/"), ("mysql://h", "")])
def test_addresses_that_can_not_work_are_refused(store: str, broker: str) -> None:
    with pytest.raises(Misconfigured):
        Address(store, broker)
