"""Transcripts: send a recording, get a link; see where it stands; read it as a file; cancel it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response
from starlette.datastructures import UploadFile

from contracts.errors import BadInput
from producer_api.follow.now import records_now
from producer_api.front import FrontDep
from producer_api.problems import RESPONSES
from producer_api.routes.casts import CastId
from producer_api.transcript_models import TranscriptRequest, TranscriptView, asked
from producer_api.transcript_text import CONTENT_TYPES, FILES, TextFormat

router = APIRouter(prefix="/v1/transcripts", tags=["transcripts"], responses=RESPONSES)

READ_BYTES = 1 << 18

_FIELDS = TranscriptRequest.model_json_schema(by_alias=True)["properties"]
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "properties": {"file": {"type": "string", "format": "binary"}, **_FIELDS},
            }
        },
        "audio/*": {"schema": {"type": "string", "format": "binary"}},
        "application/octet-stream": {"schema": {"type": "string", "format": "binary"}},
    },
}
_QUERY = [{"in": "query", "name": name, "required": False, "schema": schema} for name, schema in _FIELDS.items()]


@router.post(
    "",
    status_code=201,
    summary="Transcribe a recording",
    responses={200: {"model": TranscriptView, "description": "The same recording and options: the same transcript"}},
    openapi_extra={"requestBody": _BODY, "parameters": _QUERY},
)
async def post_transcript(http: Request, response: Response, front: FrontDep) -> TranscriptView:
    """The recording as a multipart `file` with the options as fields, or as the body with the options as query
    parameters. Any container and codec that FFmpeg reads, a video's sound, too. Answers when the recording is stored;
    it is cut and heard behind that, and the first segments can be read while the rest is cut.
    """
    address = http.client.host if http.client else ""
    if http.headers.get("content-type", "").startswith("multipart/form-data"):
        async with http.form(max_files=1, max_fields=20) as form:
            file = form.get("file")
            if not isinstance(file, UploadFile):
                raise BadInput("multipart/form-data needs a field `file` with the recording.", field="file")
            request = asked(TranscriptRequest, {k: v for k, v in form.items() if k != "file"})
            new, view = await front.transcripts.post(
                request, read_upload(file), name=file.filename or "", address=address
            )
    else:
        request = asked(TranscriptRequest, http.query_params)
        new, view = await front.transcripts.post(request, http.stream(), name="", address=address)
    response.status_code = 201 if new else 200
    response.headers["Location"] = f"/v1/transcripts/{view.id}"
    return view


async def read_upload(file: UploadFile) -> AsyncIterator[bytes]:
    """A form's file, piece by piece."""
    while piece := await file.read(READ_BYTES):
        yield piece


@router.get("/{job}", summary="Where a transcript stands")
async def get_transcript(job: CastId, front: FrontDep) -> TranscriptView:
    """State and progress."""
    return await front.transcripts.view(job)


@router.delete("/{job}", summary="Cancel a transcript")
async def cancel_transcript(job: CastId, front: FrontDep) -> TranscriptView:
    """Ends a transcript that is being made, down to the engine; what was heard stays readable. A finished one stays as
    it is.
    """
    await front.transcripts.cancel(job)
    return await front.transcripts.view(job)


async def _known(job: CastId, front: FrontDep) -> str:
    await front.transcripts.status(job)
    return job


@router.get(
    "/{job}/transcript.{fmt}",
    summary="A transcript as a file",
    response_class=Response,
    responses={200: {"description": "What was heard by now", "content": {t: {} for t in CONTENT_TYPES.values()}}},
)
async def get_file(job: Annotated[str, Depends(_known)], fmt: TextFormat, front: FrontDep) -> Response:
    """txt: a line per piece; srt and vtt: a cue per segment; json: everything."""
    records = [record async for record in records_now(front.store.log_reader, job)]
    headers = {"Cache-Control": "public, max-age=3600" if records[-1].terminal else "no-cache"}
    return Response(FILES[fmt](records), 200, headers, CONTENT_TYPES[fmt])
