"""Items of a conversation, in order. They are kept in a log of their own, so that who comes back finds them.

The log is an open one whose units are what happened: items that came, changed or went, and, unit by unit, what is being
said. Nobody renders them.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

from contracts.errors import BadInput, UnknownLog
from contracts.ids import JOB_ID, new_epoch
from contracts.ids import new_id as new_job
from contracts.ports import LogSource, NewLog
from contracts.units import Lane
from producer_api.front import Front
from producer_api.realtime.events import new_id
from producer_api.realtime.items import Item, text_of
from producer_api.realtime.said import Said, length_ms, text_heard

TALK_LANE = Lane("talk")
KEPT = 500
"""Items; older ones are forgotten."""
ITEM_BYTES = 4 << 20
"""Of one, as JSON: a picture fits."""
PREFIX = "sess_"
TRIES = 5
"""An older connection may write while we come."""


class TakenOver(BadInput):
    """Another connection goes on with this session."""

    slug, status = "session-taken-over", 409


class Conversation:
    """Of one session; one connection writes at a time, the latest. taken: that is another one by now."""

    def __init__(self, front: Front, job: str, epoch: str) -> None:
        self._log = front.store.log_writer
        self._job, self._epoch = job, epoch
        self._count = 0
        self._keeping = asyncio.Lock()
        self._said: dict[str, list[Said]] = {}
        self.taken = asyncio.Event()
        self.id = new_id("conv")
        self.items: list[Item] = []

    @property
    def session(self) -> str:
        """What the client calls it."""
        return PREFIX + self._job

    @classmethod
    async def open(cls, front: Front, session: str = "") -> Conversation:
        """A new one, or the one of a session that was. Raises UnknownLog, Unavailable."""
        if session:
            return await cls._again(front, session)
        job, epoch = new_job(), new_epoch()
        log = NewLog(
            job, epoch, TALK_LANE, "live", "", {"kind": "talk"}, {"v": 1, "kind": "talk", "title": ""}, [],
            closed=False, ttl_ms=front.settings.retention_s * 1000,
        )  # fmt: skip
        await front.store.log_writer.open(log)
        return cls(front, job, epoch)

    @classmethod
    async def _again(cls, front: Front, session: str) -> Conversation:
        job = session.removeprefix(PREFIX)
        for _ in range(TRIES):
            source = await front.store.log_writer.source(job) if JOB_ID.fullmatch(job) else None
            if source is None or source.recipe.get("kind") != "talk":
                raise UnknownLog(session)
            found = cls(front, job, source.status.epoch)
            found._read(source)
            try:
                await found._keep({"op": "take"})  # the connection before this one is told with its next word
            except TakenOver:
                continue
            return found
        raise TakenOver("Another connection goes on with this session.")

    async def add(self, item: Item, after: str | None = None) -> str | None:
        """Put it behind another one, or at the end (`root`: first); the id of the one before it. Raises BadInput."""
        if any(known["id"] == item["id"] for known in self.items):
            raise BadInput(f"item.id: there is an item {item['id']!r} already.", field="item.id")
        if len(json.dumps(item)) > ITEM_BYTES:
            raise BadInput(f"item: larger than {ITEM_BYTES:,} bytes.", field="item")
        if after not in (None, "root"):
            self.get(after, "previous_item_id")
        await self._keep({"op": "add", "after": after, "item": item})
        return self.before(item["id"])

    async def change(self, item: Item) -> None:
        """It is different now, if it is."""
        if item not in self.items:
            await self._keep({"op": "set", "item": item})

    async def say(self, item_id: str, said: Said) -> None:
        """One more unit of a spoken item: so much the client has got."""
        await self._keep({"op": "say", "id": item_id, "said": said.kept()})

    async def cut(self, item_id: str, end_ms: int) -> None:
        """Of a spoken item so much was heard: what was not heard was not said. Raises BadInput."""
        item, said = self.get(item_id, "item_id"), self._said.get(item_id)
        if not said:
            raise BadInput("item_id: nothing was spoken there.", field="item_id")
        if end_ms > length_ms(said):
            raise BadInput(f"audio_end_ms: the item has {length_ms(said)} ms of sound.", field="audio_end_ms")
        await self.change(_spoken(item, text_heard(said, end_ms)))

    async def remove(self, item_id: str) -> None:
        """Raises BadInput if there is none."""
        self.get(item_id, "item_id")
        await self._keep({"op": "remove", "id": item_id})

    def has(self, item_id: str) -> bool:
        """Whether there is one: clients delete items, too."""
        return any(item["id"] == item_id for item in self.items)

    def before(self, item_id: str) -> str | None:
        """The id of the item before this one."""
        place = self._place(item_id)
        return self.items[place - 1]["id"] if place else None

    def get(self, item_id: object, field: str) -> Item:
        """Raises BadInput if there is none."""
        for item in self.items:
            if item["id"] == item_id:
                return item
        raise BadInput(f"{field}: there is no item {str(item_id)[:80]!r}.", field=field)

    # --- the log ---------------------------------------------------------------------------------------------

    async def _keep(self, change: Mapping[str, Any]) -> None:
        """Whole or not at all, whoever waits for it: nobody knows how long the log is after half of it."""
        writing = asyncio.create_task(self._write(change))
        writing.add_done_callback(lambda done: done.cancelled() or done.exception())
        await asyncio.shield(writing)

    async def _write(self, change: Mapping[str, Any]) -> None:
        text = json.dumps({**change, "by": self.id})
        async with self._keeping:
            while (verdict := await self._grow(text)) == "GAP":
                if await self._catch_up(text):
                    return
            if verdict == "GONE":
                raise UnknownLog(self.session)
            self._count += 1
            self._apply(change)

    async def _grow(self, text: str) -> str:
        grown = await self._log.grow(self._job, self._epoch, self._count, [text], close=False, exact=True)
        return grown.verdict

    async def _catch_up(self, text: str) -> bool:
        """What we have written and never heard of, as the answer was lost on the way; whether this is of it.

        Raises TakenOver if somebody else has written.
        """
        source = await self._log.source(self._job)
        missed = [] if source is None else [source.texts[n] for n in range(self._count, source.status.total)]
        changes = [json.loads(one) for one in missed]
        if not changes or any(change["by"] != self.id for change in changes):
            self.taken.set()
            raise TakenOver("Another connection goes on with this session.")
        self._count += len(changes)
        for change in changes:
            self._apply(change)
        return text in missed

    def _read(self, source: LogSource) -> None:
        self._count = source.status.total
        for n in range(self._count):
            self._apply(json.loads(source.texts[n]))

    def _place(self, item_id: str) -> int:
        return next((n for n, item in enumerate(self.items) if item["id"] == item_id), len(self.items))

    def _apply(self, change: Mapping[str, Any]) -> None:
        match change["op"]:
            case "add":
                after = change["after"]
                place = {None: len(self.items), "root": 0}.get(after, self._place(after) + 1)
                self.items.insert(place, change["item"])
                if len(self.items) > KEPT:
                    self._said.pop(self.items.pop(0)["id"], None)
            case "set":
                self._replace(change["item"])
            case "say":
                self._said.setdefault(change["id"], []).append(said := Said(**change["said"]))
                for item in [item for item in self.items if item["id"] == change["id"]]:
                    self._replace(_spoken(item, f"{text_of(item)} {said.text}".strip()))
            case "remove":
                self.items = [i for i in self.items if i["id"] != change["id"]]
                self._said.pop(change["id"], None)

    def _replace(self, new: Item) -> None:
        self.items = [new if item["id"] == new["id"] else item for item in self.items]


def _spoken(item: Item, text: str) -> Item:
    return {**item, "status": "incomplete", "content": [{"type": "output_audio", "transcript": text}]}
