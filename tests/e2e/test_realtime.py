"""Voice chats by the official client, on SQLite and on Redis + RabbitMQ: turns, text, tools, what is asked for."""

from __future__ import annotations

import asyncio
import base64
import json

import openai
import pytest
from llm_script import Attempt, Gate, chunk, say
from stt_script import Hears
from talking import RATE, VAD, Talk, pcm16, records_of, sound, talking, text, wave_of

from workers.tts.engines.tone import SECONDS_PER_CHARACTER

REPLY = "The lamp is lit. Nobody has come that way for years."


async def test_a_spoken_turn_is_answered_by_the_official_client(talk: Talk) -> None:
    """Its own calls and types, and a real hearing worker behind."""
    kinds, answer = [], b""
    client = openai.AsyncOpenAI(base_url=f"{talk.system.url()}/v1", api_key="none", max_retries=0)
    async with client, client.realtime.connect(model="gpt-realtime") as connection:
        await connection.session.update(
            session={
                "type": "realtime", "instructions": "Be brief.",
                "audio": {"input": {"transcription": {"model": "echo"}}, "output": {"voice": "tone"}},
            }
        )  # fmt: skip
        wave = pcm16(sound(1.5))
        for at in range(0, len(wave), 4_800):
            await connection.input_audio_buffer.append(audio=base64.b64encode(wave[at : at + 4_800]).decode())
        async with asyncio.timeout(30):
            async for event in connection:
                kinds.append(event.type)
                assert event.type != "error", event
                if event.type == "conversation.item.input_audio_transcription.completed":
                    heard = event.transcript
                if event.type == "response.output_audio.delta":
                    answer += base64.b64decode(event.delta)
                if event.type == "response.done":
                    response = event.response
                    break
    turn = [kind for kind in kinds if kind.startswith(("input_audio_buffer", "response.c", "response.d"))]
    assert turn == [
        "input_audio_buffer.speech_started", "input_audio_buffer.speech_stopped", "input_audio_buffer.committed",
        "response.created", "response.content_part.added", "response.content_part.done", "response.done",
    ]  # fmt: skip
    assert response.status == "completed"
    assert response.output is not None
    said = response.output[0].content[0].transcript  # type: ignore[union-attr]
    assert said == f"Echo: {heard}"
    assert abs(len(answer) / 2 / RATE - SECONDS_PER_CHARACTER * len(said)) < 0.1


def test_events_of_a_turn_their_order_and_the_logs_behind_it(talk: Talk) -> None:
    prompt = talk.script(Attempt(say(REPLY)))
    talk.ears.will_hear(prompt)
    with talking(talk.system.url(), timing="1") as talker:
        talker.configure(instructions="Be brief.", audio={"input": {"turn_detection": VAD}})
        at = len(talker.events)
        talker.say(1.0)
        response = talker.done()
        timing = talker.next("castline.timing")
        events = talker.events[at:-1]
    assert (response["status"], text(response)) == ("completed", REPLY)
    deltas = [e["delta"] for e in events if e["type"] == "response.output_audio_transcript.delta"]
    assert "".join(deltas) == REPLY
    assert len(deltas) == 2
    assert response["usage"] == {"input_tokens": 7, "output_tokens": 5, "total_tokens": 12}
    assert talk.said(prompt) == [("system", "Be brief."), ("user", prompt)]
    logs = response["castline"]
    assert records_of(talk.system.url(), "completions", logs["completion"])[-1]["e"] == "eos"
    records = records_of(talk.system.url(), "casts", logs["cast"])
    assert [record["e"] for record in records] == ["meta", "audio", "audio", "eos"]
    assert len(wave_of(events)) == 2 * sum(record.get("n", 0) for record in records)
    started, stopped = (e for e in events if e["type"].startswith("input_audio_buffer.speech"))
    assert started["audio_start_ms"] < 300
    assert abs(stopped["audio_end_ms"] - 1_000) < 200
    stages = [timing[f"{stage}_ms"] for stage in ("transcript", "first_token", "first_audio")]
    assert stages == sorted(stages)


@pytest.mark.parametrize("likely", [True, False])
def test_semantic_vad_waits_where_the_turn_does_not_sound_like_an_end(talk: Talk, *, likely: bool) -> None:
    """Likely: over at its first pause of 200 ms. Unlikely: the turn goes on with what is said after the pause."""
    first = talk.script(Attempt(say("You have stopped.")))
    prompt = first if likely else f"{first} and then"
    talk.model.scripts[prompt] = [Attempt(say("You have stopped."))]
    talk.ears.will_hear(Hears(first, turn=0.9 if likely else 0.1), Hears("and then", turn=0.9))
    with talking(talk.system.url()) as talker:
        talker.configure(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}})
        talker.say(1.0)  # and a second of silence: less than the 2 s of eagerness high
        if not likely:
            talk.asked(first)  # begun, and not wanted
            talker.say(1.0)
        response = talker.done()
        kinds = [e["type"] for e in talker.events]
        [done] = [e for e in talker.events if e["type"].endswith("transcription.completed")]
    assert text(response) == "You have stopped."
    assert done["transcript"] == prompt
    assert kinds.count("input_audio_buffer.speech_started") == kinds.count("input_audio_buffer.committed") == 1
    assert kinds.count("response.created") == 1


