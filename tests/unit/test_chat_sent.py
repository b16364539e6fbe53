"""What a client has been sent, against an attempt that begins anew."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from producer_api.chat.merge import merge
from producer_api.chat.sent import Differs, Sent


def chunk(reason: str | None = None, index: int = 0, /, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": index, "delta": delta, "finish_reason": reason}]}


def call(arguments: str, **more: Any) -> dict[str, Any]:
    function = {"arguments": arguments, **({"name": more.pop("name")} if "name" in more else {})}
    return {"tool_calls": [{"index": 0, **more, "function": function}]}


def received(*attempts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a client gets of attempts of which all but the last are lost; each is sent as far as it is given here."""
    sent, found = Sent(), []
    for attempt in attempts:
        sent.restart()
        found += [rest for one in attempt if (rest := sent.unsent(one)) is not None]
    sent.end()
    return found


def deltas(found: list[dict[str, Any]]) -> list[Any]:
    return [choice["delta"] for one in found for choice in one["choices"]]


def test_the_first_attempt_is_sent_as_it_is() -> None:
    says = [
        chunk(role="assistant", content=""), chunk(content="a"), chunk(content=""), chunk("stop"),
        {"choices": [], "usage": {}},
    ]  # fmt: skip
    assert received(says) == says


def test_only_what_is_new_is_sent_of_the_next() -> None:
    says = [chunk(role="assistant", content=""), chunk(content="Hel"), chunk(content="lo"), chunk("stop")]
    again = [chunk(role="assistant", content="H"), chunk(content="ello th"), chunk(content="ere"), chunk("stop")]
    assert deltas(received(says[:3], again))[3:] == [{"content": " th"}, {"content": "ere"}, {}]


def test_a_role_that_was_sent_alone_is_not_sent_again() -> None:
    begun = [chunk(role="assistant", content="")]
    assert deltas(received(begun, [*begun, chunk(role="assistant", content="Hi")])) == [
        {"role": "assistant", "content": ""}, {"content": "Hi"},
    ]  # fmt: skip


def test_a_call_goes_on_under_the_id_the_client_knows() -> None:
    begun = [chunk(**call("", id="a", type="function", name="f")), chunk(**call('{"x'))]
    again = [chunk(**call('{"x": 1', id="b", type="function", name="f")), chunk(**call("}")), chunk("tool_calls")]
    whole = merge(received(begun, again), "c", None)
    assert whole["choices"][0]["message"]["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"arguments": '{"x": 1}', "name": "f"}}
    ]


def test_a_call_that_is_new_has_its_id() -> None:
    other = {"index": 1, "id": "z", "type": "function", "function": {"name": "g", "arguments": "{}"}}
    again = chunk(tool_calls=[*call("{}", id="b", type="function", name="f")["tool_calls"], other])
    assert deltas(received([chunk(**call("{}", id="a", type="function", name="f"))], [again]))[1:] == [
        {"tool_calls": [other]}
    ]


def test_choices_go_on_each_by_itself() -> None:
    begun = [chunk(None, 0, content="A"), chunk(None, 1, content="B")]
    again = [chunk(None, 1, content="Bb"), chunk(None, 2, role="assistant", content="C"), chunk(None, 0, content="Aa")]
    assert deltas(received(begun, again))[2:] == [
        {"content": "b"}, {"role": "assistant", "content": "C"}, {"content": "a"},
    ]  # fmt: skip


def test_logprobs_of_tokens_that_were_sent_are_left_out() -> None:
    def with_logprobs(*tokens: str) -> dict[str, Any]:
        one = chunk(content="".join(tokens))
        one["choices"][0]["logprobs"] = {"content": [{"token": token, "logprob": -1.0} for token in tokens]}
        return one

    *_, last = received([with_logprobs("a"), with_logprobs("b")], [with_logprobs("a", "b", "c")])
    assert last["choices"][0]["logprobs"] == {"content": [{"token": "c", "logprob": -1.0}]}


def test_usage_is_sent_once() -> None:
    says = [chunk(content="a"), chunk("stop"), {"choices": [], "usage": {"total_tokens": 1}}]
    assert received(says, says) == says
    assert received(says[:2], says) == says


@pytest.mark.parametrize(
    ("begun", "again"),
    [
        ([chunk(content="abc")], [chunk(content="abd")]),
        ([chunk(content="abc")], [chunk(content="ab")]),
        ([chunk(content="abc")], []),
        ([chunk(content="ab"), chunk("stop")], [chunk(content="abc"), chunk("stop")]),
        ([chunk(content="ab"), chunk("stop")], [chunk(content="ab"), chunk("length")]),
        ([chunk(reasoning="a"), chunk(content="b")], [chunk(reasoning="aa"), chunk(content="b")]),
        ([chunk(content="a")], [chunk(reasoning="a"), chunk(content="a")]),
        ([chunk(**call("{}", id="a", name="f"))], [chunk(**call("{}", id="a", name="g"))]),
        ([chunk(content="a", score=1)], [chunk(content="a", score=2)]),
        ([chunk(content="a"), chunk(None, 1, content="b")], [chunk(content="a")]),
    ],
)
def test_what_differs_is_told(begun: list[dict[str, Any]], again: list[dict[str, Any]]) -> None:
    with pytest.raises(Differs):
        received(begun, again)


TEXT = st.text("ab \U0001f600", min_size=1, max_size=12)


@st.composite
def cut(draw: st.DrawFn, runs: list[tuple[str, str]]) -> list[dict[str, Any]]:
    """An answer of these runs of text, cut anywhere."""
    found = [chunk(role="assistant", content="")]
    for place, text in runs:
        ends = sorted({*draw(st.lists(st.integers(0, len(text)), max_size=4)), len(text)})
        found += [chunk(**{place: text[a:b]}) for a, b in zip([0, *ends], ends, strict=False)]
    return [*found, chunk("stop")]


@given(st.data())
def test_however_attempts_are_cut_the_client_has_the_whole_once(data: st.DataObject) -> None:
    runs = data.draw(st.lists(st.tuples(st.sampled_from(["content", "reasoning"]), TEXT), max_size=4))
    attempts = [data.draw(cut(runs)) for _ in range(3)]
    lost = [attempt[: data.draw(st.integers(0, len(attempt)))] for attempt in attempts[:2]]
    found = merge(received(*lost, attempts[2]), "c", None)["choices"]
    assert json.dumps(found) == json.dumps(merge(attempts[2], "c", None)["choices"])
