"""OpenAI's /v1/audio/transcriptions and /v1/audio/translations, on top of transcripts."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, Sequence
from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from pydantic import ValidationError

from contracts.errors import BadInput
from contracts.records import Record
from producer_api.follow.framing import typed_event
from producer_api.follow.live import LiveResponse, attend, begun
from producer_api.front import Front, FrontDep
from producer_api.problems import RESPONSES
from producer_api.routes.transcripts import read_upload
from producer_api.transcript_models import TranscriptRequest
from producer_api.transcript_text import (
    CONTENT_TYPES,
    as_srt,
    as_vtt,
    language_of,
    segments_of,
    text_of,
    words_of,
)

router = APIRouter(prefix="/v1/audio", tags=["openai"], responses=RESPONSES)

FORMATS = ("json", "text", "srt", "verbose_json", "vtt")
MODELS = ("whisper-1", "gpt-4o-transcribe", "gpt-4o-mini-transcribe")
"""Names that clients have in their settings; ours is `whisper`."""


class BadParameter(BadInput):
    """A value that this surface does not know; its status is OpenAI's."""

    slug = "invalid-request"
    status = 400


class _Failed(BadInput):
    """The recording could not be heard."""

    slug = "bad-audio"
    status = 400


@router.post("/transcriptions", summary="Transcribe, as OpenAI does", response_class=Response)
async def transcriptions(  # noqa: PLR0913  OpenAI's
    *, http: Request, front: FrontDep,
    file: Annotated[UploadFile, File(description="Any container and codec FFmpeg reads.")],
    model: Annotated[str, Form()] = "whisper-1",
    language: Annotated[str | None, Form()] = None,
    prompt: Annotated[str, Form()] = "",
    hotwords: Annotated[str, Form()] = "",
    response_format: Annotated[str, Form(description=", ".join(FORMATS))] = "json",
    temperature: Annotated[float, Form()] = 0.0,
    granularities: Annotated[list[str] | None, Form(alias="timestamp_granularities[]")] = None,
    include: Annotated[list[str] | None, Form(alias="include[]")] = None,
    stream: Annotated[bool, Form(description="Server-sent events.")] = False,
    ephemeral: Annotated[bool, Form(description="Cancel when the client leaves.")] = False,
) -> Response:  # fmt: skip
    """The recording becomes a transcript like any other (`X-Castline-Transcript` names it), and the answer is read from
    it. A client that leaves does not cancel it, unless it said `ephemeral`.
    """
    wanted = granularities or ["segment"]
    if unknown := set(wanted) - {"word", "segment"}:
        raise BadParameter(
            f"timestamp_granularities[]: {min(unknown)!r} is not word or segment.", field="timestamp_granularities[]"
        )
    if granularities and response_format != "verbose_json":
        raise BadParameter(
            "timestamp_granularities[] needs response_format=verbose_json.", field="timestamp_granularities[]"
        )
    if include:
        raise BadParameter(f"include[]: {include[0]!r} is not available here.", field="include[]")
    request = _request(
        model=model,
        language=language,
        prompt=prompt,
        hotwords=hotwords,
        temperature=temperature,
        words="word" in wanted,
    )
    return await _answer(http, front, file, request, response_format, stream=stream, ephemeral=ephemeral)


@router.post("/translations", summary="Translate speech into English, as OpenAI does", response_class=Response)
async def translations(  # noqa: PLR0913  OpenAI's
    *, http: Request, front: FrontDep,
    file: Annotated[UploadFile, File()],
    model: Annotated[str, Form()] = "whisper-1",
    prompt: Annotated[str, Form()] = "",
    response_format: Annotated[str, Form(description=", ".join(FORMATS))] = "json",
    temperature: Annotated[float, Form()] = 0.0,
    ephemeral: Annotated[bool, Form(description="Cancel when the client leaves.")] = False,
) -> Response:  # fmt: skip
    """As transcriptions, with the text in English."""
    request = _request(model=model, prompt=prompt, temperature=temperature, task="translate")
    return await _answer(http, front, file, request, response_format, stream=False, ephemeral=ephemeral)


def _request(*, model: str, **fields: Any) -> TranscriptRequest:
    """Raises BadParameter."""
    name = "whisper" if model in MODELS else model
    try:
        return TranscriptRequest.model_validate({"model": name, **fields})
    except ValidationError as exc:
        first = exc.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise BadParameter(f"{field}: {first['msg']}.", field=field) from exc


