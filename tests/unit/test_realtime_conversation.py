"""Conversations of voice chats: what is kept in their log, who writes it, and what a language model is told of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from contracts.adapters import Address, Store, open_store
from contracts.errors import BadInput, StoreUnavailable, UnknownLog
from producer_api.front import Front
from producer_api.realtime import conversation as talks
from producer_api.realtime.conversation import Conversation, TakenOver
from producer_api.realtime.items import Item, call_item, given_item, message_item
from producer_api.realtime.prompt import MEMORY, messages
from producer_api.realtime.said import Said

WORDS = [{"w": "Good", "s": 0, "e": 400}, {"w": "old", "s": 500, "e": 700}, {"w": "old", "s": 800, "e": 1_000}]


def user(text: str, **more: Any) -> Item:
    return {**message_item("user", {"type": "input_text", "text": text}), **more}


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = open_store(Address(f"sqlite://{tmp_path}/castline.db", ""))
    yield store
    await store.close()


@pytest.fixture
def front(store: Store) -> Front:
    return cast("Front", SimpleNamespace(store=store, settings=SimpleNamespace(retention_s=600)))


def texts(found: Conversation) -> list[str]:
    return [item["content"][0].get("text") or item["content"][0]["transcript"] for item in found.items]


async def test_who_comes_back_finds_what_was_said_and_may_cut_it(front: Front) -> None:
    first = await Conversation.open(front)
    hello, reply = user("Hello."), message_item("assistant", {"type": "output_audio", "transcript": ""})
    assert await first.add(hello) is None
    assert await first.add(reply) == hello["id"]
    assert await first.add(user("Zero."), "root") is None
    await first.say(reply["id"], Said("Good old old.", 0, 1_200, WORDS))
    await first.say(reply["id"], Said("The end.", 1_200, 800))
    second = await Conversation.open(front, first.session)
    assert texts(second) == ["Zero.", "Hello.", "Good old old. The end."]
    assert second.items == first.items
    await second.cut(reply["id"], 700)
    await second.remove(hello["id"])
    third = await Conversation.open(front, first.session)
    assert texts(third) == ["Zero.", "Good old"]
    assert third.items[1]["status"] == "incomplete"


async def test_the_older_connection_is_told_with_its_next_word(front: Front) -> None:
    older = await Conversation.open(front)
    later = await Conversation.open(front, older.session)
    with pytest.raises(TakenOver):
        await older.add(user("Mine."))
    assert older.taken.is_set()
    await later.add(user("Ours."))
    assert texts(later) == ["Ours."]


async def test_what_is_cancelled_on_the_way_is_kept_whole(front: Front) -> None:
    """A reply that is interrupted while it keeps something must not lose count of the log."""
    found = await Conversation.open(front)
    for n in range(20):
        adding = asyncio.create_task(found.add(user(str(n))))
        for _ in range(n):  # ever further into it
            await asyncio.sleep(0)
        adding.cancel()
        await asyncio.gather(adding, return_exceptions=True)
    await found.add(user("last"))
    assert len(found.items) in range(1, 22)
    assert texts(found)[-1] == "last"
    assert texts(await Conversation.open(front, found.session)) == texts(found)


async def test_a_change_whose_answer_was_lost_is_not_taken_for_somebody_elses(front: Front, store: Store) -> None:
    """A client library that sends a command again is told that the log has grown, by its own first try."""
    found = await Conversation.open(front)
    grow = store.log_writer.grow

    async def twice(*args: Any, **options: Any) -> Any:
        await grow(*args, **options)
        return await grow(*args, **options)

    found._log = cast("Any", SimpleNamespace(grow=twice, source=store.log_writer.source))
    await found.add(user("Once."))
    await found.add(user("Again."))
    assert texts(await Conversation.open(front, found.session)) == ["Once.", "Again."]


async def test_what_was_written_without_an_answer_is_found_with_the_next_change(
    front: Front, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = await Conversation.open(front)
    grow = store.log_writer.grow

    async def deaf(*given: Any, **more: Any) -> Any:
        monkeypatch.setattr(store.log_writer, "grow", grow)
        await grow(*given, **more)
        raise StoreUnavailable("the answer was lost")

    monkeypatch.setattr(store.log_writer, "grow", deaf)
    first = user("One.")
    with pytest.raises(StoreUnavailable):
        await talk.add(first)
    assert await talk.add(user("Two.")) == first["id"]
    assert texts(talk) == ["One.", "Two."]
    assert (await Conversation.open(front, talk.session)).items == talk.items
    with pytest.raises(TakenOver):
        await talk.add(user("Three."))


async def test_what_there_is_to_keep_is_bounded(front: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(talks, "KEPT", 5)
    monkeypatch.setattr(talks, "ITEM_BYTES", 1_000)
    found = await Conversation.open(front)
    for n in range(8):
        await found.add(user(str(n)))
    with pytest.raises(BadInput, match="larger"):
        await found.add(user("x" * 2_000))
    assert texts(found) == texts(await Conversation.open(front, found.session)) == ["3", "4", "5", "6", "7"]


async def test_a_long_reply_costs_the_log_no_more_than_its_text(front: Front, store: Store) -> None:
    found = await Conversation.open(front)
    reply = message_item("assistant", {"type": "output_audio", "transcript": ""})
    await found.add(reply)
    for n in range(200):
        await found.say(reply["id"], Said("A sentence of the reply.", n * 1_000, 1_000))
    source = await store.log_writer.source(found.session.removeprefix("sess_"))
    assert source is not None
    assert max(len(source.texts[n]) for n in range(source.status.total)) < 400


@pytest.mark.parametrize("session", ["", "sess_", "sess_AAAAAAAAAAAAAAAA", "AAAA", "../x", "sess_" + "é" * 16])
async def test_sessions_nobody_has(front: Front, session: str) -> None:
    if not session:
        assert (await Conversation.open(front)).items == []
        return
    with pytest.raises(UnknownLog):
        await Conversation.open(front, session)


async def test_items_that_are_not_there(front: Front) -> None:
    found = await Conversation.open(front)
    item = user("Hello.")
    await found.add(item)
    for work in (
        found.remove("x"), found.cut("x", 5), found.add(user("y"), "x"), found.add(item), found.cut(item["id"], 5)
    ):  # fmt: skip
        with pytest.raises(BadInput):
            await work
    assert texts(found) == ["Hello."]


# --- what the model is told ------------------------------------------------------------------------------------------


def output(call_id: str) -> Item:
    return given_item({"type": "function_call_output", "call_id": call_id, "output": f"of {call_id}"})


def test_calls_stand_together_with_what_they_gave() -> None:
    calls = [call_item(f"c{n}", "clock", "{}") for n in range(3)]
    items = [user("Time?"), *calls, user("Hurry."), output("c1"), output("c0"), output("c9"), user("Thanks.")]
    told = messages("Be brief.", items, "Now.")
    roles = [message["role"] for message in told]
    assert roles == ["system", "user", "assistant", "tool", "tool", "user", "user", "system"]
    assert [call["id"] for call in told[2]["tool_calls"]] == ["c0", "c1"]
    assert [(m["tool_call_id"], m["content"]) for m in told[3:5]] == [("c0", "of c0"), ("c1", "of c1")]


def test_the_model_is_told_of_the_last_messages_and_no_answer_without_its_call() -> None:
    items = [call_item("c0", "clock", "{}"), output("c0"), *(user(str(n)) for n in range(MEMORY - 1))]
    told = messages("Be brief.", items)
    assert [m["content"] for m in told] == ["Be brief.", *(str(n) for n in range(MEMORY - 1))]


def test_pictures_tones_and_what_was_not_heard() -> None:
    picture = {"type": "input_image", "image_url": "data:image/png;base64,AAAA"}
    unheard = message_item("user", {"type": "input_audio", "transcript": None})
    items = [user("Look.", content=[{"type": "input_text", "text": "Look."}, picture]), unheard]
    assert messages("", items) == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look."},
                {"type": "image_url", "image_url": {"url": picture["image_url"]}},
            ],
        }
    ]
    [_, note] = messages("", [user("Well.", castline_tone="sad")])
    assert note == {"role": "system", "content": "By the sound of it, the user's voice is sad."}
