"""A conversation as a language model is told it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from producer_api.realtime.items import Item, text_of

MEMORY = 60
"""Messages that the model is told of, from the last one back."""

Message = dict[str, Any]


def messages(instructions: str, items: Sequence[Item], hint: str = "") -> list[Message]:
    """What it is to be, the last MEMORY messages, and behind them what it should know of this moment."""
    recent = _turns(items)[-MEMORY:]
    while recent and recent[0]["role"] == "tool":  # without its call no model takes it
        recent.pop(0)
    notes = [note for note in (_tone(items), hint) if note]
    return [*_system(instructions), *recent, *(message for note in notes for message in _system(note))]


def _turns(items: Sequence[Item]) -> list[Message]:
    """Calls of one moment are one message, with what they gave behind it: somebody may have spoken between.

    A call without an answer, or an answer without a call, is left out: upstreams refuse them.
    """
    outputs = {item["call_id"]: item["output"] for item in items if item["type"] == "function_call_output"}
    found: list[Message] = []
    calls: list[Item] = []
    for item in items:
        if item["type"] == "function_call":
            calls += [item] if item["call_id"] in outputs else []
        elif item["type"] == "message" and (message := _message(item)) is not None:
            found += _called(calls, outputs)
            calls = []
            found.append(message)
    return [*found, *_called(calls, outputs)]


def _called(calls: Sequence[Item], outputs: dict[str, str]) -> list[Message]:
    if not calls:
        return []
    made = [
        {"id": c["call_id"], "type": "function", "function": {"name": c["name"], "arguments": c["arguments"]}}
        for c in calls
    ]
    answers = [{"role": "tool", "tool_call_id": c["call_id"], "content": outputs[c["call_id"]]} for c in calls]
    return [{"role": "assistant", "content": None, "tool_calls": made}, *answers]


def _message(item: Item) -> Message | None:
    text = text_of(item)
    images = [
        part["image_url"] for part in item["content"] if part.get("type") == "input_image" and "image_url" in part
    ]
    if images:
        parts = [{"type": "image_url", "image_url": {"url": url}} for url in images]
        return {"role": item["role"], "content": [{"type": "text", "text": text}, *parts]}
    return {"role": item["role"], "content": text} if text else None


def _tone(items: Sequence[Item]) -> str:
    tone = next((item["castline_tone"] for item in reversed(items) if "castline_tone" in item), "")
    return f"By the sound of it, the user's voice is {tone}." if tone else ""


def _system(text: str) -> list[Message]:
    return [{"role": "system", "content": text}] if text else []