async def _answer(
    http: Request, front: Front, file: UploadFile, request: TranscriptRequest, fmt: str, *,
    stream: bool, ephemeral: bool,
) -> Response:  # fmt: skip
    if fmt not in FORMATS:
        raise BadParameter(f"response_format: {fmt!r} is none of {', '.join(FORMATS)}.", field="response_format")
    address = http.client.host if http.client else ""
    _, view = await front.transcripts.post(request, read_upload(file), name=file.filename or "", address=address)
    headers = {"X-Castline-Transcript": view.id}
    if stream:
        return LiveResponse(
            await begun(http, _events(front, view.id, ephemeral=ephemeral)), media_type="text/event-stream",
            headers={**headers, "Cache-Control": "no-cache", "X-Accel-Buffering": "no"},
            send_timeout_s=front.settings.send_timeout_s, ping=b": ping\n\n",
        )  # fmt: skip
    records = await _heard(http, front, view.id, ephemeral=ephemeral)
    body, content_type = _body(records, request, fmt)
    return Response(body, 200, headers, content_type)


async def _follow(front: Front, job: str, *, ephemeral: bool) -> AsyncGenerator[Record, None]:
    """Its records to the last one; whoever leaves before that cancels an ephemeral transcript."""
    ended = False
    try:
        async with contextlib.aclosing(front.hub.follow(job, 0)) as runs:  # type: ignore[type-var]
            async for records in runs:
                for record in records:
                    ended = record.terminal
                    yield record
    finally:
        if ephemeral and not ended:
            await asyncio.shield(front.transcripts.cancel(job))


async def _heard(http: Request, front: Front, job: str, *, ephemeral: bool) -> list[Record]:
    """All records. Raises BadInput if it failed or was cancelled, ClientLeft."""

    async def collect() -> list[Record]:
        async with contextlib.aclosing(_follow(front, job, ephemeral=ephemeral)) as records:
            return [record async for record in records]

    collecting = asyncio.create_task(collect())
    await attend(http, collecting)
    records = collecting.result()
    match records[-1].type:
        case "error":
            raise _Failed(str(records[-1].headers.get("detail", "")), field="file")
        case "cancelled":
            raise _Failed("The transcript was cancelled.")
    return records


async def _events(front: Front, job: str, *, ephemeral: bool) -> AsyncGenerator[bytes, None]:
    """transcript.text.delta per piece, then transcript.text.done; an `error` event where it fails."""
    records: list[Record] = []
    async with contextlib.aclosing(_follow(front, job, ephemeral=ephemeral)) as follow:
        async for record in follow:
            records.append(record)
            if record.type == "segment" and (said := record.headers["t"].strip()):
                lead = " " if text_of(records[:-1]) else ""
                yield typed_event({"type": "transcript.text.delta", "delta": lead + said})
            elif record.type == "eos":
                done = {"type": "transcript.text.done", "text": text_of(records), "usage": _usage(records)}
                yield typed_event(done)
            elif record.terminal:
                detail = str(record.headers.get("detail", "The transcript was cancelled."))
                yield typed_event({"type": "error", "error": {"message": detail, "type": record.type, "code": None}})


def _usage(records: Sequence[Record]) -> dict[str, Any]:
    return {"type": "duration", "seconds": round(_seconds(records))}


def _seconds(records: Sequence[Record]) -> float:
    """Where the last piece ends."""
    return max((r.headers["end"] for r in records if r.type == "segment"), default=0) / 1000


def _body(records: Sequence[Record], request: TranscriptRequest, fmt: str) -> tuple[str, str]:
    """(content, content type)."""
    match fmt:
        case "text":
            return text_of(records) + "\n", CONTENT_TYPES["txt"]
        case "srt":
            return as_srt(records), CONTENT_TYPES["srt"]
        case "vtt":
            return as_vtt(records), CONTENT_TYPES["vtt"]
        case "verbose_json":
            content = _verbose(records, request)
        case _:
            content = {"text": text_of(records), "usage": _usage(records)}
    return json.dumps(content, ensure_ascii=False), "application/json"


def _verbose(records: Sequence[Record], request: TranscriptRequest) -> dict[str, Any]:
    segments = [
        {
            "id": n, "seek": 0, "start": s["start"] / 1000, "end": s["end"] / 1000, "text": s["t"], "tokens": [],
            "temperature": s["temperature"], "avg_logprob": s["avg_logprob"],
            "compression_ratio": s["compression_ratio"], "no_speech_prob": s["no_speech_prob"],
        }
        for n, s in enumerate(segments_of(records))
    ]  # fmt: skip
    content: dict[str, Any] = {
        "task": request.task, "language": language_of(records) or request.language or "", "duration": _seconds(records),
        "text": text_of(records), "segments": segments, "usage": _usage(records),
    }  # fmt: skip
    if request.words:
        content["words"] = [
            {"word": w["t"].strip(), "start": w["start"] / 1000, "end": w["end"] / 1000} for w in words_of(records)
        ]
    return content
