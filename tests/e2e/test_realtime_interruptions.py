"""Who speaks while a reply is made or played: it ends, down to its engines, and only what was heard was said."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from llm_script import Attempt, Gate, chunk, say
from sounds import voice
from stt_script import Hears
from talking import RATE, VAD, Talk, Talker, pcm16, records_of, talking, text

from load_tests.services import wait_until
from producer_api.realtime.floor import GO_ON
from workers.tts.engines.tone import SECONDS_PER_CHARACTER

LONG = (
    "The keeper lit the lamp and sat down beside it because the night was going to be long and nobody would come. "
    "He had bread and candles and a book that he had read twelve times and he knew every word of it by heart. "
    "Outside the wind had turned to the south and the ice on the river began to move with a sound like thunder."
)
WORD_MS = round(1_000 * SECONDS_PER_CHARACTER) * 12
"""As long as a word of these may be."""


def begin(talk: Talk, talker: Talker, *says: Any) -> str:
    """A reply that has begun to be heard; its prompt."""
    prompt = talk.script(Attempt(says or say(LONG)))
    talker.ask(prompt)
    talker.next("response.output_audio.delta")
    return prompt


def held(sentences: str) -> tuple[Gate, list[Any]]:
    """A model that stops in the middle."""
    gate = Gate()
    return gate, [chunk(role="assistant", content=""), chunk(content=sentences), gate, *say(" And so on.")]


def heard_of_it(talk: Talk, prompt: str) -> str:
    """What the model was told, with this prompt, that it had said."""
    said = [words for role, words in talk.said(prompt) if role == "assistant"]
    return said[-1] if said else ""


def play(since: float, seconds: float) -> None:
    """The reply is played for so long."""
    wait_until(lambda: time.monotonic() - since >= seconds, 20, "the playback")


def test_speech_ends_a_reply_that_is_being_made(talk: Talk) -> None:
    """What of it was said, by our own estimate: what could have been played since its first sound."""
    gate, says = held(LONG)
    then = talk.script(Attempt(say("Yes?")))
    talk.ears.will_hear(then)
    with talking(talk.system.url()) as talker:
        asked_at = time.monotonic()
        prompt = begin(talk, talker, *says)
        began = time.monotonic()
        assert gate.reached.wait(20)
        play(began, 1.5)
        least_ms = 1_000 * (time.monotonic() - began)
        talker.say()
        talker.next("input_audio_buffer.speech_started")
        most_ms = 1_000 * (time.monotonic() - asked_at)
        cut = talker.done()
        assert text(talker.done()) == "Yes?"
    job = talk.model.jobs[prompt]
    wait_until(lambda: job in talk.model.stopped, 20, "the model to stop")
    assert (cut["status"], cut["status_details"]) == (
        "cancelled", {"type": "cancelled", "reason": "turn_detected"}
    )  # fmt: skip
    assert records_of(talk.system.url(), "casts", cut["castline"]["cast"])[-1]["e"] == "cancelled"
    heard = heard_of_it(talk, then)
    assert LONG.startswith(heard)
    assert text(cut) == heard
    assert least_ms - WORD_MS <= 1_000 * SECONDS_PER_CHARACTER * len(heard) <= most_ms + WORD_MS


def test_speech_ends_a_reply_that_is_made_and_played_still(talk: Talk) -> None:
    then = talk.script(Attempt(say("Yes?")))
    talk.ears.will_hear(then)
    with talking(talk.system.url()) as talker:
        begin(talk, talker)
        began = time.monotonic()
        assert talker.done()["status"] == "completed"
        play(began, 1.5)
        talker.say()
        truncated = talker.next("conversation.item.truncated")
        assert text(talker.done()) == "Yes?"
    heard = heard_of_it(talk, then)
    assert truncated["audio_end_ms"] >= 1_500 - 100
    assert LONG.startswith(heard)
    assert heard not in ("", LONG)
    assert abs(1_000 * SECONDS_PER_CHARACTER * len(heard) - truncated["audio_end_ms"]) <= WORD_MS


def test_the_client_knows_better_how_much_was_heard(talk: Talk) -> None:
    """To the word: of one that is half played by then, the middle decides."""
    with talking(talk.system.url()) as talker:
        begin(talk, talker)
        response = talker.done()
        [item] = response["output"]
        first, second = records_of(talk.system.url(), "casts", response["castline"]["cast"])[1:3]
        word = second["words"][4]
        for into, count in ((word["s"] + 1, 4), (word["e"] - 1, 5)):
            talker.tell(
                "conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=first["d"] + into
            )
            assert talker.next("conversation.item.truncated")["audio_end_ms"] == first["d"] + into
            then = talk.script()
            talker.ask(then)
            talker.done()
            words = " ".join(one["w"] for one in second["words"][:count])
            told = [said for role, said in talk.said(then) if role == "assistant"]
            assert told[0] == f"{first['t']} {words}"


def test_a_reply_is_cancelled_by_the_client(talk: Talk) -> None:
    gate, says = held(LONG)
    with talking(talk.system.url()) as talker:
        prompt = begin(talk, talker, *says)
        assert gate.reached.wait(20)
        talker.tell("response.cancel")
        response = talker.done()
        talker.tell("response.cancel", event_id="late")
        error = talker.next("error", but="")["error"]
        then = talk.script()
        talker.ask(then)
        assert talker.done()["status"] == "completed"
    wait_until(lambda: talk.model.jobs[prompt] in talk.model.stopped, 20, "the model to stop")
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert LONG.startswith(text(response))
    assert (error["code"], error["event_id"]) == ("response_cancel_not_active", "late")


@pytest.mark.parametrize("heard", ["", "and a book that he had read"])
def test_a_noise_or_our_own_voice_is_no_turn_and_the_reply_goes_on(talk: Talk, heard: str) -> None:
    gate, says = held(LONG)
    talk.ears.will_hear(heard)
    talk.model.scripts[GO_ON] = [Attempt(say("He read it again."))]
    with talking(talk.system.url()) as talker:
        prompt = begin(talk, talker, *says)
        assert gate.reached.wait(20)
        play(time.monotonic(), 1.0)
        talker.say()
        started = talker.next("input_audio_buffer.speech_started")
        assert talker.done()["status"] == "cancelled"
        deleted = talker.next("conversation.item.deleted")
        assert text(talker.done()) == "He read it again."
    assert deleted["item_id"] == started["item_id"]
    (_, asked), (role, said), (_, hint) = talk.said(GO_ON)[-3:]
    assert (asked, role, hint) == (prompt, "assistant", GO_ON)
    assert LONG.startswith(said)


def test_a_noise_before_the_first_sound_has_the_question_answered_anew(talk: Talk) -> None:
    gate = Gate()
    prompt = talk.script(Attempt([chunk(role="assistant", content=""), gate, *say("Never said.")]))
    talk.ears.will_hear("")
    with talking(talk.system.url()) as talker:
        talker.ask(prompt)
        assert gate.reached.wait(20)
        talk.model.scripts[prompt] = [Attempt(say("Said now."))]
        talker.say()
        assert talker.done()["status"] == "cancelled"
        assert text(talker.done()) == "Said now."


def test_what_can_not_be_heard_is_said(talk: Talk) -> None:
    talk.ears.will_hear(Hears("", skip=True))
    with talking(talk.system.url()) as talker:
        talker.say()
        failed = talker.next("conversation.item.input_audio_transcription.failed")
        deleted = talker.next("conversation.item.deleted")
    assert failed["item_id"] == deleted["item_id"]
    assert failed["error"]["code"] == "given_up"


def test_a_reply_that_is_not_to_be_interrupted_is_followed_by_the_next(talk: Talk) -> None:
    """And while that one waits, the client is heeded."""
    gate, says = held(LONG)
    then = talk.script(Attempt(say("Now you.")))
    talk.ears.will_hear(then)
    with talking(talk.system.url()) as talker:
        talker.configure(audio={"input": {"turn_detection": {**VAD, "interrupt_response": False}}})
        begin(talk, talker, *says)
        assert gate.reached.wait(20)
        talker.say()
        talker.next("conversation.item.input_audio_transcription.completed")
        item_id = talker.write("A word beside.")
        talker.tell("conversation.item.delete", item_id=item_id)
        talker.next("conversation.item.deleted")
        gate.open()
        first, second = talker.done(), talker.done()
    assert (first["status"], text(second)) == ("completed", "Now you.")
    assert text(first).endswith("And so on.")


@pytest.mark.parametrize("then", ["And one more thing.", ""], ids=["more", "a noise"])
def test_who_goes_on_before_he_was_heard_is_answered_when_he_has_finished(talk: Talk, then: str) -> None:
    gate, before = Gate(), len(talk.model.asked)
    talk.ears.will_hear(Hears("The first thing.", gate=gate), then)
    with talking(talk.system.url()) as talker:
        talker.configure(audio={"input": {"turn_detection": VAD, "transcription": {}}})
        talker.say()
        talker.next("input_audio_buffer.committed")
        talker.append(pcm16(voice(1.0, RATE)))
        talker.next("input_audio_buffer.speech_started")
        gate.open()
        heard = talker.next("conversation.item.input_audio_transcription.completed", but="response.created")
        assert heard["transcript"] == "The first thing."
        talker.append(pcm16(np.zeros(RATE, np.float32)))
        assert talker.done()["status"] == "completed"
        assert [event["type"] for event in talker.events].count("response.created") == 1
    said = [request["messages"][-1]["content"] for request in talk.model.asked[before:]]
    assert said[-1] == (then or "The first thing.")


def test_an_answer_that_was_begun_early_ends_when_its_client_leaves(talk: Talk) -> None:
    gate, says = held("The keeper lit the lamp.")
    prompt = talk.script(Attempt(says))
    talk.ears.will_hear(Hears(prompt, turn=0.1))
    with talking(talk.system.url()) as talker:
        talker.configure(audio={"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}})
        talker.say()
        assert gate.reached.wait(20)
    wait_until(lambda: talk.model.jobs[prompt] in talk.model.stopped, 20, "the model to stop")
