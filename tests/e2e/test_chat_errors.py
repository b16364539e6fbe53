"""What goes wrong with a completion, as the official client sees it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from chatting import GOOD, LOST, REFUSED, STORY, Chat, asked, text_of
from llm_script import Attempt, Gate, say
from openai.types.chat import ChatCompletionChunk

from contracts.adapters import Address
from load_tests.system import system


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
