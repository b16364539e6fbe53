"""OpenAI's /v1/chat/completions, on top of completions."""

from __future__ import annotations

import asyncio
import json
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response

from contracts.errors import CastlineError
from producer_api import problems
from producer_api.chat.answer import error_event, events, whole
from producer_api.chat.request import CompletionRequest, parse
from producer_api.follow.framing import SSE_PING
from producer_api.follow.live import LiveResponse, attend, begun
from producer_api.front import Front, FrontDep
from producer_api.problems import MEDIA_TYPE, OpenAIProblem

router = APIRouter(prefix="/v1/chat", tags=["openai"])

COMPLETION_HEADER = "X-Castline-Completion"
KEY_CHARS = 255

_REQUEST: dict[str, Any] = {
    "type": "object",
    "required": ["model", "messages"],
    "additionalProperties": True,
    "properties": {
        "model": {"type": "string", "description": "A model of GET /v1/models."},
        "messages": {"type": "array", "minItems": 1, "items": {"type": "object"}},
        "stream": {"type": "boolean", "default": False, "description": "Server-sent events."},
        "stream_options": {
            "type": "object",
            "properties": {"include_usage": {"type": "boolean", "description": "A last chunk with `usage`."}},
        },
        "ephemeral": {
            "type": "boolean", "default": False, "description": "Cancel when the client leaves; not passed on."
        },
    },
}  # fmt: skip
_ASKED = {"model": "small", "messages": [{"role": "user", "content": "Say hello."}]}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": _REQUEST,
            "examples": {
                "chat": {"value": _ASKED},
                "stream": {"value": {**_ASKED, "stream": True, "stream_options": {"include_usage": True}}},
            },
        }
    },
}
_ANSWER: dict[str, Any] = {
    "id": "chatcmpl-Zk3vT0x9yQm1LwPa", "object": "chat.completion", "created": 1_767_225_600, "model": "qwen2.5-7b",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello."}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 11, "completion_tokens": 2, "total_tokens": 13},
}  # fmt: skip
_EVENTS = (
    'data: {"id":"chatcmpl-Zk3vT0x9yQm1LwPa","object":"chat.completion.chunk",'
    '"choices":[{"index":0,"delta":{"content":"Hello."}}]}\n\ndata: [DONE]\n\n'
)
_NAMED = {COMPLETION_HEADER: {"description": "Names the completion.", "schema": {"type": "string"}}}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The answer; with `stream` its chunks",
        "headers": _NAMED,
        "content": {"application/json": {"example": _ANSWER}, "text/event-stream": {"example": _EVENTS}},
    },
    **{
        status: {"model": OpenAIProblem, "description": text, "content": {MEDIA_TYPE: {}}}
        for status, text in {
            400: "Not a request for a completion, or the upstream has refused it",
            404: "No running worker has this model",
            410: "The completion was cancelled",
            413: "The body is too large",
            422: "The Idempotency-Key came with another request before",
            502: "The upstream has failed, or the completion was given up",
            503: "No worker, too much work, or a server that does not answer; Retry-After says when to ask again",
        }.items()
    },
}


@router.post(
    "/completions",
    summary="Complete a chat, as OpenAI does",
    response_class=Response,
    responses=_RESPONSES,
    openapi_extra={"requestBody": _BODY},
)
async def chat_completions(
    *,
    http: Request,
    front: FrontDep,
    idempotency_key: Annotated[
        str,
        Header(
            alias="Idempotency-Key",
            max_length=KEY_CHARS,
            description="The same request with the same key is the same completion.",
        ),
    ] = "",
    ephemeral: Annotated[
        bool, Header(alias="X-Castline-Ephemeral", description="Cancel when the client leaves.")
    ] = False,
) -> Response:
    """The request is passed on as it is to an upstream that has the model, and the answer is read from the completion's
    log, which stays: `X-Castline-Completion` names it. A client that leaves does not cancel it, unless it said
    `ephemeral`. An error before the first byte has its HTTP status, one after it is an event `{"error": {…}}`, and no
    `[DONE]` comes.
    """
    request = parse(await http.body())
    address = http.client.host if http.client else ""
    new, job = await front.completions.post(request, key=idempotency_key, address=address)
    try:
        # whoever joins a completion of somebody else's does not cancel it
        answer = await _answer(http, front, request, job, new=new, ephemeral=new and (ephemeral or request.ephemeral))
    except CastlineError as exc:
        answer = problems.of_error(exc, http.url.path)
    answer.headers[COMPLETION_HEADER] = job
    return answer


async def _answer(
    http: Request, front: Front, request: CompletionRequest, job: str, *, new: bool, ephemeral: bool
) -> Response:
    """Raises what comes before the first byte."""
    runs = front.completions.follow(job, new=new, ephemeral=ephemeral)
    if request.stream:
        pieces = events(runs, job, usage=request.usage)
        return LiveResponse(
            await begun(http, pieces, front.settings.first_byte_s, error_event), media_type="text/event-stream",
            headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
            send_timeout_s=front.settings.send_timeout_s, ping=SSE_PING,
        )  # fmt: skip
    collecting = asyncio.create_task(whole(runs, job))
    await attend(http, collecting)
    return Response(json.dumps(await collecting), 200, media_type="application/json")
