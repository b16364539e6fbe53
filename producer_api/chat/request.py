"""What a request for a completion is looked at for; all else of it is between the client and the model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from contracts.errors import BadInput


class BadRequest(BadInput):
    """Not a request for a completion; its status is OpenAI's."""

    status = 400


class NoJson(BadRequest):
    """The body is not JSON."""

    slug = "invalid-json"


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """What castline heeds of a request."""

    model: str
    """Alias."""
    text: str
    """What goes to the upstream: the body as it came, without `ephemeral`."""
    stream: bool
    usage: bool
    """`stream_options.include_usage`."""
    ephemeral: bool
    """Cancelled when its client leaves."""


def parse(body: bytes) -> CompletionRequest:
    """Raises BadRequest."""
    text, fields = _read(body)
    model, messages = fields.get("model"), fields.get("messages")
    if not isinstance(model, str) or not model:
        raise BadRequest("model: the name of a model; GET /v1/models lists them.", field="model")
    if not isinstance(messages, list) or not messages:
        raise BadRequest("messages: a list of at least one message.", field="messages")
    options = fields.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise BadRequest("stream_options: an object.", field="stream_options")
    usage = _flag(options or {}, "include_usage", "stream_options.include_usage")
    stream, ephemeral = _flag(fields, "stream", "stream"), _flag(fields, "ephemeral", "ephemeral")
    if "ephemeral" in fields:  # ours: an upstream may refuse what it does not know
        text = _without(fields, "ephemeral")
    return CompletionRequest(model, text, stream, usage, ephemeral)


def _read(body: bytes) -> tuple[str, dict[str, Any]]:
    """(the body as text, its members). Raises BadRequest."""
    try:
        text = body.decode()
        fields = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as exc:
        raise NoJson(f"The body is not JSON: {str(exc)[:120]}.") from exc
    if not isinstance(fields, dict):
        raise BadRequest("The body is a JSON object with `model` and `messages`.")
    return text, fields


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no number")


def _flag(fields: dict[str, Any], name: str, path: str) -> bool:
    """A member that is true, false, null or absent."""
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise BadRequest(f"{path}: true or false.", field=path)
    return bool(value)


def _without(fields: dict[str, Any], name: str) -> str:
    try:
        return json.dumps({k: v for k, v in fields.items() if k != name}, allow_nan=False)
    except ValueError as exc:  # 1e999 is JSON, and is infinite here
        raise NoJson("The body holds a number that is too large.") from exc
