"""One session: the client's events in, and the parts that answer them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from contracts.errors import BadInput, CastlineError, Unavailable
from producer_api.front import Front
from producer_api.realtime.config import Config
from producer_api.realtime.conversation import Conversation, TakenOver
from producer_api.realtime.ears import Ears
from producer_api.realtime.events import Teller
from producer_api.realtime.floor import Floor
from producer_api.realtime.items import given_item
from producer_api.realtime.replies import Replies

LOOK_S = 0.25
NO_MODEL_RETRY_S = 5


class RealtimeSession:
    """Of one connection.

    model: an alias, see chat_model; timing: tell `castline.timing`, which is none of OpenAI's events.
    """

    def __init__(
        self, front: Front, tell: Teller, conversation: Conversation, *, model: str, address: str, timing: bool
    ) -> None:
        self._front, self._tell, self._conversation = front, tell, conversation
        self._config = Config(model=model)
        self._floor = Floor(tell, conversation, lambda: self._config, lambda: self._ears, lambda: self._replies)
        self._replies = Replies(
            front, tell, conversation,
            config=lambda: self._config, settled=self._floor.settled, address=address, timing=timing,
        )  # fmt: skip
        self._ears = Ears(front, address, self._floor, self._failed)
        self._does: dict[str, Callable[[Mapping[str, Any]], Awaitable[None]]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "output_audio_buffer.clear": self._fall_silent,
            "conversation.item.create": self._create,
            "conversation.item.retrieve": self._retrieve,
            "conversation.item.delete": self._delete,
            "conversation.item.truncate": self._truncate,
            "response.create": self._respond,
            "response.cancel": self._cancel,
        }

    async def begin(self) -> None:
        """Tell what there is."""
        shown = self._config.shown(self._conversation.session, beta=self._tell.beta)
        await self._tell("session.created", session=shown)
        if self._tell.beta:
            conversation = {"id": self._conversation.id, "object": "realtime.conversation"}
            await self._tell("conversation.created", conversation=conversation)
        before = None
        for item in self._conversation.items:  # of the connection before this one
            await self._tell("conversation.item.added", previous_item_id=before, item=item)
            await self._tell("conversation.item.done", previous_item_id=before, item=item)
            before = item["id"]

    async def heed(self, text: str) -> None:
        """One event of the client's. What is wrong with it is told. Raises TakenOver."""
        event_id = None
        try:
            event = _parsed(text)
            event_id = event.get("event_id")
            if (do := self._does.get(str(event.get("type")))) is None:
                known = ", ".join(self._does)
                raise BadInput(
                    f"type: there is no event {str(event.get('type'))[:80]!r}; known: {known}.", field="type"
                )
            await do(event)
        except TakenOver:
            raise
        except CastlineError as exc:
            await self._tell.error(exc, event_id if isinstance(event_id, str) else None)

    async def watch(self) -> None:
        """Look after what time alone brings, for as long as the connection lasts. Raises TakenOver."""
        while not self._conversation.taken.is_set():
            await asyncio.sleep(LOOK_S)
            audible = self._replies.audible
            self._ears.guard(on=audible is not None and audible.playing)
            try:
                await self._floor.idle()
            except CastlineError as exc:
                await self._failed(exc)
        raise TakenOver("Another connection goes on with this session.")

    async def close(self) -> None:
        """The client has gone. Raises Unavailable."""
        self._tell.muted = True
        try:
            await self._replies.close()
        finally:
            try:
                await self._floor.close()
            finally:
                await self._ears.close()

    async def _failed(self, exc: CastlineError) -> None:
        if not isinstance(exc, TakenOver):  # which ends the session: watch() says so
            await self._tell.error(exc)

    # --- the client's events ---------------------------------------------------------------------------------

    async def _update(self, event: Mapping[str, Any]) -> None:
        changes = event.get("session")
        if not isinstance(changes, Mapping):
            raise BadInput("session: an object.", field="session")
        config = self._config.updated(changes)
        if config.model != self._config.model:
            config = config.model_copy(update={"model": await chat_model(self._front, config.model)})
        self._ears.tune(config)
        self._config = config
        shown = self._config.shown(self._conversation.session, beta=self._tell.beta)
        await self._tell("session.updated", session=shown)

    async def _append(self, event: Mapping[str, Any]) -> None:
        self._floor.sound_came()
        await self._ears.hear(event.get("audio"))

    async def _commit(self, _event: Mapping[str, Any]) -> None:
        await self._ears.commit()
        await self._floor.commit()

    async def _clear(self, _event: Mapping[str, Any]) -> None:
        await self._ears.clear()
        await self._floor.clear()
        await self._tell("input_audio_buffer.cleared")

    async def _create(self, event: Mapping[str, Any]) -> None:
        item = given_item(event.get("item"))
        after = event.get("previous_item_id")
        if not isinstance(after, str | None):
            raise BadInput("previous_item_id: the id of an item, or `root`.", field="previous_item_id")
        before = await self._conversation.add(item, after)
        await self._tell("conversation.item.added", previous_item_id=before, item=item)
        await self._tell("conversation.item.done", previous_item_id=before, item=item)

    async def _retrieve(self, event: Mapping[str, Any]) -> None:
        await self._tell("conversation.item.retrieved", item=self._conversation.get(event.get("item_id"), "item_id"))

    async def _delete(self, event: Mapping[str, Any]) -> None:
        item_id = self._conversation.get(event.get("item_id"), "item_id")["id"]
        await self._conversation.remove(item_id)
        await self._tell("conversation.item.deleted", item_id=item_id)

    async def _truncate(self, event: Mapping[str, Any]) -> None:
        """The client has played so much of a reply: what was not heard was not said."""
        end_ms = event.get("audio_end_ms")
        if type(end_ms) is not int or end_ms < 0:
            raise BadInput("audio_end_ms: a number of milliseconds.", field="audio_end_ms")
        await self._replies.cut(self._conversation.get(event.get("item_id"), "item_id")["id"], end_ms)

    async def _respond(self, event: Mapping[str, Any]) -> None:
        asked = event.get("response") or {}
        if not isinstance(asked, Mapping):
            raise BadInput("response: an object.", field="response")
        self._replies.create(asked)

    async def _cancel(self, event: Mapping[str, Any]) -> None:
        await self._replies.cancel(event.get("response_id"))

    async def _fall_silent(self, _event: Mapping[str, Any]) -> None:
        """What is being said is not wanted, if anything is."""
        if self._replies.active is not None:
            await self._replies.cancel(None)


async def chat_model(front: Front, asked: str) -> str:
    """The alias of a name: names of OpenAI's realtime models mean the first there is. Raises Unavailable."""
    known = await front.completions.models()
    if asked in known:
        return asked
    if not known:
        raise Unavailable("A worker for language models", retry_after_s=NO_MODEL_RETRY_S)
    if asked and "realtime" not in asked:
        raise BadInput(f"There is no model {asked[:120]!r} here; GET /v1/models lists them.", field="model")
    return front.settings.realtime_model or known[0]


def _parsed(text: str) -> dict[str, Any]:
    try:
        event = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise BadInput("The message is not JSON.") from exc
    if not isinstance(event, dict):
        raise BadInput("An event is a JSON object with a `type`.", field="type")
    return event
