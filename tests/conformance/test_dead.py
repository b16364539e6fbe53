"""Dead letters on SQLite and on a real RabbitMQ: looked at without loss, dropped one by one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence

import aio_pika
import pytest

from contracts.adapters import Address, open_dead_letters, open_source
from contracts.errors import BrokerUnavailable
from contracts.jobs import Ticket
from contracts.ports import DeadLetter, DeadLetters, JobKind, TicketSource
from contracts.units import Lane, Unit

LANE = Lane("tts.tone")
REASON = "given up after 5 attempts"


@pytest.fixture(params=["embedded", "real"])
def address(request: pytest.FixtureRequest) -> Address:
    """SQLite, and RabbitMQ."""
    found: Address = request.getfixturevalue(request.param)
    return found


@pytest.fixture
async def source(address: Address) -> AsyncIterator[TicketSource]:
    opened = await open_source(address, LANE, 1, "w1")
    yield opened
    await opened.close()


@pytest.fixture
async def dead(address: Address, source: TicketSource) -> AsyncIterator[DeadLetters]:
    opened = open_dead_letters(address)
    yield opened
    await opened.close()


def unit(n: int) -> Unit:
    return Unit("-" + "a" * 15, "e1", n)


def by_id(letters: Sequence[DeadLetter]) -> Sequence[DeadLetter]:
    return sorted(letters, key=lambda letter: letter.id)  # those of one millisecond have no order


def times(letters: Sequence[DeadLetter]) -> list[int | None]:
    return [letter.at_ms for letter in letters]


async def listed(dead: DeadLetters, count: int, kind: JobKind = "tts") -> Sequence[DeadLetter]:
    """What is there, once `count` letters are."""
    async with asyncio.timeout(20):
        while len(letters := await dead.list(kind, 100)) < count:
            await asyncio.sleep(0.02)
    return letters


async def test_a_buried_unit_is_a_letter(dead: DeadLetters, source: TicketSource) -> None:
    before = time.time_ns() // 1_000_000
    await source.bury(LANE, unit(3), REASON)
    [letter] = await listed(dead, 1)
    assert (letter.kind, letter.lane, letter.unit, letter.reason) == ("tts", LANE, unit(3), REASON)
    assert letter.id.isalnum()
    assert letter.at_ms is not None
    assert before - 1_000 <= letter.at_ms <= before + 60_000
    assert Ticket.model_validate_json(letter.body).unit == unit(3)
    assert await dead.list("stt", 10) == []
    assert await dead.list("llm", 10) == []
    assert not await dead.drop("stt", letter.id)
    assert [letter] == await dead.list("tts", 10)


async def test_looking_loses_nothing_and_keeps_the_order(dead: DeadLetters, source: TicketSource) -> None:
    for n in range(12):
        await source.bury(LANE, unit(n), REASON)
    first = await listed(dead, 12)
    assert {letter.unit for letter in first} == {unit(n) for n in range(12)}
    assert [letter.at_ms for letter in first] == sorted(letter.at_ms or 0 for letter in first)
    assert len({letter.id for letter in first}) == 12
    for limit in (1, 5, 12, 100):
        assert times(await dead.list("tts", limit)) == times(first[:limit])
    for _ in range(30):  # more often than RabbitMQ's default delivery limit
        assert by_id(await dead.list("tts", 100)) == by_id(first)


async def test_drop_takes_exactly_one(dead: DeadLetters, source: TicketSource) -> None:
    for n in range(5):
        await source.bury(LANE, unit(n), REASON)
    letters = await listed(dead, 5)
    assert not await dead.drop("tts", "0" * 12)
    assert await dead.drop("tts", letters[2].id)
    assert not await dead.drop("tts", letters[2].id)
    assert by_id(await dead.list("tts", 100)) == by_id([*letters[:2], *letters[3:]])
    assert await dead.drop("tts", letters[4].id, letters[2].id, letters[0].id) == 2
    assert by_id(await dead.list("tts", 100)) == by_id([letters[1], letters[3]])
    assert await dead.drop("tts") == 0
    assert await dead.drop("tts", letters[3].id, letters[1].id) == 2
    assert await dead.list("tts", 100) == []


async def test_another_process_sees_what_this_one_left(
    address: Address, dead: DeadLetters, source: TicketSource
) -> None:
    for n in range(3):
        await source.bury(LANE, unit(n), REASON)
    letters = await listed(dead, 3)
    assert await dead.drop("tts", letters[0].id)
    await dead.close()
    other = open_dead_letters(address)
    assert by_id(await listed(other, 2)) == by_id(letters[1:])
    await other.close()


async def test_lanes_of_a_kind_are_read_together(dead: DeadLetters, source: TicketSource) -> None:
    await source.bury(LANE, unit(0), REASON)
    await source.bury(Lane("tts"), unit(1), REASON)
    assert {letter.lane for letter in await listed(dead, 2)} == {LANE, Lane("tts")}


async def test_messages_that_are_no_tickets_are_letters_without_a_unit(real: Address) -> None:
    source = await open_source(real, LANE, 9, "w1")
    dead = open_dead_letters(real)
    bodies = [b"", b"\xff\x00", b'{"v":1,"job":"a b","epoch":"e","index":0}', b"\xff\x00"]
    connection = await aio_pika.connect(real.broker)
    channel = await connection.channel()
    for body in bodies:
        await channel.default_exchange.publish(aio_pika.Message(body), f"{real.namespace}tts.jobs.tone")
    refused = [b"", b"\xff\x00", b"\xff\x00"]  # the other one is a ticket, of a unit that can not be
    letters = await listed(dead, len(refused))
    assert sorted(letter.body for letter in letters) == refused
    assert {(letter.unit, letter.lane, letter.reason) for letter in letters} == {(None, LANE, "rejected")}
    assert all(letter.at_ms is not None for letter in letters)
    assert len({letter.id for letter in letters}) == 2
    assert await dead.drop("tts", next(letter.id for letter in letters if letter.body == b"\xff\x00"))
    assert sorted(letter.body for letter in await dead.list("tts", 100)) == refused[:2]
    for closing in (dead, source, connection):
        await closing.close()


async def test_a_lane_nobody_has_used_has_no_letters(real: Address) -> None:
    dead = open_dead_letters(real)
    assert await dead.list("tts", 10) == []
    assert not await dead.drop("tts", "0" * 12)
    await dead.close()


async def test_a_broker_that_is_not_there_is_named() -> None:
    dead = open_dead_letters(Address("redis://127.0.0.1:1/0", "amqp://guest:guest@127.0.0.1:1/"))
    with pytest.raises(BrokerUnavailable):
        await dead.list("tts", 10)
    await dead.close()
