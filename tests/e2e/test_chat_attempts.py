"""Attempts that are lost, requests that come again, clients that leave, fronts that die."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest
from chatting import LOST, STORY, Chat, asked, records, text_of
from llm_script import Attempt, Gate, say

from contracts.adapters import open_store
from contracts.ids import new_epoch, new_id
from contracts.jobs import CompletionRecipe
from contracts.ports import NewLog
from contracts.records import CompletionMeta
from contracts.topology import LLM_LANE
from load_tests.services import wait_until


@pytest.mark.parametrize("size", [1, 4, 9, 100])
def test_an_attempt_that_says_the_same_goes_on_seamlessly(client: openai.OpenAI, chat: Chat, size: int) -> None:
    gate = Gate()
    prompt = chat.script(Attempt([*say(STORY)[:6], gate], "lost"), Attempt(say(STORY, size)))
    stream = client.chat.completions.create(
        model="small", messages=asked(prompt), stream=True, stream_options={"include_usage": True}
    )
    seen = [next(stream) for _ in range(6)]
    gate.open()
    seen += list(stream)
    assert text_of(seen) == STORY
    assert [one.choices[0].delta.role for one in seen if one.choices and one.choices[0].delta.role] == ["assistant"]
    assert [one.choices[0].finish_reason for one in seen if one.choices and one.choices[0].finish_reason] == ["stop"]
    assert [one.usage is not None for one in seen].count(True) == 1


def test_an_attempt_that_says_something_else_is_an_error_that_names_the_completion(
    client: openai.OpenAI, chat: Chat, http: httpx.Client
) -> None:
    gate = Gate()
    other = STORY.replace("lamp", "fire")
    prompt = chat.script(Attempt([*say(STORY)[:8], gate], "lost"), Attempt(say(other)))
    stream = client.chat.completions.create(model="small", messages=asked(prompt), stream=True)
    job = stream.response.headers["x-castline-completion"]
    seen = [next(stream) for _ in range(8)]
    gate.open()
    with pytest.raises(openai.APIError, match=job) as caught:
        seen += list(stream)
    assert caught.value.code == "restarted"
    assert text_of(seen) == STORY[:28]
    found = records(http, job)
    last = max(n for n, r in enumerate(found) if r["e"] == "start")
    assert "".join(r["t"] for r in found[last:] if r["e"] == "delta") == other
    assert http.get(f"/v1/completions/{job}").json()["text"] == other


def test_an_attempt_that_says_less_than_was_sent_is_an_error(client: openai.OpenAI, chat: Chat) -> None:
    gate = Gate()
    prompt = chat.script(Attempt([*say(STORY)[:8], gate], "lost"), Attempt(say(STORY)[:5]))
    stream = client.chat.completions.create(model="small", messages=asked(prompt), stream=True)
    [next(stream) for _ in range(8)]
    gate.open()
    with pytest.raises(openai.APIError) as caught:
        list(stream)
    assert caught.value.code == "restarted"


def test_who_waits_for_the_whole_has_the_last_attempt(client: openai.OpenAI, chat: Chat) -> None:
    prompt = chat.script(Attempt(say("Something else"), "lost"), Attempt(say(STORY)))
    answer = client.chat.completions.create(model="small", messages=asked(prompt))
    assert answer.choices[0].message.content == STORY


def test_the_same_key_is_the_same_completion(client: openai.OpenAI, chat: Chat) -> None:
    gate = Gate()
    prompt = chat.script(Attempt([*say(STORY)[:4], gate, *say(STORY)[4:]]))
    key = {"Idempotency-Key": uuid4().hex}
    streams = [
        client.chat.completions.create(model="small", messages=asked(prompt), stream=True, extra_headers=key)
        for _ in range(3)
    ]
    gate.open()
    assert [text_of(list(stream)) for stream in streams] == [STORY] * 3
    again = client.chat.completions.create(model="small", messages=asked(prompt), stream=True, extra_headers=key)
    assert text_of(list(again)) == STORY
    jobs = {stream.response.headers["x-castline-completion"] for stream in (*streams, again)}
    assert len(jobs) == 1
    assert sum(request["messages"] == asked(prompt) for request in chat.worker.asked) == 1
    with pytest.raises(openai.UnprocessableEntityError) as caught:
        client.chat.completions.create(model="small", messages=asked("Hello"), extra_headers=key)
    assert caught.value.code == "idempotency_key_reused"
    other = client.chat.completions.with_raw_response.create(model="small", messages=asked("Hello"))
    assert other.headers["x-castline-completion"] not in jobs


@pytest.mark.parametrize("end", [LOST, "given up"])
def test_what_has_failed_is_written_anew_with_the_same_key(client: openai.OpenAI, chat: Chat, end: Any) -> None:
    prompt, key = chat.script(Attempt([], end)), {"Idempotency-Key": uuid4().hex}
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="small", messages=asked(prompt), extra_headers=key)
    chat.worker.scripts[prompt] = [Attempt(say(STORY))]
    answer = client.chat.completions.create(model="small", messages=asked(prompt), extra_headers=key)
    assert answer.choices[0].message.content == STORY


def test_a_reader_resumes_byte_for_byte(client: openai.OpenAI, chat: Chat, http: httpx.Client) -> None:
    prompt = chat.script(Attempt(say(STORY)[:4], "lost"), Attempt(say(STORY)))
    raw = client.chat.completions.with_raw_response.create(model="small", messages=asked(prompt))
    path = f"/v1/completions/{raw.headers['x-castline-completion']}/records"
    whole = http.get(path, params={"live": "sse"}).content
    preamble, *events = whole.split(b"\n\n")
    assert len(events) > 10
    for seq in (0, 1, 7, len(events) - 3):
        resumed = http.get(path, params={"live": "sse"}, headers={"Last-Event-ID": str(seq)}).content
        assert resumed == b"\n\n".join([preamble, *events[seq + 1 :]])


@pytest.mark.parametrize("how", ["body", "header", "no"])
@pytest.mark.parametrize("streamed", [False, True])
async def test_leaving_cancels_only_what_is_ephemeral(chat: Chat, how: str, *, streamed: bool) -> None:
    gate = Gate()
    prompt = chat.script(Attempt([*say(STORY)[:4], gate, *say(STORY)[4:]]))
    body = {"model": "small", "messages": asked(prompt), "stream": streamed}
    body |= {"ephemeral": True} if how == "body" else {}
    headers = {"X-Castline-Ephemeral": "true"} if how == "header" else {}
    async with httpx.AsyncClient(base_url=chat.url, timeout=30, trust_env=False) as http:
        if streamed:
            async with http.stream("POST", "/v1/chat/completions", json=body, headers=headers) as answer:
                await anext(answer.aiter_lines())
        else:
            asking = asyncio.create_task(http.post("/v1/chat/completions", json=body, headers=headers))
            assert await asyncio.to_thread(gate.reached.wait, 30)
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
    job = chat.worker.jobs[prompt]
    [request] = [request for request in chat.worker.asked if request["messages"] == asked(prompt)]
    assert "ephemeral" not in request
    if how == "no":
        gate.open()
    with httpx.Client(base_url=chat.url, timeout=30, trust_env=False) as client:
        found = await asyncio.to_thread(records, client, job)
    assert found[-1]["e"] == ("eos" if how == "no" else "cancelled")
    if how != "no":
        await asyncio.to_thread(wait_until, lambda: job in chat.worker.stopped, 30, "the worker to stop")


def test_who_joins_a_completion_does_not_cancel_it(client: openai.OpenAI, chat: Chat) -> None:
    gate, key = Gate(), {"Idempotency-Key": uuid4().hex}
    prompt = chat.script(Attempt([*say(STORY)[:4], gate, *say(STORY)[4:]]))
    body: dict[str, Any] = {"model": "small", "messages": asked(prompt), "stream": True}
    first = client.chat.completions.create(**body, extra_headers=key)
    second = client.chat.completions.create(**body, extra_headers={**key, "X-Castline-Ephemeral": "true"})
    next(second)
    second.close()
    gate.open()
    assert text_of(list(first)) == STORY


def test_cancelling_ends_it_for_everybody(chat: Chat, client: openai.OpenAI, http: httpx.Client) -> None:
    gate = Gate()
    prompt = chat.script(Attempt([*say(STORY)[:4], gate, *say(STORY)[4:]]))
    stream = client.chat.completions.create(model="small", messages=asked(prompt), stream=True)
    job = stream.response.headers["x-castline-completion"]
    view = http.get(f"/v1/completions/{job}").json()
    assert (view["state"], view["usage"], view["workers"]) == ("live", None, 1)
    assert http.delete(f"/v1/completions/{job}").json()["state"] == "cancelled"
    with pytest.raises(openai.APIError, match="cancelled"):
        list(stream)
    assert records(http, job)[-1]["e"] == "cancelled"
    wait_until(lambda: job in chat.worker.stopped, 30, "the worker to stop")
    assert http.delete("/v1/completions/AAAAAAAAAAAAAAAA").status_code == 404


async def test_a_cancelled_completion_is_a_410_for_who_waits_for_the_whole(chat: Chat) -> None:
    gate = Gate()
    prompt = chat.script(Attempt([gate]))
    async with openai.AsyncOpenAI(base_url=f"{chat.url}/v1", api_key="none", max_retries=0) as client:
        waiting = asyncio.create_task(client.chat.completions.create(model="small", messages=asked(prompt)))
        assert await asyncio.to_thread(gate.reached.wait, 30)
        async with httpx.AsyncClient(base_url=chat.url, timeout=30, trust_env=False) as http:
            await http.delete(f"/v1/completions/{chat.worker.jobs[prompt]}")
        with pytest.raises(openai.APIStatusError) as caught:
            await waiting
    assert (caught.value.status_code, caught.value.code) == (410, "cancelled")


async def test_a_completion_whose_front_has_died_before_it_was_submitted_is_written(
    chat: Chat, http: httpx.Client
) -> None:
    store, job = open_store(chat.system.address), new_id()
    body = json.dumps({"model": "small", "messages": asked("Are you there?")})
    meta = CompletionMeta(model="small", title="", created=0).model_dump(exclude={"created"})
    recipe = CompletionRecipe(model="small").model_dump()
    log = NewLog(job, new_epoch(), LLM_LANE, "live", "", recipe, meta, [body], closed=True, ttl_ms=60_000)
    await store.log_writer.open(log)
    await store.scheduler.expect(LLM_LANE, job, 0)
    await store.close()
    found = await asyncio.to_thread(records, http, job)
    assert (found[-1]["e"], found[-1]["finish_reason"]) == ("eos", "stop")