def test_semantic_vad_ends_a_turn_with_a_long_silence_in_any_case(talk: Talk) -> None:
    prompt = talk.script(Attempt(say("Yes?")))
    talk.ears.will_hear(Hears(prompt, turn=0.1))
    with talking(talk.system.url()) as talker:
        talker.configure(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "high"}}})
        talker.say(1.0)
        talker.append(bytes(2 * RATE * 2))
        assert text(talker.done()) == "Yes?"


def test_an_answer_is_begun_before_the_turn_is_over_and_said_once(talk: Talk) -> None:
    """Its request is there while the silence is shorter than the turn's end; it is the one that is spoken."""
    gate = Gate()
    prompt = talk.script(Attempt([chunk(role="assistant", content=""), gate, *say("Early.")]))
    talk.ears.will_hear(prompt)
    with talking(talk.system.url()) as talker:
        talker.configure(audio={"input": {"turn_detection": {**VAD, "silence_duration_ms": 2_000}}})
        talker.say(1.0)
        assert gate.reached.wait(20)
        assert "input_audio_buffer.speech_stopped" not in [e["type"] for e in talker.events]
        gate.open()
        talker.append(bytes(2 * RATE * 2))
        assert text(talker.done()) == "Early."
    assert [r["messages"][-1]["content"] for r in talk.model.asked].count(prompt) == 1


def test_push_to_talk_waits_for_what_was_said(talk: Talk) -> None:
    """response.create comes before the text does: the model is asked with it all the same."""
    gate, prompt = Gate(), talk.script(Attempt(say("Roger.")))
    talk.ears.will_hear(Hears(prompt, gate=gate))
    with talking(talk.system.url()) as talker:
        session = talker.configure(audio={"input": {"turn_detection": None}})
        assert session["audio"]["input"]["turn_detection"] is None
        talker.append(pcm16(sound(1.0)[:RATE]))
        talker.tell("input_audio_buffer.commit", event_id="mine")
        talker.tell("response.create")
        talker.next("response.created")
        assert gate.reached.wait(20)
        gate.open()
        assert text(talker.done()) == "Roger."
        kinds = [e["type"] for e in talker.events]
        [done] = [e for e in talker.events if e["type"].endswith("transcription.completed")]
        talker.tell("input_audio_buffer.commit", event_id="again")
        error = talker.next("error", but="")["error"]
    assert not [kind for kind in kinds if kind.startswith("input_audio_buffer.speech")]
    assert abs(done["usage"]["seconds"] - 1.0) <= 0.1
    assert talk.said(prompt)[-1] == ("user", prompt)
    assert (error["code"], error["event_id"]) == ("input_audio_buffer_commit_empty", "again")


def test_text_in_and_text_out(talk: Talk) -> None:
    prompt = talk.script(Attempt(say(REPLY)))
    with talking(talk.system.url()) as talker:
        talker.configure(output_modalities=["text"])
        talker.ask(prompt)
        events = talker.until("response.done")
    response = events[-1]["response"]
    [item] = response["output"]
    assert item["content"] == [{"type": "output_text", "text": REPLY}]
    assert "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta") == REPLY
    assert not wave_of(events)
    assert list(response["castline"]) == ["completion"]


def test_text_that_is_written_again_is_told_once(talk: Talk) -> None:
    again = talk.script(Attempt([chunk(content="The lamp "), chunk(content="is ")], "lost"), Attempt(say(REPLY, 3)))
    other = talk.script(Attempt([chunk(content="The lamp "), chunk(content="is ")], "lost"), Attempt(say("A lamp.")))
    with talking(talk.system.url()) as talker:
        talker.configure(output_modalities=["text"])
        talker.ask(again)
        events = talker.until("response.done")
        assert "".join(e["delta"] for e in events if e["type"] == "response.output_text.delta") == REPLY
        talker.ask(other)
        response = talker.done()
    assert (response["status"], response["status_details"]["error"]["code"]) == ("failed", "restarted")


