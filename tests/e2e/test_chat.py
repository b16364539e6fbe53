"""The official client on /v1/chat/completions and /v1/models, on SQLite and on Redis + RabbitMQ."""

from __future__ import annotations

import json
from typing import Any
from uuid import uuid4

import httpx
import openai
import pytest
from chatting import LOST, STORY, Chat, asked, records, text_of
from llm_script import UPSTREAM, UPSTREAM_MODEL, USAGE, Attempt, Gate, Script, chunk, say, usage


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
