"""Responses of one session: one at a time, begun by turns or by the client, ended early by either."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from contracts.errors import BadInput, CastlineError
from producer_api.front import Front
from producer_api.realtime.config import Config
from producer_api.realtime.conversation import Conversation, TakenOver
from producer_api.realtime.events import Teller
from producer_api.realtime.items import Item, given_item
from producer_api.realtime.prompt import messages
from producer_api.realtime.speaker import Response
from producer_api.realtime.turn import Turn
from producer_api.realtime.writing import Writing

logger = logging.getLogger(__name__)

CLOSE_S = 10.0
"""A reply that is cut off when its client leaves is in the conversation within this time, or is not."""


class Busy(BadInput):
    """There is a response already."""

    slug = "conversation-already-has-active-response"


class NotActive(BadInput):
    """There is none to cancel."""

    slug = "response-cancel-not-active"


class Replies:
    """config: of the session, as it is now; settled: waits until all that was said is text; timing: tell it."""

    def __init__(
        self, front: Front, tell: Teller, conversation: Conversation, *,
        config: Callable[[], Config], settled: Callable[[], Awaitable[None]], address: str, timing: bool,
    ) -> None:  # fmt: skip
        self._front, self._tell, self._conversation = front, tell, conversation
        self._config, self._settled, self._address, self._timing = config, settled, address, timing
        self._last: Response | None = None
        self._next: tuple[Turn, str] | None = None
        self._running: set[asyncio.Task[None]] = set()
        self._closed = False
        self.active: Response | None = None

    # --- what the floor asks ---------------------------------------------------------------------------------

    @property
    def audible(self) -> Response | None:
        """The one that is being made, or may be heard still."""
        return self.active or (self._last if self._last is not None and self._last.playing else None)

    @property
    def silent_s(self) -> float:
        """Since when nothing of ours is heard; 0 while it is, or nothing was said yet."""
        if self.audible is not None or self._last is None or not self._last.began:
            return 0.0
        return max(0.0, time.monotonic() - self._last.over_at)

    async def put_off(self) -> bool:
        """An answer that waits for the reply before it is not begun; whether there was one."""
        if self._next is None:
            return False
        (turn, _), self._next = self._next, None
        await turn.drop_writing()
        return True

    async def stop(self) -> Response | None:
        """Somebody interrupts: the reply ends, and what was not heard of it was not said. None: there was none."""
        reply = self.audible
        if reply is None or await reply.interrupt("turn_detected"):
            return reply
        heard_ms = reply.heard_ms
        if reply.item is None or reply.cut_ms is not None or heard_ms >= reply.sent_ms:
            return None
        if reply.conversation is not None:
            await self.cut(reply.item["id"], heard_ms)
        return reply

    async def cut(self, item_id: str, end_ms: int) -> None:
        """So much of an item was heard. Raises BadInput, TakenOver, Unavailable."""
        for reply in (self.active, self._last):
            if reply is not None and reply.item is not None and reply.item["id"] == item_id:
                reply.cut_ms = end_ms
        await self._conversation.cut(item_id, end_ms)
        await self._tell("conversation.item.truncated", item_id=item_id, content_index=0, audio_end_ms=end_ms)

    def write(self, items: Sequence[Item]) -> Writing:
        """What would be answered to these, if this were all."""
        config = self._config()
        return Writing(self._front, messages(config.instructions, items), config, self._address)

    async def answer(self, turn: Turn, hint: str = "") -> None:
        """To a turn that is over, behind what is being said. hint: for the model, behind everything."""
        if self._closed:
            await turn.drop_writing()
            return
        if self.active is not None:
            if self._next is not None:
                await self._next[0].drop_writing()
            self._next = turn, hint
            return
        config = self._config()

        async def prepare() -> Writing:
            asked = messages(config.instructions, self._conversation.items, hint)
            early, turn.writing = turn.writing, None
            if early is not None:
                if early.answers(asked, config):
                    return early
                await early.give_up()
            return Writing(self._front, asked, config, self._address)

        self._begin(Response(self._front, self._tell, config, prepare, self._address, self._conversation), turn)

    # --- what the client asks --------------------------------------------------------------------------------

    def create(self, asked: Mapping[str, Any]) -> None:
        """`response` of response.create. Raises BadInput."""
        if self.active is not None:
            raise Busy("The response before is not over: cancel it, or wait for response.done.")
        config = self._config().updated({n: asked[n] for n in _OF_A_RESPONSE if n in asked}, of="response")
        given, metadata = asked.get("input"), asked.get("metadata")
        if metadata is not None and not isinstance(metadata, dict):
            raise BadInput("response.metadata: an object.", field="response.metadata")
        if given is not None and not isinstance(given, list):
            raise BadInput("response.input: a list of items.", field="response.input")
        items = None if given is None else [self._referred(one) for one in given]

        async def prepare() -> Writing:
            if items is None:
                await self._settled()
            asked = messages(config.instructions, self._conversation.items if items is None else items)
            return Writing(self._front, asked, config, self._address)

        kept = None if asked.get("conversation") == "none" else self._conversation
        self._begin(Response(self._front, self._tell, config, prepare, self._address, kept, metadata))

    async def cancel(self, response_id: object) -> None:
        """Of this id, or whichever there is. Raises BadInput if there is none, Unavailable."""
        active = self.active
        if active is None or response_id not in (None, active.id):
            raise NotActive("There is no such response in progress.", field="response_id")
        await active.interrupt("client_cancelled")

    async def close(self) -> None:
        """The client has gone; a reply nobody hears is not made to its end, and how far it came is kept."""
        self._closed = True
        await self.put_off()
        if self.active is not None:
            await self.active.interrupt("client_cancelled")
        if self._running:
            _, left = await asyncio.wait(self._running, timeout=CLOSE_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)

    # --- running them ----------------------------------------------------------------------------------------

    def _begin(self, response: Response, turn: Turn | None = None) -> None:
        self.active = response
        task = asyncio.create_task(self._run(response, turn))
        self._running.add(task)
        task.add_done_callback(self._running.discard)

    async def _run(self, response: Response, turn: Turn | None) -> None:
        try:
            await response.run()
        except TakenOver:
            logger.info("a reply ended with its session")
        except CastlineError as exc:
            await self._tell.error(exc)
        finally:
            self._last, self.active = response if response.began else self._last, None
            if turn is not None:  # ended before it was known what to follow
                await turn.drop_writing()
        if self._timing and turn is not None:
            await self._tell("castline.timing", response_id=response.id, item_id=turn.id, **_timing(turn, response))
        if self._next is not None:
            (turn, hint), self._next = self._next, None
            await self.answer(turn, hint)

    def _referred(self, given: object) -> Item:
        if isinstance(given, dict) and given.get("type") == "item_reference":
            return self._conversation.get(given.get("id"), "response.input")
        return given_item(given)


_OF_A_RESPONSE = (
    "instructions", "output_modalities", "modalities", "tools", "tool_choice", "max_output_tokens", "audio", "voice",
    "output_audio_format", "temperature", "max_response_output_tokens",
)  # fmt: skip


def _timing(turn: Turn, response: Response) -> dict[str, Any]:
    """Ms from the end of what was said in the turn to each stage; and what the engines say they took."""

    def since(at: float) -> int | None:
        return round(1000 * (at - turn.ended_at)) if at and turn.ended_at else None

    timing = response.writing.timing if response.writing is not None else None
    return {
        "transcript_ms": since(turn.heard_at), "asked_ms": since(timing.asked) if timing else None,
        "first_token_ms": since(timing.first_token) if timing else None,
        "first_audio_ms": since(timing.first_audio) if timing else None,
        "engines_ms": {
            "hear": turn.hear_ms, "write": timing.write_ms if timing else 0, "speak": timing.speak_ms if timing else 0,
        },
    }  # fmt: skip
