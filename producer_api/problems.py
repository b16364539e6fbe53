"""Every error as RFC 9457 problem+json. Nothing a client sent is echoed raw: it may not even be encodable."""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from contracts import errors
from contracts.errors import BadInput, CastlineError, TooBusy, Unavailable, UnknownLog

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
OPENAI = "/v1/audio/"


class Problem(BaseModel):
    """RFC 9457. `field`: dotted path of the culprit, where there is one."""

    type: str = Field(examples=[errors.PROBLEM_PREFIX + "unknown-voice"])
    title: str = Field(examples=["Unknown voice"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["Voice 'af_nobody': no such voice; GET /v1/voices lists them."])
    field: str | None = Field(default=None, examples=["voice"])


def problem(
    slug: str, status: int, detail: str, *, field: str = "", headers: dict[str, str] | None = None, path: str = ""
) -> Response:
    """A problem response. path: of the request; OpenAI's clients show their users `error.message`."""
    content: dict[str, Any] = {**errors.problem(slug, status, detail, field=field)}
    if path.startswith(OPENAI):
        content["error"] = {"message": detail, "type": slug, "param": field or None, "code": None}
    # ASCII: a lone surrogate in a message would not encode otherwise
    return Response(json.dumps(content, ensure_ascii=True), status, headers, MEDIA_TYPE)


def of_error(exc: CastlineError, path: str = "") -> Response:
    """The problem an error of ours is. path: of the request."""
    match exc:
        case BadInput():
            return problem(exc.slug, exc.status, exc.detail, field=exc.field, path=path)
        case UnknownLog():
            return problem("unknown-log", 404, str(exc), headers={"Cache-Control": "no-store"}, path=path)
        case TooBusy():
            detail = f"About {exc.wait_s:,} s of work wait for this model. Nothing was stored; ask again."
            return problem("too-busy", 503, detail, headers={"Retry-After": str(exc.retry_after_s)}, path=path)
        case Unavailable():
            logger.warning("unavailable", extra={"what": exc.what})
            return problem(
                "unavailable",
                503,
                f"{exc} Nothing is lost; ask again.",
                headers={"Retry-After": str(exc.retry_after_s)},
                path=path,
            )
    logger.error("error without a problem type", exc_info=exc)
    return problem("internal-error", 500, "The server failed; its log says how.", path=path)


def install(app: FastAPI) -> None:
    """Register the handlers."""

    @app.exception_handler(CastlineError)
    async def _ours(request: Request, exc: CastlineError) -> Response:
        return of_error(exc, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, exc: RequestValidationError) -> Response:
        found = exc.errors()
        first = found[0]
        if first["loc"] == ("body",) and "json" not in request.headers.get("content-type", "json"):
            return problem("unsupported-media-type", 415, "Send the body as JSON, with Content-Type: application/json.")
        if first["type"] == "json_invalid":
            return problem("invalid-json", 400, f"The body is not JSON: {first.get('ctx', {}).get('error', '')}.")
        path = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
        more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
        status = 400 if request.url.path.startswith(OPENAI) else 422  # as OpenAI has it
        return problem(
            "invalid-request", status, f"{path or 'body'}: {first['msg']}{more}.", field=path, path=request.url.path
        )

    @app.exception_handler(HTTPException)
    async def _http(_request: Request, exc: HTTPException) -> Response:
        slug = HTTPStatus(exc.status_code).phrase.lower().replace(" ", "-")
        return problem(slug, exc.status_code, str(exc.detail), headers=dict(exc.headers or {}))

    @app.exception_handler(Exception)
    async def _unexpected(_request: Request, exc: Exception) -> Response:
        logger.error("unexpected error", exc_info=exc)
        return problem("internal-error", 500, "The server failed; its log says how.")


RESPONSES: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "description": text, "content": {MEDIA_TYPE: {}}}
    for code, text in {
        404: "No such log, or it has expired",
        422: "The request can not be served as it stands",
        503: "Too much work waits, or a server castline stands on does not answer; Retry-After says when to ask again",
    }.items()
}
"""For the OpenAPI of every route."""
