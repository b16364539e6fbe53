"""Chunks of a stream, put together."""

from __future__ import annotations

from typing import Any

from producer_api.chat.merge import merge


def chunk(*choices: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "up", "object": "chat.completion.chunk", "created": 5, "model": "m", "choices": choices, **fields}


def choice(index: int = 0, reason: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, "finish_reason": reason}


def message(*deltas: dict[str, Any]) -> Any:
    """The message that these deltas make."""
    [made] = merge([chunk({"index": 0, "delta": delta}) for delta in deltas], "c", None)["choices"]
    return made["message"]


def test_texts_go_on_and_labels_do_not() -> None:
    said = message(
        {"role": "assistant", "content": "", "reasoning_content": "Let me"},
        {"role": "assistant", "reasoning_content": " think."},
        {"role": "assistant", "content": "Hel", "refusal": None},
        {"content": "lo"},
        {},
    )
    assert said == {
        "role": "assistant", "content": "Hello", "reasoning_content": "Let me think.", "refusal": None,
    }  # fmt: skip


def test_a_message_without_text_has_null_and_a_role() -> None:
    assert message({"refusal": "I will "}, {"refusal": "not."}) == {
        "role": "assistant", "content": None, "refusal": "I will not.",
    }  # fmt: skip


def test_calls_of_tools_are_told_apart_by_their_index() -> None:
    said = message(
        {"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "two", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "one", "arguments": "{"}}]},
        {"tool_calls": [{"index": 1, "id": "b", "function": {"name": "two", "arguments": "[1"}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "}"}}, {"index": 1, "function": {"arguments": "]"}}]},
    )
    assert said["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "one", "arguments": "{}"}},
        {"id": "b", "type": "function", "function": {"name": "two", "arguments": "[1]"}},
    ]


def test_calls_without_an_index_are_calls_of_their_own() -> None:
    said = message({"tool_calls": [{"id": "a"}]}, {"tool_calls": [{"id": "b"}]})
    assert said["tool_calls"] == [{"id": "a"}, {"id": "b"}]


def test_the_older_function_call() -> None:
    said = message({"function_call": {"name": "one", "arguments": "{"}}, {"function_call": {"arguments": "}"}})
    assert said["function_call"] == {"name": "one", "arguments": "{}"}


def test_choices_logprobs_ends_and_usage() -> None:
    def likely(token: str) -> dict[str, Any]:
        return {"content": [{"token": token, "logprob": -0.5, "bytes": [104, 105], "top_logprobs": []}]}

    chunks = [
        chunk({**choice(1, content="B"), "logprobs": None}, {**choice(0, content="A"), "logprobs": likely("A")}),
        chunk({**choice(0, content="a"), "logprobs": likely("a")}, system_fingerprint="fp"),
        chunk(choice(0, "stop"), {**choice(1, "length"), "stop_reason": 7}, usage=None),
        chunk(usage={"total_tokens": 3}),
    ]
    whole = merge(chunks, "chatcmpl-c", {"total_tokens": 99})
    assert whole == {
        "id": "chatcmpl-c", "object": "chat.completion", "created": 5, "model": "m", "system_fingerprint": "fp",
        "usage": {"total_tokens": 3},
        "choices": [
            {
                "index": 0, "message": {"role": "assistant", "content": "Aa"}, "finish_reason": "stop",
                "logprobs": {"content": likely("A")["content"] + likely("a")["content"]},
            },
            {"index": 1, "message": {"role": "assistant", "content": "B"}, "finish_reason": "length", "stop_reason": 7},
        ],
    }  # fmt: skip


def test_usage_of_the_end_where_no_chunk_has_any() -> None:
    assert merge([chunk(choice(content="A"))], "c", {"total_tokens": 9})["usage"] == {"total_tokens": 9}
    assert "usage" not in merge([chunk(choice(content="A"))], "c", None)
