"""The page to talk on, in real browsers with fake microphones, against a real system that answers with tones."""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path

import numpy as np
import pytest
from browser import bidi
from browser.bidi import Page
from browser.talking import (
    ELSEWHERE,
    PROBLEM,
    SPEAKER,
    STATE,
    Booth,
    booth,
    choose,
    chromium,
    embedded,
    firefox,
    open_talk,
    report,
    rows,
    told,
    write,
)  # fmt: skip
from llm_script import Attempt, ScriptedWorker, playing, say
from sounds import voice, wav

from load_tests.system import system

pytestmark = pytest.mark.timeout(240)

STORY = (
    "The keeper lit the lamp and went down again to his supper. Nobody had come that way for years, and nobody came "
    "that night. The sea was loud below the house. He read for a while, and put the book away, and listened. Then, "
    "long after midnight, somebody knocked at the door, three times and not very loud."
)
MS_PER_CHARACTER = 60
RATE = 24_000


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Booth]:
    directory = tmp_path_factory.mktemp("talk")
    worker = ScriptedWorker(embedded(directory), ("echo-writer", "story-writer"))
    worker.scripts["story-writer"] = [Attempt(say(STORY))]
    with booth(directory, worker) as running:
        yield running


@pytest.fixture(scope="module")
def chromium_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bidi.Session]:
    """Somebody says something for 1.5 s, again and again, every 8 s."""
    file = tmp_path_factory.mktemp("microphone") / "voice.wav"
    hush = np.zeros(RATE, np.float32)
    file.write_bytes(wav(np.concatenate([hush, voice(1.5, RATE), *[hush] * 5, hush[: RATE // 2]]), RATE))
    with chromium(file) as session:
        yield session


@pytest.fixture(scope="module")
def firefox_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[bidi.Session]:
    with firefox(tmp_path_factory.mktemp("firefox")) as session:
        yield session


@pytest.fixture(params=["chromium", "firefox"])
def page(request: pytest.FixtureRequest) -> Iterator[Page]:
    tab = Page(request.getfixturevalue(f"{request.param}_session"))
    yield tab
    tab.close()


@pytest.fixture
def caller(chromium_session: bidi.Session) -> Iterator[Page]:
    """Chromium, whose microphone hears a voice."""
    tab = Page(chromium_session)
    yield tab
    tab.close()


def answered(page: Page, count: int) -> None:
    """Wait until so many turns of the user have been answered to their end, in text and in sound."""
    page.wait_for(
        f"document.querySelectorAll('.turn.assistant').length === {count} && {STATE} === 'Ready.'", timeout_ms=50_000
    )


def test_push_to_talk_is_heard_while_it_is_said_and_answered_with_sound(page: Page, talk: Booth) -> None:
    open_talk(page, talk.url)
    page.hold("#talk")
    page.wait_for("document.querySelector('#mic-level').value > 0")
    page.wait_for("/^[0-9]+ ms/.test(document.querySelector('.turn.user p')?.textContent)")
    assert page.evaluate(STATE) == "Listening. Let go when you are done."
    page.let_go()
    page.wait_for("document.querySelector('#reply-level').value > 0")
    answered(page, 1)
    page.key_down(" ")
    page.wait_for("document.querySelectorAll('.turn.user p').length === 2")
    page.key_up(" ")
    answered(page, 2)
    heard, replies = rows(page, "user"), rows(page, "assistant")
    assert all(re.fullmatch(r"\d+ ms [0-9a-f]{8}", text) for text in heard)
    assert replies == [f"Echo: {text}" for text in heard]
    spoken_s = sum(len(text) * MS_PER_CHARACTER for text in replies) / 1000
    assert page.evaluate(f"{SPEAKER}.played") / RATE == pytest.approx(spoken_s, abs=0.2)
    assert re.search(r"heard \d+ ms, asked \d+ ms, first sound \d+ ms", page.evaluate("document.body.innerText"))
    assert page.complaints() == []


def test_captions_come_with_their_sound(caller: Page, talk: Booth) -> None:
    open_talk(caller, talk.url)
    choose(caller, "model", "story-writer")
    write(caller, "Tell me.")
    caller.wait_for(SPEAKER)
    caller.evaluate(
        f"""(window.shown = [], {SPEAKER}.addEventListener("caption", ({{ detail }}) =>
          window.shown.push([detail.text, {SPEAKER}.heard])), true)"""
    )
    answered(caller, 1)
    texts = [event["delta"] for event in told(caller, "response.output_audio_transcript.delta")]
    lengths, at = [], -1
    for event in caller.evaluate("window.told"):
        if event["type"] == "response.output_audio_transcript.delta":
            lengths.append(0)
            at += 1
        elif event["type"] == "response.output_audio.delta":
            lengths[at] += event["samples"]
    starts = [0.0, *accumulate(length / RATE for length in lengths)][: len(texts)]
    shown = caller.evaluate("window.shown")
    assert len(texts) > 3
    assert [text for text, _ in shown] == texts[-len(shown) :]
    assert len(shown) >= len(texts) - 1  # the first may be there before the test listens
    late = [heard - start for (_, heard), start in zip(shown[1:], starts[-len(shown) + 1 :], strict=True)]
    report(f"captions behind the beginning of their sound, s: {late}")
    assert all(0 <= one < 0.5 for one in late)
    assert "".join(texts) == rows(caller, "assistant")[0] == STORY


def test_hands_free_somebody_speaks_into_the_reply(caller: Page, talk: Booth) -> None:
    open_talk(caller, talk.url)
    choose(caller, "model", "story-writer")
    choose(caller, "turns", "pause")
    caller.click("#talk")
    caller.wait_for("document.querySelectorAll('.turn.assistant').length === 2", timeout_ms=50_000)
    [cut, *_] = told(caller, "conversation.item.truncated")
    interrupted = told(caller, "input_audio_buffer.speech_started")[1]
    assert not interrupted["playing"]
    caller.wait_for("document.querySelector('.turn.assistant').classList.contains('cut')")
    first = rows(caller, "assistant")[0]
    assert STORY.startswith(first)
    ms = cut["audio_end_ms"]
    assert isinstance(ms, int)
    report(f"heard {ms} ms of {len(STORY) * MS_PER_CHARACTER} ms: {first!r}")
    assert 1000 < ms < len(STORY) * MS_PER_CHARACTER
    assert abs(len(first) * MS_PER_CHARACTER - ms) < 12 * MS_PER_CHARACTER  # to the word
    assert told(caller, "castline.timing")[0]["first_audio_ms"]
    caller.wait_for(f"{SPEAKER}.playing")
    caller.click("#talk")
    assert caller.evaluate("window.castline.sound.microphone.open") is False
    caller.click("#hush")
    caller.wait_for(f"!{SPEAKER}.playing && {STATE} === 'Ready.'")
    caller.wait_for("document.querySelectorAll('.turn.assistant.cut').length === 2")
    assert caller.complaints() == []


def test_a_reload_goes_on_with_the_conversation(page: Page, talk: Booth) -> None:
    open_talk(page, talk.url)
    write(page, "Good morning.")
    answered(page, 1)
    before = page.evaluate("sessionStorage.getItem('castline:talk:session')")
    page.reload()
    page.wait_for("document.querySelectorAll('.turn').length === 2")
    page.wait_for(f"{STATE} === 'Ready.'")
    assert rows(page, "user") == ["Good morning."]
    assert rows(page, "assistant") == ["Echo: Good morning."]
    assert page.evaluate("sessionStorage.getItem('castline:talk:session')") == before
    write(page, "And now?")
    answered(page, 2)
    said = [m["content"] for m in talk.worker.asked[-1]["messages"] if m["role"] != "system"]
    assert said == ["Good morning.", "Echo: Good morning.", "And now?"]
    page.click("summary")
    page.click("#renew")
    page.wait_for("document.querySelectorAll('.turn').length === 0")
    assert page.complaints() == []


def test_the_front_goes_away_and_comes_back(page: Page, talk: Booth) -> None:
    open_talk(page, talk.url)
    write(page, "Before.")
    answered(page, 1)
    talk.system.fronts[0].signal(signal.SIGKILL)
    page.wait_for(f"{STATE} === 'The connection is lost; trying again.'")
    assert page.evaluate("document.querySelector('#talk').disabled")
    talk.system.fronts[0].start()
    talk.system.wait_for_front()
    page.wait_for(f"{STATE} === 'Ready.'")
    write(page, "After.")
    answered(page, 2)
    assert rows(page, "user") == ["Before.", "After."]
    assert rows(page, "assistant") == ["Echo: Before.", "Echo: After."]


def test_a_forgotten_conversation_is_said_and_a_new_one_begins(caller: Page, talk: Booth) -> None:
    open_talk(caller, talk.url)
    caller.evaluate("sessionStorage.setItem('castline:talk:session', 'sess_AAAAAAAAAAAAAAAA')")
    caller.reload()
    caller.wait_for(f"{PROBLEM} === 'The conversation of before has expired. This is a new one.'")
    caller.wait_for(f"{STATE} === 'Ready.'")


def test_an_insecure_page_says_why_it_can_not_hear_and_writes(page: Page, talk: Booth) -> None:
    open_talk(page, talk.url.replace("127.0.0.1", ELSEWHERE))
    assert "on localhost or over HTTPS only" in page.evaluate("document.querySelector('#hint').textContent")
    assert page.evaluate("document.querySelector('#talk').disabled")
    write(page, "Can you read me?")
    answered(page, 1)
    assert rows(page, "assistant") == ["Echo: Can you read me?"]


def test_a_refused_microphone_is_said(caller: Page, talk: Booth) -> None:
    open_talk(caller, talk.url)
    caller.evaluate(
        """(navigator.mediaDevices.getUserMedia = async () => {
          throw new DOMException("no", "NotAllowedError");
        }, true)"""
    )
    caller.hold("#talk")
    caller.wait_for(f"{PROBLEM}.startsWith('The browser does not let this page use the microphone.')")
    caller.let_go()


def test_a_missing_microphone_is_said(talk: Booth) -> None:
    with chromium(None) as session:
        page = Page(session)
        open_talk(page, talk.url)
        page.hold("#talk")
        page.wait_for(f"{PROBLEM}.startsWith('No microphone was found.')")
        page.let_go()
        write(page, "I write, then.")
        answered(page, 1)


def test_without_a_worker_it_says_so_and_tries_again(caller: Page, tmp_path: Path) -> None:
    address = embedded(tmp_path)
    with system(address, tmp_path) as running:
        running.front()
        caller.goto(f"{running.url()}/talk")
        caller.wait_for(f"{STATE} === 'Nobody can answer now; trying again.'")
        assert "A worker for language models is not available." in caller.evaluate(PROBLEM)
        with playing(ScriptedWorker(address, ("late",))):
            caller.wait_for(f"{STATE} === 'Ready.' && document.querySelector('#problem').hidden")
            caller.wait_for("document.querySelector('#model').value === 'late'")


def test_it_fits_a_phone_and_a_tab_reaches_all_of_it(page: Page, talk: Booth) -> None:
    page.viewport(360, 640)
    open_talk(page, talk.url)
    choose(page, "turns", "sense")
    write(page, "A long word: " + "Donaudampfschifffahrt" * 4)
    answered(page, 1)
    assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
    page.evaluate("(document.activeElement.blur(), scrollTo(0, 0), null)")
    reached = []
    for _ in range(14):
        page.press("Tab")
        reached.append(page.evaluate("document.activeElement.id || document.activeElement.localName"))
    assert {"summary", "turns", "model", "voice", "spoken", "renew", "talk", "text"} <= set(reached)
