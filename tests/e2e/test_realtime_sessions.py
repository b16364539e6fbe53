"""A conversation outlives its connection, and the front it went through; a chat hurts no other."""

from __future__ import annotations

import json
import signal
import socket
import sys
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from llm_script import Attempt, Gate, chunk, say
from talking import Talk, Talker, records_of, talking, text, wave_of
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from load_tests.services import wait_until

STORY = ("The keeper lit the lamp.", "Nobody had come that way for years.")


def half_said(talk: Talk, talker: Talker) -> tuple[str, str]:
    """A reply of which the client has two sentences: (prompt, id of its item)."""
    gate = Gate()
    first = chunk(content=f"{STORY[0]} {STORY[1]} And then ")
    prompt = talk.script(Attempt([chunk(role="assistant", content=""), first, gate, *say("he slept.")]))
    talker.ask(prompt)
    for sentence in STORY[:2]:
        assert talker.next("response.output_audio_transcript.delta")["delta"].strip() == sentence
    assert gate.reached.wait(20)
    return prompt, talker.next("response.output_audio.delta")["item_id"]


def session_of(talker: Talker) -> str:
    session: str = talker.events[0]["session"]["id"]
    return session


def items_of(talker: Talker, count: int) -> list[dict[str, Any]]:
    """What who comes back is told."""
    return [talker.next("conversation.item.done")["item"] for _ in range(count)]


def test_a_connection_that_drops_ends_its_reply_and_the_conversation_goes_on(talk: Talk) -> None:
    with talking(talk.system.url()) as talker:
        session = session_of(talker)
        prompt, item_id = half_said(talk, talker)
        talker.connection._connection.socket.shutdown(socket.SHUT_RDWR)
    wait_until(lambda: talk.model.jobs[prompt] in talk.model.stopped, 20, "the model to stop")
    again = talk.script(Attempt(say("Where were we?")))

    def kept() -> bool:
        with talking(talk.system.url(), session=session, tone=False) as talker:
            return bool(items_of(talker, 2)[1]["status"] == "incomplete")

    wait_until(kept, 20, "the end of the reply")
    with talking(talk.system.url(), session=session, tone=False) as talker:
        user, assistant = items_of(talker, 2)
        talker.configure(audio={"output": {"voice": "tone"}})
        talker.tell("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=700)
        talker.next("conversation.item.truncated")
        talker.ask(again)
        assert text(talker.done()) == "Where were we?"
    assert (session_of(talker), user["content"][0]["text"], assistant["id"]) == (session, prompt, item_id)
    assert " ".join(STORY[:2]).startswith(assistant["content"][0]["transcript"])
    assert talk.said(again) == [("user", prompt), ("assistant", "The keeper"), ("user", again)]


def test_a_front_that_is_killed_loses_nothing_of_the_conversation(talk: Talk) -> None:
    """Not the half of the reply that was sent, either."""
    victim = talk.system.front()
    with talking(talk.system.url(len(talk.system.fronts) - 1)) as talker:
        session = session_of(talker)
        prompt, item_id = half_said(talk, talker)
        victim.signal(signal.SIGKILL)
    talk.system.fronts.remove(victim)
    with talking(talk.system.url(), session=session, tone=False) as talker:
        user, assistant = items_of(talker, 2)
        talker.configure(audio={"output": {"voice": "tone"}})
        again = talk.script(Attempt(say("I am back.")))
        talker.ask(again)
        assert text(talker.done()) == "I am back."
    assert user["content"][0]["text"] == prompt
    assert (assistant["id"], assistant["status"]) == (item_id, "incomplete")
    assert assistant["content"] == [{"type": "output_audio", "transcript": " ".join(STORY[:2])}]
    assert talk.said(again) == [("user", prompt), ("assistant", " ".join(STORY[:2])), ("user", again)]


def test_of_two_connections_the_later_one_has_the_session(talk: Talk) -> None:
    with talking(talk.system.url()) as older:
        older.write("First.")
        with talking(talk.system.url(), session=session_of(older), tone=False) as later:
            assert [item["content"][0]["text"] for item in items_of(later, 1)] == ["First."]
            part = {"type": "input_text", "text": "Second."}
            older.tell("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
            error = older.next("error", but="")["error"]
            assert error["code"] == "session_taken_over"
            with pytest.raises(ConnectionClosed) as closed:
                older.next("nothing more")
            assert closed.value.rcvd is not None
            assert closed.value.rcvd.code == 4409
            prompt = talk.script(Attempt(say("Go on.")))
            later.configure(audio={"output": {"voice": "tone"}})
            later.ask(prompt)
            assert text(later.done()) == "Go on."
    assert talk.said(prompt) == [("user", "First."), ("user", prompt)]


def test_a_voice_that_is_killed_in_the_middle_of_a_reply_is_missed_nowhere(talk: Talk) -> None:
    story = " ".join(f"This is sentence number {n} of the long story that is told." for n in range(40))
    [victim] = [worker for worker in talk.system.workers if worker.module == "workers.tts"]
    with talking(talk.system.url()) as talker:
        prompt = talk.script(Attempt(say(story, 400)))
        talker.ask(prompt)
        at = len(talker.events)
        talker.next("response.output_audio_transcript.delta")
        victim.signal(signal.SIGKILL)
        talk.system.workers.remove(victim)
        talk.system.worker("tone", CASTLINE_TTS_SLOTS="2", CASTLINE_TTS_TONE_XRT="200")
        response = talker.next("response.done", timeout_s=60)["response"]
        events = talker.events[at:]
    assert (response["status"], text(response)) == ("completed", story)
    deltas = [e["delta"] for e in events if e["type"] == "response.output_audio_transcript.delta"]
    assert "".join(deltas) == story
    records = records_of(talk.system.url(), "casts", response["castline"]["cast"])
    assert len(wave_of(events)) == 2 * sum(record.get("n", 0) for record in records)
    sys.stdout.write(f"{len(records) - 2} units, {len(wave_of(events)) / 48_000:.0f} s of sound, nothing twice\n")


def test_a_client_that_does_not_read_is_let_go_and_hurts_nobody(talk: Talk) -> None:
    def sessions() -> float:
        metrics = httpx.get(f"{talk.system.url()}/metrics").text
        [line] = [line for line in metrics.splitlines() if line.startswith("castline_realtime_sessions ")]
        return float(line.split()[1])

    wait_until(lambda: sessions() == 0, 20, "the end of the tests before")
    big = talk.script(Attempt(say("A word and another one. " * 400, 2_000)))
    place = urlsplit(talk.system.url())
    stuck = socket.create_connection((place.hostname, place.port))
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    url = f"ws://{place.netloc}/v1/realtime?model=gpt-realtime"
    with connect(url, sock=stuck, proxy=None, max_queue=1, close_timeout=1) as frozen:
        part = {"type": "input_text", "text": big}
        item = {"type": "message", "role": "user", "content": [part]}
        for event in (
            {"type": "session.update", "session": {"audio": {"output": {"voice": "tone"}}}},
            {"type": "conversation.item.create", "item": item},
            {"type": "response.create"},
        ):
            frozen.send(json.dumps(event))
        talk.asked(big)
        with talking(talk.system.url()) as talker:
            prompt = talk.script(Attempt(say("Quite well.")))
            talker.ask(prompt)
            assert text(talker.done()) == "Quite well."
        wait_until(lambda: sessions() == 0, 60, "the front to let it go")
