"""Items of a conversation: what was said, what tools were called with, and what they gave."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from contracts.errors import BadInput
from producer_api.realtime.events import new_id

Item = dict[str, Any]
ID_CHARS = 64


def message_item(role: str, part: Mapping[str, Any], *, item_id: str = "", status: str = "completed") -> Item:
    """One with one part of content."""
    return {
        "id": item_id or new_id("item"), "object": "realtime.item", "type": "message", "status": status, "role": role,
        "content": [dict(part)],
    }  # fmt: skip


def call_item(call_id: str, name: str, arguments: str) -> Item:
    """A tool is called. arguments: JSON, as the model wrote it."""
    return {
        "id": new_id("item"), "object": "realtime.item", "type": "function_call", "status": "completed",
        "call_id": call_id, "name": name, "arguments": arguments,
    }  # fmt: skip


def given_item(given: object) -> Item:
    """One that a client has made. Raises BadInput."""
    if not isinstance(given, dict):
        raise BadInput("item: an object.", field="item")
    item: Item = {"object": "realtime.item", **given, "status": "completed"}
    item["id"] = given.get("id") or new_id("item")
    if not isinstance(item["id"], str) or len(item["id"]) > ID_CHARS:
        raise BadInput(f"item.id: a text of at most {ID_CHARS} characters.", field="item.id")
    match item.get("type"):
        case "message":
            _check_message(item)
        case "function_call":
            item.setdefault("arguments", "{}")
            _check_texts(item, "item", "call_id", "name", "arguments")
        case "function_call_output":
            _check_texts(item, "item", "call_id", "output")
        case _:
            raise BadInput("item.type: a message, a function_call or a function_call_output.", field="item.type")
    return item


def text_of(item: Item) -> str:
    """What is said in it."""
    parts = (part.get("transcript") or part.get("text") or "" for part in item.get("content", ()))
    return " ".join(part for part in parts if part).strip()


def _check_message(item: Item) -> None:
    if item.get("role") not in ("user", "assistant", "system"):
        raise BadInput("item.role: user, assistant or system.", field="item.role")
    content = item.get("content")
    if not isinstance(content, list) or not all(isinstance(part, dict) for part in content):
        raise BadInput("item.content: a list of parts.", field="item.content")
    for n, part in enumerate(content):
        if part.get("audio"):
            raise BadInput("item.content: send audio by input_audio_buffer.append.", field="item.content")
        known = [name for name in ("text", "transcript", "image_url") if part.get(name) is not None]
        _check_texts(part, f"item.content[{n}]", *known)


def _check_texts(given: Mapping[str, Any], where: str, *names: str) -> None:
    for name in names:
        if not isinstance(given.get(name), str):
            raise BadInput(f"{where}.{name}: a text.", field=f"{where}.{name}")
