"""The official client on /v1/chat/completions, on SQLite and on Redis + RabbitMQ; a scripted worker writes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest
from llm_script import (
    UPSTREAM,
    UPSTREAM_MODEL,
    USAGE,
    Attempt,
    Gate,
    Script,
    ScriptedWorker,
    chunk,
    playing,
    say,
    usage,
)
from openai.types.chat import ChatCompletionChunk

from contracts.adapters import Address, open_store
from contracts.ids import new_epoch, new_id
from contracts.jobs import CompletionRecipe
from contracts.ports import NewLog
from contracts.records import CompletionMeta
from contracts.topology import LLM_LANE
from load_tests.services import wait_until
from load_tests.system import System, system

STORY = "The keeper lit the lamp. Nobody had come that way for years."
REFUSED = {
    "type": "urn:castline:problem:upstream-refused", "title": "Upstream refused", "status": 400,
    "detail": "The upstream has refused the request: too long.",
    "upstream_error": {
        "message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded", "param": "messages",
    },
}  # fmt: skip
LOST = {"type": "urn:castline:problem:upstream-failed", "title": "", "status": 502, "detail": "The upstream is lost."}


@dataclass
class Chat:
    """What a test has: a front (and a second one that answers a stream at once), a worker, clients."""

    system: System
    eager: System
    worker: ScriptedWorker

    @property
    def url(self) -> str:
        return self.system.url()

    def script(self, *attempts: Attempt) -> str:
        """The prompt that makes the upstream say this."""
        prompt = uuid4().hex
        self.worker.scripts[prompt] = attempts
        return prompt


@pytest.fixture(scope="module", params=["embedded", "real"])
def chat(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chat]:
    directory, second = tmp_path_factory.mktemp("chat"), tmp_path_factory.mktemp("eager")
    if request.param == "embedded":
        address = Address(f"sqlite://{directory}/castline.db", "")
    else:
        servers = (request.getfixturevalue("redis_url"), request.getfixturevalue("amqp_url"))
        address = Address(*servers, f"chat-{uuid4().hex[:8]}:")
    settings = {"CASTLINE_CANARY_S": "0", "CASTLINE_MAX_BODY_BYTES": str(1 << 20)}
    worker = ScriptedWorker(address, ("small", "large", "org/broken"))
    with (
        system(address, directory, **settings, CASTLINE_FIRST_BYTE_S="60") as patient,
        system(address, second, **settings, CASTLINE_FIRST_BYTE_S="0.05") as eager,
        playing(worker),
    ):
        patient.front()
        eager.front()
        yield Chat(patient, eager, worker)


@pytest.fixture
def client(chat: Chat) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{chat.url}/v1", api_key="none", max_retries=0) as client:
        yield client


@pytest.fixture
def http(chat: Chat) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=chat.url, timeout=30, trust_env=False) as http:
        yield http


def asked(prompt: str) -> list[Any]:
    return [{"role": "user", "content": prompt}]


def text_of(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(one.choices[0].delta.content or "" for one in chunks if one.choices)


def records(http: httpx.Client, job: str) -> list[dict[str, Any]]:
    """All records, once it has ended."""
    with http.stream("GET", f"/v1/completions/{job}/records", params={"live": "sse"}) as answer:
        assert answer.status_code == 200
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


# --- answers -------------------------------------------------------------------------------------------------


def test_a_chat_is_answered_and_stays_as_a_log(chat: Chat, client: openai.OpenAI, http: httpx.Client) -> None:
    prompt = uuid4().hex
    raw = client.chat.completions.with_raw_response.create(
        model="small", messages=asked(prompt), temperature=0.3, extra_body={"top_k": 7}
    )
    answer, job = raw.parse(), raw.headers["x-castline-completion"]
    assert answer.choices[0].message.content == f"Echo: {prompt}"
    assert (answer.choices[0].finish_reason, answer.choices[0].message.role) == ("stop", "assistant")
    assert (answer.id, answer.object, answer.model) == (f"chatcmpl-{job}", "chat.completion", UPSTREAM_MODEL)
    assert (answer.created, answer.system_fingerprint) == (1_767_225_600, "fp_1")
    assert answer.usage is not None
    assert answer.usage.total_tokens == USAGE["total_tokens"]
    [sent] = [request for request in chat.worker.asked if request["messages"] == asked(prompt)]
    assert (sent["temperature"], sent["top_k"], sent["model"]) == (0.3, 7, "small")
    view = http.get(f"/v1/completions/{job}").json()
    assert (view["state"], view["model"], view["text"]) == ("done", "small", f"Echo: {prompt}")
    assert (view["usage"], view["upstream"], view["ttft_ms"], view["attempt"]) == (USAGE, UPSTREAM, 3, 1)
    assert view["expires"] - view["created"] > 6 * 86_400_000
    found = records(http, job)
    assert [r["e"] for r in found] == ["meta", "start", *["delta"] * (len(found) - 3), "eos"]
    assert "".join(r["t"] for r in found if r["e"] == "delta") == f"Echo: {prompt}"
    assert found == http.get(view["links"]["records"]).json()["records"]


def test_the_body_is_passed_on_as_it_came(chat: Chat, http: httpx.Client) -> None:
    prompt = uuid4().hex
    body = (
        '{"seed": 1.10, "model":"small",\n "messages":[{"role":"user","content":"%s"}], "metadata": {"ü": "\\u00fc"}}'
    )
    answer = http.post("/v1/chat/completions", content=(body % prompt).encode())
    assert answer.status_code == 200, answer.text
    assert json.loads(body % prompt) in chat.worker.asked


def test_a_stream_has_the_chunks_of_the_upstream_under_our_id(client: openai.OpenAI, chat: Chat) -> None:
    stream = client.chat.completions.create(
        model="small", messages=asked(chat.script(Attempt(say(STORY)))), stream=True
    )
    chunks = list(stream)
    job = stream.response.headers["x-castline-completion"]
    assert {one.id for one in chunks} == {f"chatcmpl-{job}"}
    assert {one.model for one in chunks} == {UPSTREAM_MODEL}
    assert text_of(chunks) == STORY
    assert len(chunks) == len(say(STORY)) - 1, "the usage was not asked for"
    assert all(one.usage is None and one.choices for one in chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_usage_comes_with_a_stream_that_asks_for_it(client: openai.OpenAI, chat: Chat) -> None:
    stream = client.chat.completions.create(
        model="small", messages=asked(chat.script(Attempt(say(STORY)))), stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip
    *chunks, last = list(stream)
    assert text_of(chunks) == STORY
    assert last.choices == []
    assert last.usage is not None
    assert last.usage.model_dump(exclude_none=True) == USAGE


async def test_the_async_client_sees_tokens_while_they_are_written(chat: Chat) -> None:
    gate = Gate()
    first, *rest = say("Once upon a time", 16)
    prompt = chat.script(Attempt([first, rest[0], gate, *rest[1:]]))
    async with openai.AsyncOpenAI(base_url=f"{chat.url}/v1", api_key="none", max_retries=0) as client:
        stream = await client.chat.completions.create(model="small", messages=asked(prompt), stream=True)
        chunks = aiter(stream)
        assert (await anext(chunks)).choices[0].delta.content == ""
        assert (await anext(chunks)).choices[0].delta.content == "Once upon a time"
        gate.open()
        assert [one.choices[0].finish_reason async for one in chunks] == ["stop"]
        whole = await client.chat.completions.create(model="small", messages=asked(uuid4().hex))
    assert whole.choices[0].finish_reason == "stop"


def tool_calls() -> Script:
    """Two calls, their arguments cut anywhere."""
    first = {"index": 0, "id": "call_a", "type": "function", "function": {"name": "weather", "arguments": ""}}
    second = {"index": 1, "id": "call_b", "type": "function", "function": {"name": "time", "arguments": "{}"}}
    more = [{"index": 0, "function": {"arguments": piece}} for piece in ('{"ci', 'ty": "Oslo', '"}')]
    says = [
        chunk(role="assistant", content=None, tool_calls=[first]), chunk(tool_calls=[more[0]]),
        chunk(tool_calls=[more[1], second]), chunk(tool_calls=[more[2]]), chunk(0, "tool_calls"), usage(),
    ]  # fmt: skip
    return [Attempt(says)]


@pytest.mark.parametrize("streamed", [False, True])
def test_tools_are_called(client: openai.OpenAI, chat: Chat, *, streamed: bool) -> None:
    prompt = chat.script(*tool_calls())
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    if streamed:
        with client.chat.completions.stream(model="small", messages=asked(prompt), tools=[tool]) as stream:
            message = stream.get_final_completion().choices[0].message
    else:
        message = (
            client.chat.completions.create(  # type: ignore[assignment]
                model="small", messages=asked(prompt), tools=[tool]
            )
            .choices[0]
            .message
        )
    assert message.tool_calls is not None
    calls = [(call.id, call.function.name, call.function.arguments) for call in message.tool_calls]
    assert calls == [("call_a", "weather", '{"city": "Oslo"}'), ("call_b", "time", "{}")]
    assert message.content is None


@pytest.mark.parametrize("streamed", [False, True])
def test_several_choices(client: openai.OpenAI, chat: Chat, *, streamed: bool) -> None:
    says = [
        chunk(0, role="assistant", content="He"), chunk(1, role="assistant", content="G"), chunk(1, content="ood"),
        chunk(0, content="llo"), chunk(0, "stop"), chunk(1, content=" day"), chunk(1, "stop"), usage(),
    ]  # fmt: skip
    prompt = chat.script(Attempt(says))
    if streamed:
        with client.chat.completions.stream(model="small", messages=asked(prompt), n=2) as stream:
            choices: Any = stream.get_final_completion().choices
    else:
        choices = client.chat.completions.create(model="small", messages=asked(prompt), n=2).choices
    assert [(c.index, c.message.content, c.finish_reason) for c in choices] == [
        (0, "Hello", "stop"), (1, "Good day", "stop"),
    ]  # fmt: skip


# --- errors --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
def test_an_error_before_the_first_byte_is_a_status_with_the_words_of_the_upstream(
    client: openai.OpenAI, chat: Chat, *, streamed: bool
) -> None:
    prompt = chat.script(Attempt([], REFUSED))
    with pytest.raises(openai.BadRequestError, match="too long") as caught:
        client.chat.completions.create(model="small", messages=asked(prompt), stream=streamed)
    error = caught.value
    assert (error.code, error.param, error.type) == ("context_length_exceeded", "messages", "invalid_request_error")
    assert error.response.headers["content-type"] == "application/problem+json"
    assert error.response.json()["type"] == REFUSED["type"]
    assert error.response.headers["x-castline-completion"]


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, openai.RateLimitError), (401, openai.AuthenticationError), (503, openai.InternalServerError)],
)
def test_the_status_of_an_error_is_the_upstreams(
    client: openai.OpenAI, chat: Chat, status: int, kind: type[openai.APIStatusError]
) -> None:
    prompt = chat.script(Attempt([], {**LOST, "status": status}))
    with pytest.raises(kind, match="lost") as caught:
        client.chat.completions.create(model="small", messages=asked(prompt))
    assert (caught.value.status_code, caught.value.code) == (status, "upstream_failed")


def test_an_error_after_the_first_byte_is_an_event_and_there_is_no_end(
    client: openai.OpenAI, chat: Chat, http: httpx.Client
) -> None:
    prompt = chat.script(Attempt(say(STORY)[:4], LOST))
    seen: list[ChatCompletionChunk] = []
    stream = client.chat.completions.create(model="small", messages=asked(prompt), stream=True)
    with pytest.raises(openai.APIError, match="The upstream is lost") as caught:
        seen.extend(stream)
    assert (text_of(seen), caught.value.code) == (STORY[:12], "upstream_failed")
    body = {"model": "small", "messages": asked(prompt), "stream": True}
    answer = http.post("/v1/chat/completions", json=body)
    assert answer.status_code == 200
    assert "[DONE]" not in answer.text
    assert http.get(f"/v1/completions/{answer.headers['x-castline-completion']}").json()["error"] == LOST


def test_a_completion_that_was_given_up_is_a_502_and_not_asked_for_again(
    client: openai.OpenAI, chat: Chat, http: httpx.Client
) -> None:
    prompt = chat.script(Attempt([], "given up"))
    with pytest.raises(openai.InternalServerError, match="given up after 5 attempts") as caught:
        client.with_options(max_retries=2).chat.completions.create(model="small", messages=asked(prompt))
    assert (caught.value.status_code, caught.value.code) == (502, "given_up")
    assert sum(request["messages"] == asked(prompt) for request in chat.worker.asked) == 1
    view = http.get(f"/v1/completions/{caught.value.response.headers['x-castline-completion']}").json()
    assert (view["state"], view["error"]["status"]) == ("failed", 502)


GOOD = {"model": "small", "messages": [{"role": "user", "content": "Hi"}]}


@pytest.mark.parametrize(
    ("body", "status", "code", "param"),
    [
        (b"", 400, "invalid_json", None),
        (b"{", 400, "invalid_json", None),
        (b"\xff\xfe", 400, "invalid_json", None),
        (b"[" * 100_000, 400, "invalid_json", None),
        (b"[]", 400, "invalid_request", None),
        (b'"text"', 400, "invalid_request", None),
        ({}, 400, "invalid_request", "model"),
        ({"model": "small"}, 400, "invalid_request", "messages"),
        ({**GOOD, "messages": []}, 400, "invalid_request", "messages"),
        ({**GOOD, "messages": "Hi"}, 400, "invalid_request", "messages"),
        ({**GOOD, "messages": None}, 400, "invalid_request", "messages"),
        ({**GOOD, "model": 7}, 400, "invalid_request", "model"),
        ({**GOOD, "model": ""}, 400, "invalid_request", "model"),
        ({**GOOD, "stream": "yes"}, 400, "invalid_request", "stream"),
        ({**GOOD, "ephemeral": 1}, 400, "invalid_request", "ephemeral"),
        ({**GOOD, "stream_options": True}, 400, "invalid_request", "stream_options"),
        ({**GOOD, "stream_options": {"include_usage": "x"}}, 400, "invalid_request", "stream_options.include_usage"),
        (b'{"model":"small","messages":[{}],"top_p":NaN}', 400, "invalid_json", None),
        (b'{"model":"small","messages":[{}],"top_p":1e999,"ephemeral":true}', 400, "invalid_json", None),
        ({**GOOD, "model": "nobody"}, 404, "model_not_found", "model"),
        ({**GOOD, "model": "\ud800"}, 404, "model_not_found", "model"),
        (b"x" * (1 << 21), 413, "content_too_large", None),
    ],
)
def test_bad_input_is_a_problem_that_openais_clients_understand(
    http: httpx.Client, body: Any, status: int, code: str, param: str | None
) -> None:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = http.post("/v1/chat/completions", content=content)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["error"]["code"], problem["error"]["param"]) == (status, code, param)
    assert problem["error"]["message"] == problem["detail"]


def test_headers_of_ours_are_looked_at(http: httpx.Client) -> None:
    for headers in ({"X-Castline-Ephemeral": "perhaps"}, {"Idempotency-Key": "k" * 300}):
        answer = http.post("/v1/chat/completions", json=GOOD, headers=headers)
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


# --- restarts ------------------------------------------------------------------------------------------------


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


# --- one completion, several requests ------------------------------------------------------------------------


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


# --- leaving, cancelling -------------------------------------------------------------------------------------


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


# --- waiting -------------------------------------------------------------------------------------------------


def test_a_stream_that_waits_is_kept_alive_and_says_later_errors_as_events(chat: Chat) -> None:
    """The second front answers at once."""
    for end, last in (("eos", "data: [DONE]"), (REFUSED, "too long")):
        gate = Gate()
        prompt = chat.script(Attempt([gate, *(say(STORY) if end == "eos" else [])], end))
        body = {"model": "small", "messages": asked(prompt), "stream": True}
        with (
            httpx.Client(base_url=chat.eager.url(), timeout=30, trust_env=False) as http,
            http.stream("POST", "/v1/chat/completions", json=body) as answer,
        ):
            lines = answer.iter_lines()
            assert (answer.status_code, next(lines)) == (200, ": ping")
            gate.open()
            assert last in [line for line in lines if line][-1]


def test_the_client_reads_over_what_keeps_a_stream_alive(chat: Chat) -> None:
    gate = Gate()
    prompt = chat.script(Attempt([gate, *say(STORY)]))
    with openai.OpenAI(base_url=f"{chat.eager.url()}/v1", api_key="none", max_retries=0) as client:
        stream = client.chat.completions.create(model="small", messages=asked(prompt), stream=True)
        gate.open()
        assert text_of(list(stream)) == STORY


def test_nobody_to_write_it_is_a_503(tmp_path: Path) -> None:
    with system(Address(f"sqlite://{tmp_path}/castline.db", ""), tmp_path) as running:
        running.front()
        with httpx.Client(base_url=running.url(), timeout=30, trust_env=False) as http:
            answer = http.post("/v1/chat/completions", json=GOOD)
            assert (answer.status_code, answer.json()["error"]["type"]) == (503, "server_error")
            assert int(answer.headers["Retry-After"]) > 0
            assert http.get("/v1/models").json() == {"object": "list", "data": []}
            health = http.get("/health/models")
            assert (health.status_code, health.json()) == (503, {"ok": False, "models": {}})


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


# --- models, health, the rest --------------------------------------------------------------------------------


def test_models_are_those_of_the_workers(client: openai.OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["large", "org/broken", "small"]
    for name in ("small", "org/broken"):
        assert client.models.retrieve(name).id == name
    with pytest.raises(openai.NotFoundError) as caught:
        client.models.retrieve("nobody")
    assert caught.value.code == "model_not_found"


def test_the_health_of_models_is_what_they_answer(chat: Chat, http: httpx.Client) -> None:
    chat.worker.scripts["org/broken"] = [Attempt([], LOST)]
    sick = http.get("/health/models")
    assert (sick.status_code, sick.json()["ok"]) == (503, False)
    found = sick.json()["models"]
    assert {name: (f["ok"], f["error"], f["ttft_ms"]) for name, f in found.items()} == {
        "large": (True, None, 3), "small": (True, None, 3), "org/broken": (False, LOST["detail"], None),
    }  # fmt: skip
    assert found["small"]["upstream"] == UPSTREAM
    assert http.get("/health").status_code == 200
    del chat.worker.scripts["org/broken"]
    well = http.get("/health/models")
    assert (well.status_code, well.json()["ok"]) == (200, True)
    canary = chat.worker.asked[-1]
    assert (canary["max_tokens"], canary["temperature"]) == (1, 0)
    status = http.get(f"/v1/completions/{chat.worker.jobs[canary['messages'][-1]['content']]}").json()
    assert status["expires"] - status["created"] < 120_000
    assert http.get("/ready").json()["workers"] == {"llm": 1}


def test_logs_of_another_kind_are_not_here(http: httpx.Client) -> None:
    cast = http.post("/v1/casts", json={"text": f"A cast, {uuid4().hex}.", "voice": "tone"}).json()["id"]
    assert http.get(f"/v1/completions/{cast}").status_code == 404
    assert http.delete(f"/v1/completions/{cast}").status_code == 404


def test_the_surface_is_described(http: httpx.Client) -> None:
    paths = http.get("/openapi.json").json()["paths"]
    chat = paths["/v1/chat/completions"]["post"]
    assert chat["requestBody"]["content"]["application/json"]["examples"]["stream"]["value"]["stream"] is True
    assert {"200", "400", "404", "410", "413", "422", "502", "503"} <= set(chat["responses"])
    assert {p["name"] for p in chat["parameters"]} == {"Idempotency-Key", "X-Castline-Ephemeral"}
    assert set(paths["/v1/completions/{job}"]) == {"get", "delete"}
    assert {"/v1/models", "/v1/models/{model}", "/v1/completions/{job}/records", "/health/models"} <= set(paths)
