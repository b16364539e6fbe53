"""The chunks of a stream, put together to the answer that a client gets who did not ask for a stream."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from producer_api.chat.chunks import Chunk

LABELS = frozenset({"role", "id", "type", "index"})
"""Members that name a thing: they are repeated, or said once, and never go on."""


class _Text(list[str]):
    """A text that grows: its pieces."""


def merge(chunks: Iterable[Chunk], completion: str, usage: Mapping[str, Any] | None) -> dict[str, Any]:
    """A chat.completion. completion: its id; usage: where no chunk has any."""
    whole: dict[str, Any] = {"id": completion, "object": "chat.completion"}
    choices: dict[int, dict[str, Any]] = {}
    for chunk in chunks:
        for choice in chunk.get("choices") or ():
            index = choice.get("index", 0)
            _add_choice(choices.setdefault(index, {"index": index, "message": {}, "finish_reason": None}), choice)
        whole.update({k: v for k, v in chunk.items() if v is not None and k not in ("id", "object", "choices")})
    whole["choices"] = [_choice(choice) for _, choice in sorted(choices.items())]
    if "usage" not in whole and usage is not None:
        whole["usage"] = dict(usage)
    return whole


def _add_choice(known: dict[str, Any], more: Mapping[str, Any]) -> None:
    _add(known["message"], more.get("delta") or {})
    for name, value in more.items():
        if name == "logprobs" and value is not None:
            _add(known.setdefault("logprobs", {}), value)
        elif name != "delta" and value is not None:
            known[name] = value


def _add(known: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Texts go on, lists grow, objects are filled; what has an `index` in a list is one thing."""
    for name, value in more.items():
        have = known.get(name)
        if isinstance(value, str) and name not in LABELS:
            _add_text(known, name, value)
        elif isinstance(value, dict):
            have = known[name] = have if isinstance(have, dict) else {}
            _add(have, value)
        elif isinstance(value, list):
            have = known[name] = have if isinstance(have, list) else []
            _add_items(have, value)
        elif value not in (None, "") or have is None:
            known[name] = value


def _add_text(known: dict[str, Any], name: str, value: str) -> None:
    have = known.get(name)
    if not isinstance(have, _Text):
        have = known[name] = _Text()
    if name != "name" or value not in have:  # some repeat a function's name in every chunk
        have.append(value)


def _add_items(known: list[Any], more: list[Any]) -> None:
    for item in more:
        if not isinstance(item, dict):
            known.append(item)
            continue
        index = item.get("index")
        same = next((h for h in known if index is not None and isinstance(h, dict) and h.get("index") == index), None)
        if same is None:
            known.append(same := {})
        _add(same, item)


def _choice(choice: dict[str, Any]) -> dict[str, Any]:
    made = _whole_object(choice)
    made["message"] = message = {"role": "assistant", "content": None, **made["message"]}
    for call in message.get("tool_calls") or ():
        call.pop("index", None)  # numbers are for streams
    return made


def _whole_object(value: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _whole(item) for name, item in value.items()}


def _whole(value: object) -> object:
    """With texts in one piece, and indexed items in order."""
    if isinstance(value, _Text):
        return "".join(value)
    if isinstance(value, dict):
        return _whole_object(value)
    if isinstance(value, list):
        indexed = all(isinstance(item, dict) and "index" in item for item in value)
        return [_whole(i) for i in (sorted(value, key=lambda item: item["index"]) if indexed else value)]
    return value
