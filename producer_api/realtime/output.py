"""What a response has put out, item by item: told to the client, kept in the conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Literal

from contracts.errors import CastlineError
from producer_api.problems import members_of, openai_error
from producer_api.realtime.config import Config
from producer_api.realtime.conversation import Conversation
from producer_api.realtime.events import Teller, new_id
from producer_api.realtime.items import Item, message_item

Kind = Literal["output_audio", "output_text"]
Reason = Literal["turn_detected", "client_cancelled", "max_output_tokens", "content_filter"]


class Output:
    """Of one response. usage: as the language model counts; logs: ids of the completion and of the cast."""

    def __init__(
        self, tell: Teller, config: Config, conversation: Conversation | None, metadata: Mapping[str, Any] | None
    ) -> None:
        self._tell, self._config, self._conversation, self._metadata = tell, config, conversation, metadata
        self._items: list[Item] = []
        self._one = asyncio.Lock()
        self.id = new_id("resp")
        self.message: Item | None = None
        self.usage: Mapping[str, Any] | None = None
        self.logs: dict[str, str] = {}

    async def begin(self, kind: Kind) -> None:
        """What it says begins, unless it has begun. Raises TakenOver, Unavailable, as all below."""
        await _whole(self._begin(kind))

    async def _begin(self, kind: Kind) -> None:
        async with self._one:
            if self.message is not None:
                return
            message = message_item("assistant", {"type": kind, **_content(kind, "")}, status="in_progress")
            await self._added(message, {**message, "content": []})
            self.message = message
            await self._tell("response.content_part.added", **self.part(), part=_shown_part(kind, ""))

    async def call(self, item: Item) -> None:
        """A tool is called."""
        await _whole(self._call(item))

    async def _call(self, item: Item) -> None:
        async with self._one:
            at = await self._added(item, {**item, "status": "in_progress", "arguments": ""})
            told = {**at, "item_id": item["id"], "call_id": item["call_id"]}
            await self._tell("response.function_call_arguments.delta", **told, delta=item["arguments"])
            done = {"name": item["name"], "arguments": item["arguments"]}
            await self._tell("response.function_call_arguments.done", **told, **done)
            await self._done(item)

    async def finish(
        self, text: str, status: str, reason: Reason | None, error: CastlineError | None, *, whole: bool
    ) -> None:
        """The end of it all. text: what was said, as far as it was heard; whole: it was."""
        async with self._one:  # what has begun to be told when it was interrupted is told to its end
            try:
                await self._finish_message(text, whole=whole)
            finally:
                await self._tell("response.done", response=self.shown(status, reason, error))

    async def _finish_message(self, text: str, *, whole: bool) -> None:
        if (message := self.message) is not None:
            kind: Kind = message["content"][0]["type"]
            content = [{"type": kind, **_content(kind, text)}]
            message.update(status="completed" if whole else "incomplete", content=content)
            if self._conversation is not None:  # before all else: the client may have left
                await self._conversation.change(dict(message))
            if kind == "output_audio":
                await self._tell("response.output_audio.done", **self.part())
                await self._tell("response.output_audio_transcript.done", **self.part(), transcript=text)
            else:
                await self._tell("response.output_text.done", **self.part(), text=text)
            await self._tell("response.content_part.done", **self.part(), part=_shown_part(kind, text))
            await self._done(message)

    def part(self) -> dict[str, Any]:
        """Which part of which item an event is about: of what it says."""
        index = 0 if self.message is None else self._items.index(self.message)
        item_id = None if self.message is None else self.message["id"]
        return {"response_id": self.id, "item_id": item_id, "output_index": index, "content_index": 0}

    def shown(
        self, status: str = "in_progress", reason: Reason | None = None, error: CastlineError | None = None
    ) -> dict[str, Any]:
        """As `response.created` and `response.done` have it."""
        details: dict[str, Any] | None = None
        if status not in ("completed", "in_progress"):
            details = {"type": status, "reason": reason}
            if error is not None:
                details["error"] = openai_error(members_of(error)[0])
        said = self._config
        modalities = "modalities" if self._tell.beta else "output_modalities"
        spoken = ["text", "audio"] if self._tell.beta and said.speaks else said.output_modalities
        return {
            "id": self.id, "object": "realtime.response", "status": status, "status_details": details,
            "output": list(self._items), "metadata": self._metadata,
            "conversation_id": self._conversation.id if self._conversation else None,
            modalities: spoken, "max_output_tokens": said.max_output_tokens,
            "audio": {"output": said.audio.output.model_dump(exclude={"speed"})},
            "usage": None if status == "in_progress" else _usage(self.usage),
            "castline": dict(self.logs),
        }  # fmt: skip

    async def _added(self, item: Item, blank: Item) -> dict[str, Any]:
        """One more, here and in the conversation: where it stands. blank: as it is shown before it is said."""
        at = {"response_id": self.id, "output_index": len(self._items)}
        before = None if self._conversation is None else await self._conversation.add(dict(item))
        self._items.append(item)
        await self._tell("response.output_item.added", **at, item=blank)
        if self._conversation is not None:
            await self._tell("conversation.item.added", previous_item_id=before, item=blank)
        return at

    async def _done(self, item: Item) -> None:
        at = {"response_id": self.id, "output_index": self._items.index(item)}
        await self._tell("response.output_item.done", **at, item=item)
        if self._conversation is not None:
            await self._tell(
                "conversation.item.done", previous_item_id=self._conversation.before(item["id"]), item=item
            )


async def _whole(telling: Coroutine[Any, Any, None]) -> None:
    """To its end, whatever becomes of whoever waits for it: an item is told of and kept, or neither."""
    task = asyncio.create_task(telling)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.shield(task)


def _content(kind: Kind, text: str) -> dict[str, str]:
    return {"transcript": text} if kind == "output_audio" else {"text": text}


def _shown_part(kind: Kind, text: str) -> dict[str, str]:
    return {"type": kind.removeprefix("output_"), **_content(kind, text)}


def _usage(usage: Mapping[str, Any] | None) -> dict[str, int]:
    """Tokens of text, as the language model counts them."""
    found = usage or {}
    read, written = int(found.get("prompt_tokens", 0)), int(found.get("completion_tokens", 0))
    return {"input_tokens": read, "output_tokens": written, "total_tokens": read + written}
