"""Events to the client, in the words of the generation it speaks."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from contracts.errors import BadInput, CastlineError
from producer_api.problems import members_of, openai_error

Send = Callable[[Mapping[str, Any]], Awaitable[None]]

_BETA_NAMES = {
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "conversation.item.added": "conversation.item.created",
}
_NOT_IN_BETA = frozenset({"conversation.item.done"})
_BETA_PARTS = {"output_text": "text", "output_audio": "audio"}


def new_id(kind: str) -> str:
    """`item_…`, `resp_…`, `event_…`."""
    return f"{kind}_{secrets.token_hex(10)}"


class Teller:
    """Tells one client. send: one event as JSON."""

    def __init__(self, send: Send, *, beta: bool) -> None:
        self._send = send
        self.beta = beta
        self.muted = False
        """The client has left: what it would be told goes nowhere."""

    async def __call__(self, kind: str, **members: Any) -> None:
        """Send an event, by its name of today."""
        if self.muted or (self.beta and kind in _NOT_IN_BETA):
            return
        if self.beta:
            kind = _BETA_NAMES.get(kind, kind)
            members = {name: _in_beta(value) for name, value in members.items()}
        await self._send({"type": kind, "event_id": new_id("event"), **members})

    async def error(self, exc: CastlineError, event_id: str | None = None) -> None:
        """What went wrong, and with which of the client's events."""
        said = openai_error(members_of(exc)[0])
        if isinstance(exc, BadInput):
            said["type"] = "invalid_request_error"
        await self("error", error={**said, "event_id": event_id})


def _in_beta(value: Any) -> Any:  # noqa: ANN401  JSON
    """Content parts by their names of then."""
    if isinstance(value, dict):
        renamed = {name: _in_beta(inner) for name, inner in value.items()}
        if renamed.get("type") in _BETA_PARTS:
            renamed["type"] = _BETA_PARTS[renamed["type"]]
        return renamed
    return [_in_beta(inner) for inner in value] if isinstance(value, list) else value
