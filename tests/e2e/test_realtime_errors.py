"""What a client does wrong is an `error` event that names its event, and the session goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from llm_script import Attempt, Gate, ScriptedWorker, chunk, playing, say
from talking import Talk, pcm16, sound, talking, text
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from contracts.adapters import Address
from load_tests.system import system

PART = {"type": "input_text", "text": "Hello."}
MESSAGE = {"type": "message", "role": "user", "content": [PART]}


def item(**changes: Any) -> dict[str, Any]:
    return {"item": {**MESSAGE, **changes}}


@pytest.mark.parametrize(
    ("kind", "members", "code", "param"),
    [
        ("sing", {}, "invalid_request", "type"),
        (5, {}, "invalid_request", "type"),
        ("session.update", {}, "invalid_request", "session"),
        ("session.update", {"session": {"type": "transcription"}}, "invalid_request", "session.type"),
        ("session.update", {"session": {"audio": "loud"}}, "invalid_request", "session.audio"),
        ("session.update", {"session": {"audio": "loud", "voice": "tone"}}, "invalid_request", "session.audio"),
        ("session.update", {"session": {"voice": "nobody"}}, "unknown_voice", "voice"),
        ("session.update", {"session": {"model": "gpt-9"}}, "invalid_request", "model"),
        ("session.update", {"session": {"temperature": 9}}, "invalid_request", "session.temperature"),
        (
            "session.update",
            {"session": {"input_audio_transcription": {"language": "??"}}},
            "invalid_request",
            "language",
        ),
        ("input_audio_buffer.append", {}, "invalid_request", "audio"),
        ("input_audio_buffer.append", {"audio": "not base64!"}, "invalid_request", "audio"),
        ("input_audio_buffer.commit", {}, "input_audio_buffer_commit_empty", None),
        ("conversation.item.create", {}, "invalid_request", "item"),
        ("conversation.item.create", item(type="song"), "invalid_request", "item.type"),
        ("conversation.item.create", item(role="king"), "invalid_request", "item.role"),
        ("conversation.item.create", item(content="Hello."), "invalid_request", "item.content"),
        ("conversation.item.create", item(content=[{**PART, "text": 5}]), "invalid_request", "item.content[0].text"),
        ("conversation.item.create", item(id=7), "invalid_request", "item.id"),
        ("conversation.item.create", item(type="function_call"), "invalid_request", "item.call_id"),
        ("conversation.item.create", {**item(), "previous_item_id": "none"}, "invalid_request", "previous_item_id"),
        ("conversation.item.create", {**item(), "previous_item_id": ["x"]}, "invalid_request", "previous_item_id"),
        ("conversation.item.retrieve", {"item_id": "item_none"}, "invalid_request", "item_id"),
        ("conversation.item.delete", {}, "invalid_request", "item_id"),
        ("conversation.item.truncate", {"item_id": "item_none", "audio_end_ms": 0}, "invalid_request", "item_id"),
        ("conversation.item.truncate", {"item_id": "x", "audio_end_ms": True}, "invalid_request", "audio_end_ms"),
        ("response.create", {"response": "now"}, "invalid_request", "response"),
        ("response.create", {"response": {"metadata": []}}, "invalid_request", "response.metadata"),
        ("response.create", {"response": {"input": "Hello."}}, "invalid_request", "response.input"),
        ("response.create", {"response": {"temperature": "hot"}}, "invalid_request", "response.temperature"),
        ("response.cancel", {}, "response_cancel_not_active", "response_id"),
    ],
)
def test_bad_events(talk: Talk, kind: Any, members: dict[str, Any], code: str, param: str | None) -> None:
    with talking(talk.system.url()) as talker:
        talker.tell(kind, event_id="mine", **members)
        error = talker.next("error", but="")["error"]
        assert (error["code"], error["param"], error["event_id"]) == (code, param, "mine")
        assert error["type"] == "invalid_request_error"
        talker.write("Still here.")


@pytest.mark.parametrize("message", ["{", "[]", "null", '"hello"', "[" * 100_000, b"\x00\xff"])
def test_what_is_no_event(talk: Talk, message: str | bytes) -> None:
    with talking(talk.system.url()) as talker:
        talker.connection._connection.send(message)
        error = talker.next("error", but="")["error"]
        assert (error["code"], error["event_id"]) == ("invalid_request", None)
        talker.write("Still here.")


def test_one_response_at_a_time_and_one_item_of_an_id(talk: Talk) -> None:
    gate = Gate()
    prompt = talk.script(Attempt([chunk(role="assistant", content=""), gate, *say("Done.")]))
    with talking(talk.system.url()) as talker:
        talker.ask(prompt)
        assert gate.reached.wait(20)
        talker.tell("response.create", event_id="second")
        error = talker.next("error", but="")["error"]
        gate.open()
        assert text(talker.done()) == "Done."
        for _ in range(2):
            talker.tell("conversation.item.create", event_id="twice", item={**MESSAGE, "id": "item_of_mine"})
        twice = talker.next("error", but="")["error"]
    assert (error["code"], error["event_id"]) == ("conversation_already_has_active_response", "second")
    assert (twice["param"], twice["event_id"]) == ("item.id", "twice")


def test_a_completion_that_fails_is_a_response_that_fails(talk: Talk) -> None:
    problem = {"type": "urn:castline:problem:upstream-failed", "title": "", "status": 502, "detail": "It is lost."}
    prompt = talk.script(Attempt([chunk(role="assistant", content="")], problem))
    with talking(talk.system.url()) as talker:
        talker.ask(prompt)
        response = talker.done()
        assert (response["status"], response["status_details"]["error"]["code"]) == ("failed", "upstream_failed")
        then = talk.script(Attempt(say("Better.")))
        talker.ask(then)
        assert text(talker.done()) == "Better."


@pytest.mark.parametrize(
    ("query", "code", "close"),
    [("model=gpt-9", "invalid_request", 4422), ("session=sess_AAAAAAAAAAAAAAAA", "unknown_log", 4404),
     ("session=../x", "unknown_log", 4404)],
)  # fmt: skip
def test_what_can_not_be_begun_is_said_and_closed(talk: Talk, query: str, code: str, close: int) -> None:
    assert refused(talk.system.url(), query) == (code, close)


def test_a_cast_is_no_session(talk: Talk) -> None:
    with talking(talk.system.url()) as talker:
        talker.ask(talk.script(Attempt(say("Said."))))
        cast = talker.done()["castline"]["cast"]
    assert refused(talk.system.url(), f"session=sess_{cast}") == ("unknown_log", 4404)


def test_without_a_language_model_the_client_is_to_come_back(tmp_path: Path) -> None:
    with system(Address(f"sqlite://{tmp_path}/castline.db", ""), tmp_path) as running:
        running.front()
        assert refused(running.url(), "model=gpt-realtime") == ("unavailable", 1013)


def test_without_a_worker_that_hears_the_client_is_told_once(tmp_path: Path) -> None:
    """What is said waits for one."""
    address = Address(f"sqlite://{tmp_path}/castline.db", "")
    with system(address, tmp_path) as running, playing(ScriptedWorker(address, ("small",))):
        running.front()
        with talking(running.url()) as talker:
            talker.append(pcm16(sound(1.0)))
            assert talker.next("error", but="")["error"]["code"] == "unavailable"
            talker.next("input_audio_buffer.committed")
            talker.write("Still here.")


def refused(url: str, query: str) -> tuple[str, int]:
    """(code of the only event, close code)."""
    with connect(f"ws{url.removeprefix('http')}/v1/realtime?{query}", proxy=None) as socket:
        error = json.loads(socket.recv(30))
        with pytest.raises(ConnectionClosed) as closed:
            socket.recv(30)
    assert closed.value.rcvd is not None
    return error["error"]["code"], closed.value.rcvd.code
