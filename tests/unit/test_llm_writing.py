"""An attempt in its log: the first token at once, the rest gathered, one append on its way at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from contracts.errors import EngineStopped, StoreUnavailable
from contracts.ports import AppendVerdict, LogWriter, Part
from contracts.units import Unit
from workers.llm_proxy import writing as writing_module
from workers.llm_proxy.chunks import Chunk
from workers.llm_proxy.writing import Writing

UNIT = Unit("a" * 16, "e1", 0)
START = Part("start", {"i": 0, "a": 1, "w": "w", "upstream": "u", "model": "m"})
ROLE = Chunk(b'{"role":1}')
FOR_EVER = 1e6


@dataclass
class Log:
    """Answers each append with the next of its script, then OK; a step may be an event to wait for."""

    script: list[AppendVerdict | Exception | asyncio.Event] = field(default_factory=list)
    calls: list[tuple[int, list[str]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    called: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    at_once: int = 0

    async def append(self, unit: Unit, writer: str, at: int, parts: Sequence[Part]) -> AppendVerdict:
        self.at_once += 1
        assert (unit, writer, self.at_once) == (UNIT, "w:1", 1)
        self.calls.append((at, [part.headers.get("t", part.type) for part in parts]))
        self.bodies += [part.body for part in parts]
        self.called.release()
        step = self.script.pop(0) if self.script else "OK"
        try:
            if isinstance(step, asyncio.Event):
                await step.wait()
            if isinstance(step, Exception):
                raise step
            return step if isinstance(step, str) else "OK"
        finally:
            self.at_once -= 1


def token(text: str) -> Chunk:
    return Chunk(b'{"t":"%b"}' % text.encode(), text, token=True)


def writing(log: Log, gather_s: float = FOR_EVER) -> Writing:
    return Writing(cast("LogWriter", log), UNIT, "w:1", START, gather_s)


async def test_the_first_token_goes_at_once_with_what_came_before_it_and_the_rest_gathers() -> None:
    log = Log()
    async with writing(log) as w:
        await w.add(ROLE)
        assert not w.begun
        await w.add(token("Hel"))
        await log.called.acquire()
        for text in ("lo", " you"):
            await w.add(token(text))
        await w.end()
    assert log.calls == [(0, ["start", "Hel"]), (2, ["lo you"])]
    assert log.bodies[1:] == [b'{"role":1}\n{"t":"Hel"}\n', b'{"t":"lo"}\n{"t":" you"}\n']


async def test_nothing_is_written_before_a_token_unless_that_was_all() -> None:
    dropped, kept, empty = Log(), Log(), Log()
    async with writing(dropped) as w:
        await w.add(ROLE)
    async with writing(kept) as w:
        await w.add(ROLE)
        await w.end()
    async with writing(empty) as w:
        await w.end()
    assert (dropped.calls, kept.calls, empty.calls) == ([], [(0, ["start", ""])], [(0, ["start"])])


async def test_what_comes_while_an_append_is_on_its_way_is_the_next_one() -> None:
    answered = asyncio.Event()
    log = Log([answered])
    async with writing(log, gather_s=0) as w:
        await w.add(token("a"))
        await log.called.acquire()
        for text in "bcd":
            await w.add(token(text))
        answered.set()
        await log.called.acquire()
        await w.add(token("e"))
        await log.called.acquire()
        await w.end()
    assert log.calls == [(0, ["start", "a"]), (2, ["bcd"]), (3, ["e"])]


async def test_what_gathers_is_written_without_waiting_for_more() -> None:
    log = Log()
    async with writing(log, gather_s=0.001) as w:
        for text in "ab":
            await w.add(token(text))
            await log.called.acquire()
        await w.end()
    assert log.calls == [(0, ["start", "a"]), (2, ["b"])]


async def test_an_append_without_an_answer_is_said_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing_module, "RETRY_S", (0.0, 0.0))
    log = Log(["OK", StoreUnavailable("Redis"), StoreUnavailable("Redis")])
    async with writing(log) as w:
        await w.add(token("a"))
        await log.called.acquire()
        await w.add(token("b"))
        await w.end()
    assert log.calls == [(0, ["start", "a"]), (2, ["b"]), (2, ["b"]), (2, ["b"])]


@pytest.mark.parametrize("verdict", ["LAPSED", "GONE"])
async def test_an_attempt_that_was_overtaken_stops(verdict: Any) -> None:
    log = Log([verdict])
    async with writing(log) as w:
        await w.add(token("a"))
        with pytest.raises(EngineStopped, match=verdict):
            await w.end()
    async with writing(Log([verdict])) as w:
        await w.add(token("a"))
        await asyncio.wait([w._task])
        with pytest.raises(EngineStopped, match=verdict):
            await w.add(token("b"))


async def test_the_upstream_waits_while_too_much_waits_for_the_store(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing_module, "MOST_BYTES", 20)
    answered = asyncio.Event()
    log = Log([answered])
    async with writing(log, gather_s=0) as w:
        await w.add(token("a"))
        await log.called.acquire()
        adding = asyncio.create_task(w.add(token("b" * 30)))
        await asyncio.wait([adding], timeout=0.01)
        assert not adding.done()
        answered.set()
        await adding
        await w.end()
    assert log.calls[1] == (2, ["b" * 30])


async def test_halves_of_a_character_in_two_chunks_are_one_and_a_lost_half_does_no_harm() -> None:
    log = Log()
    async with writing(log) as w:
        await w.add(token("!"))
        await log.called.acquire()
        for text in ("\ud83d", "\ude00", "\ud83d"):
            await w.add(Chunk(b"{}", text, token=True))
        await w.end()
    assert log.calls[1] == (2, ["\U0001f600\ufffd"])
