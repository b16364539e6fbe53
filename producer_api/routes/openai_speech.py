"""OpenAI's /v1/audio/speech, on top of casts."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request, Response

from contracts.errors import BadInput, CastlineError
from producer_api import problems
from producer_api.audio.encoders import CONTENT_TYPES
from producer_api.cast_models import CastView
from producer_api.follow.framing import SSE_PING
from producer_api.follow.live import LiveResponse, begun
from producer_api.front import Front, FrontDep
from producer_api.problems import MEDIA_TYPE, OpenAIProblem
from producer_api.speech.answer import audio, spoken
from producer_api.speech.events import error_event, events
from producer_api.speech.request import SpeechRequest, cast_request, refusal

router = APIRouter(prefix="/v1/audio", tags=["openai"])

CAST_HEADER = "X-Castline-Cast"

_EVENTS = (
    'event: speech.audio.delta\ndata: {"type":"speech.audio.delta","audio":"T2dnUwAC…"}\n\n'
    'event: speech.audio.done\ndata: {"type":"speech.audio.done",'
    '"usage":{"input_tokens":31,"output_tokens":42,"total_tokens":73}}\n\n'
)
_PROBLEMS: dict[int | str, str] = {
    400: "Not a request for speech: `error.param` names the field",
    410: "The cast was cancelled before its first sound",
    413: "The body is too large",
    415: "The body is not sent as JSON",
    502: "A sentence was given up before the first sound",
    503: "No worker, too much work, or a server that does not answer; Retry-After says when to ask again",
    "default": "Any other problem",
}
_RESPONSES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The audio as it is made, or events with it",
        "headers": {
            CAST_HEADER: {"description": "Names the cast.", "schema": {"type": "string"}},
            "Link": {"description": "The cast (`describedby`) and its page.", "schema": {"type": "string"}},
        },
        "content": {
            **{kind.partition(";")[0]: {} for kind in CONTENT_TYPES.values()},
            "text/event-stream": {"example": _EVENTS},
        },
    },
    **{
        status: {"model": OpenAIProblem, "description": text, "content": {MEDIA_TYPE: {}}}
        for status, text in _PROBLEMS.items()
    },
}


@router.post("/speech", summary="Speak, as OpenAI does", response_class=Response, responses=_RESPONSES)
async def speech(request: SpeechRequest, http: Request, front: FrontDep) -> Response:
    """The input becomes a cast like any other (`X-Castline-Cast` names it; the same input is the same cast), and the
    answer is its audio from the beginning, by one continuous encoder, while it is made. A client that leaves does not
    cancel it, unless it said `ephemeral`. An error before the first sound has its HTTP status; after it the connection
    is cut without its closing chunk or, with `stream_format: sse`, an event `speech.audio.error` comes.
    """
    address = http.client.host if http.client else ""
    try:
        new, view = await front.casts.post(cast_request(request), address=address, attended=True)
    except BadInput as exc:
        raise refusal(exc, request) from exc
    try:
        # whoever joins a cast of somebody else's does not cancel it
        answer = await _answer(http, front, request, view, ephemeral=new and request.ephemeral)
    except CastlineError as exc:
        answer = problems.of_error(exc, http.url.path)
    answer.headers[CAST_HEADER] = view.id
    answer.headers["Link"] = f'<{view.links.self}>; rel="describedby", <{view.links.page}>; rel="alternate"'
    return answer


async def _answer(http: Request, front: Front, request: SpeechRequest, cast: CastView, *, ephemeral: bool) -> Response:
    """Raises what comes before the first sound."""
    fmt = request.response_format
    stream = spoken(front, cast, fmt, ephemeral=ephemeral)
    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    if request.stream_format == "sse":
        pieces = await begun(http, events(stream, request.input), front.settings.first_byte_s, error_event)
        return LiveResponse(
            pieces, media_type="text/event-stream", headers=headers,
            send_timeout_s=front.settings.send_timeout_s, ping=SSE_PING,
        )  # fmt: skip
    headers["Content-Disposition"] = f'inline; filename="{cast.id}.{fmt}"'
    return LiveResponse(
        await begun(http, audio(stream)), media_type=CONTENT_TYPES[fmt], headers=headers,
        send_timeout_s=front.settings.send_timeout_s,
    )  # fmt: skip
