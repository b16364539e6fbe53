"""Events in pieces of any size, and what is in a chunk."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.llm_proxy import chunks
from workers.llm_proxy.chunks import Events, parse_chunk, storable
from workers.llm_proxy.failures import RequestRefused, UpstreamFailed

WIRE = (
    b': OPENROUTER PROCESSING\n\ndata: {"a":1}\n\nevent: x\nid: 7\ndata:{"b":\ndata: 2}\r\n\r\n\n'
    b'data: {"c":"\xc3\xbc\xe2\x80\xa8"}\n\ndata: [DONE]'
)
DATA = [b'{"a":1}', b'{"b": 2}', b'{"c":"\xc3\xbc\xe2\x80\xa8"}', b"[DONE]"]


@given(st.lists(st.integers(0, len(WIRE)), max_size=12))
def test_events_do_not_depend_on_how_they_are_cut(cuts: list[int]) -> None:
    events, found, at = Events(), [], 0
    for cut in [*sorted(cuts), len(WIRE)]:
        found += list(events.feed(WIRE[at:cut]))
        at = cut
    assert found + list(events.end()) == DATA


def test_an_event_without_an_end_is_garbage(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chunks, "LONGEST_EVENT", 100)
    for piece in (b"x" * 60, b"data: " + b"x" * 60 + b"\n"):
        events = Events()
        list(events.feed(piece))
        with pytest.raises(UpstreamFailed, match="without an end"):
            list(events.feed(piece))


def parsed(delta: Any, **choice: Any) -> chunks.Chunk:
    return parse_chunk(json.dumps({"choices": [{"index": 0, "delta": delta, **choice}]}).encode())


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "a"},
        {"tool_calls": [{"index": 0}]},
        {"reasoning_content": "hm"},
        {"refusal": "no"},
        {"role": "assistant", "content": " "},
    ],
)
def test_what_somebody_has_waited_for_is_a_token(delta: Any) -> None:
    chunk = parsed(delta)
    assert chunk.token
    assert chunk.text == delta.get("content", "")


@pytest.mark.parametrize("delta", [{"role": "assistant", "content": ""}, {"content": None, "reasoning": ""}, {}, None])
def test_a_role_alone_is_none(delta: Any) -> None:
    assert not parsed(delta).token


def test_figures_and_ends() -> None:
    usage = parse_chunk(b'{"choices": [], "usage": {"total_tokens": 3}}')
    assert (usage.usage, usage.token, usage.choices) == ({"total_tokens": 3}, False, frozenset())
    end = parsed({}, finish_reason="length")
    assert (end.ends, end.token) == ({0: "length"}, True)
    second = parse_chunk(b'{"choices": [{"index": 1, "delta": {"content": "b"}}]}')
    assert (second.text, second.token, second.choices) == ("", True, frozenset({1}))


@pytest.mark.parametrize(
    "data",
    [
        b"no", b"[1]", b"\xff", b'{"usage": {"x": NaN}}', b'{"choices": 1}', b'{"choices": [1]}',
        b'{"choices": [{"delta": "x"}]}', b"[" * 100_000,
    ],
)  # fmt: skip
def test_garbage(data: bytes) -> None:
    with pytest.raises(UpstreamFailed) as failure:
        parse_chunk(data)
    assert failure.value.kind == "garbage"


def test_an_error_in_place_of_a_chunk() -> None:
    with pytest.raises(UpstreamFailed, match="error 502: overloaded"):
        parse_chunk(b'{"error": {"code": 502, "message": "overloaded"}, "choices": [{"finish_reason": "error"}]}')
    with pytest.raises(UpstreamFailed, match="out of memory"):
        parse_chunk(b'{"error": "out of memory"}')
    with pytest.raises(RequestRefused) as refusal:
        parse_chunk(b'{"error": {"code": 400, "message": "too long"}}')
    assert (refusal.value.status, refusal.value.error["message"]) == (400, "too long")


def test_what_utf_8_can_not_spell_is_replaced() -> None:
    assert storable({"a": ["x\ud83d", "\ud83d\ude00", 1.5, None]}) == {"a": ["x\ufffd", "\U0001f600", 1.5, None]}