def test_a_tool_is_called_and_what_it_gives_is_told(talk: Talk) -> None:
    """Two calls behind a word; between call and output somebody writes: the model gets them as upstreams want them."""
    calls = [
        {"index": n, "id": f"call_{n}", "type": "function", "function": {"name": "clock", "arguments": json.dumps(a)}}
        for n, a in enumerate(({"zone": "UTC"}, {"zone": "CET"}))
    ]
    prompt = talk.script(
        Attempt([chunk(content="One moment."), *(chunk(tool_calls=[call]) for call in calls), chunk(0, "tool_calls")])
    )
    tool = {"type": "function", "name": "clock", "description": "Tells the time.", "parameters": {"type": "object"}}
    with talking(talk.system.url()) as talker:
        talker.configure(tools=[tool], tool_choice="auto")
        talker.ask(prompt)
        events = talker.until("response.done")
        message, *made = events[-1]["response"]["output"]
        for call in made:
            output = {"type": "function_call_output", "call_id": call["call_id"], "output": f"noon {call['call_id']}"}
            talker.tell("conversation.item.create", item=output)
        second = talk.script(Attempt(say("It is noon.")))
        talker.ask(second)
        assert text(talker.done()) == "It is noon."
    assert message["content"][0]["transcript"] == "One moment."
    assert [(c["name"], c["arguments"]) for c in made] == [("clock", '{"zone": "UTC"}'), ("clock", '{"zone": "CET"}')]
    told = [e for e in events if e["type"].startswith("response.function_call_arguments")]
    assert [e["type"].rpartition(".")[2] for e in told] == ["delta", "done", "delta", "done"]
    assert [(e["output_index"], e["call_id"]) for e in told[1::2]] == [(1, "call_0"), (2, "call_1")]
    function = {"name": "clock", "description": "Tells the time.", "parameters": {"type": "object"}}
    assert talk.asked(prompt)["tools"] == [{"type": "function", "function": function}]
    asked = talk.asked(second)["messages"]
    assert [m["role"] for m in asked] == ["user", "assistant", "assistant", "tool", "tool", "user"]
    assert [c["id"] for c in asked[2]["tool_calls"]] == [m["tool_call_id"] for m in asked[3:5]] == ["call_0", "call_1"]


def test_a_response_apart_from_the_conversation(talk: Talk) -> None:
    prompt = talk.script(Attempt(say("Greeting.")))
    with talking(talk.system.url()) as talker:
        known = talker.write("Something that was said before.")
        given = [
            {"type": "item_reference", "id": known},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": prompt}]},
        ]
        options = {"instructions": "Sort it.", "output_modalities": ["text"], "metadata": {"topic": "sorting"}}
        talker.tell("response.create", response={"conversation": "none", "input": given, **options})
        events = talker.until("response.done")
        response, item_id = events[-1]["response"], events[-1]["response"]["output"][0]["id"]
        talker.tell("conversation.item.retrieve", item_id=item_id)
        assert talker.next("error", but="")["error"]["param"] == "item_id"
        nothing = talk.script(Attempt(say("Only that.")))
        talker.ask(nothing)
        talker.done()
    assert (response["metadata"], response["conversation_id"], text(response)) == (
        {"topic": "sorting"}, None, "Greeting."
    )  # fmt: skip
    assert not [e for e in events if e["type"].startswith("conversation.item")]
    assert talk.said(prompt) == [("system", "Sort it."), ("user", "Something that was said before."), ("user", prompt)]
    assert talk.said(nothing) == [("user", "Something that was said before."), ("user", nothing)]


def test_a_reply_that_is_too_long_is_incomplete(talk: Talk) -> None:
    prompt = talk.script(Attempt(say("The lamp is", reason="length")))
    with talking(talk.system.url()) as talker:
        talker.ask(prompt, max_output_tokens=3)
        response = talker.done()
    assert response["status"] == "incomplete"
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert talk.asked(prompt)["max_tokens"] == 3


def test_the_tone_of_the_voice_is_told_to_the_model(talk: Talk) -> None:
    prompt = talk.script()
    talk.ears.will_hear(Hears(prompt, tone="sad"))
    with talking(talk.system.url()) as talker:
        talker.say()
        talker.done()
    note = "By the sound of it, the user's voice is sad."
    assert talk.said(note) == [("user", prompt), ("system", note)]


def test_a_long_silence_behind_a_reply_makes_the_model_speak(talk: Talk) -> None:
    prompt = talk.script(Attempt(say("Hm.")))
    with talking(talk.system.url()) as talker:
        talker.configure(audio={"input": {"turn_detection": {**VAD, "idle_timeout_ms": 1_000}}})
        talker.ask(prompt)
        talker.done()
        talker.append(bytes(2 * RATE))
        event = talker.next("input_audio_buffer.timeout_triggered")
        response = talker.done()
    assert event["audio_end_ms"] >= event["audio_start_ms"]
    assert text(response).startswith("Echo: The user has said nothing since.")


def test_a_client_that_stops_sending_in_the_middle_of_a_word_has_finished(talk: Talk) -> None:
    prompt = talk.script(Attempt(say("I see.")))
    talk.ears.will_hear(prompt)
    with talking(talk.system.url()) as talker:
        talker.append(pcm16(sound(1.0)[:RATE]))
        assert text(talker.done()) == "I see."
