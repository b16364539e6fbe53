"""The completion that writes a reply."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.errors import CastlineError, UnknownLog
from producer_api.chat.request import CompletionRequest
from producer_api.front import Front
from producer_api.realtime.config import Config


@dataclass
class Timing:
    """When, by the clock of time.monotonic; 0: not yet."""

    asked: float = 0.0
    first_token: float = 0.0
    first_audio: float = 0.0
    write_ms: int = 0
    """The model's own: from the request to its upstream to the first token."""
    speak_ms: int = 0
    """The engine's own, for the first unit."""


class Writing:
    """A completion that has been asked for, perhaps before it was known to be wanted."""

    def __init__(self, front: Front, messages: Sequence[Mapping[str, Any]], config: Config, address: str) -> None:
        self._front, self._config, self._address = front, config, address
        self._messages = messages
        self._asking: asyncio.Task[None] | None = None
        self.id = ""
        self.timing = Timing()

    def answers(self, messages: Sequence[Mapping[str, Any]], config: Config) -> bool:
        """Whether it was asked the same."""
        return self._config is config and self._messages == messages

    def begin(self) -> asyncio.Task[None]:
        """Have it asked for, unless it has been; ask() says whether it was."""
        self._asking = self._asking or asyncio.create_task(self._ask())
        return self._asking

    async def ask(self) -> None:
        """May be said again. Raises UnknownModel, Unavailable, TooBusy."""
        await asyncio.shield(self.begin())

    async def give_up(self) -> None:
        """Nobody wants it. Raises Unavailable."""
        if self._asking is None:
            return
        try:
            await asyncio.shield(self._asking)
        except CastlineError:
            return
        with contextlib.suppress(UnknownLog):
            await self._front.completions.cancel(self.id)

    async def _ask(self) -> None:
        self.timing.asked = time.monotonic()
        body = {"model": self._config.model, "messages": self._messages, "stream": True, **self._options()}
        request = CompletionRequest(self._config.model, json.dumps(body), stream=True, usage=True, ephemeral=False)
        _, self.id = await self._front.completions.post(request, address=self._address)

    def _options(self) -> dict[str, Any]:
        config = self._config
        options: dict[str, Any] = {}
        if config.tools:
            functions = [{name: tool[name] for name in ("name", "description", "parameters") if name in tool}
                         for tool in config.tools if tool.get("type", "function") == "function"]  # fmt: skip
            options["tools"] = [{"type": "function", "function": function} for function in functions]
            choice = config.tool_choice
            named = isinstance(choice, dict) and "name" in choice
            options["tool_choice"] = {"type": "function", "function": {"name": choice["name"]}} if named else choice  # type: ignore[index]
        if config.max_output_tokens != "inf":
            options["max_tokens"] = config.max_output_tokens
        if config.temperature is not None:
            options["temperature"] = config.temperature
        return options
