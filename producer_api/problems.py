"""Every error as RFC 9457 problem+json. Nothing a client sent is echoed raw: it may not even be encodable."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import Response

from contracts import errors
from contracts.errors import BadInput, CastEnded, CastlineError, CompletionFailed, TooBusy, Unavailable, UnknownLog

logger = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
OPENAI = ("/v1/audio/", "/v1/chat/", "/v1/models")
"""Paths of OpenAI's: their clients look for `error.message` and `error.code`."""


class Problem(BaseModel):
    """RFC 9457. `field`: dotted path of the culprit, where there is one."""

    type: str = Field(examples=[errors.PROBLEM_PREFIX + "unknown-voice"])
    title: str = Field(examples=["Unknown voice"])
    status: int = Field(examples=[422])
    detail: str = Field(examples=["Voice 'af_nobody': no such voice; GET /v1/voices lists them."])
    field: str | None = Field(default=None, examples=["voice"])


class OpenAIError(BaseModel):
    """What OpenAI's clients read of an error. `code`: the last part of the problem's type, or the upstream's own."""

    message: str = Field(examples=["There is no model 'gpt-9' here; GET /v1/models lists them."])
    type: str = Field(examples=["invalid_request_error"])
    param: str | None = Field(examples=["model"])
    code: str | None = Field(examples=["model_not_found"])


class OpenAIProblem(Problem):
    """A problem with OpenAI's `error` beside its members."""

    error: OpenAIError


def problem(
    slug: str, status: int, detail: str, *, field: str = "", headers: dict[str, str] | None = None, path: str = ""
) -> Response:
    """A problem response. path: of the request."""
    return _response(errors.problem(slug, status, detail, field=field), headers or {}, path)


def _response(members: Mapping[str, Any], headers: Mapping[str, str], path: str) -> Response:
    content = dict(members)
    if path.startswith(OPENAI):
        content["error"] = openai_error(members)
    # ASCII: a lone surrogate in a message would not encode otherwise
    return Response(json.dumps(content, ensure_ascii=True), content["status"], dict(headers), MEDIA_TYPE)


def openai_error(members: Mapping[str, Any]) -> dict[str, Any]:
    """What OpenAI's clients show their users, and branch on: {message, type, param, code}.

    What an upstream has said goes before our own words: clients know its codes.
    """
    kind = "server_error" if members["status"] >= 500 else "invalid_request_error"
    code = str(members["type"]).removeprefix(errors.PROBLEM_PREFIX).replace("-", "_")
    ours = {"message": members["detail"], "type": kind, "param": members.get("field"), "code": code}
    said = members.get("upstream_error")
    if isinstance(said, Mapping) and isinstance(said.get("error"), Mapping):
        said = said["error"]
    if not isinstance(said, Mapping) or not isinstance(said.get("message"), str):
        return ours
    return {name: ours[name] if said.get(name) is None else said[name] for name in ours}


def of_error(exc: CastlineError, path: str = "") -> Response:
    """The problem an error of ours is. path: of the request."""
    return _response(*members_of(exc), path)


def members_of(exc: CastlineError) -> tuple[Mapping[str, Any], dict[str, str]]:
    """(RFC 9457 members, headers of the response)."""
    match exc:
        case BadInput():
            return exc.problem, {}
        case CompletionFailed() | CastEnded():
            # what five workers were lost over, OpenAI's clients would ask for twice more by themselves
            given_up = exc.members["type"] == errors.PROBLEM_PREFIX + "given-up"
            return exc.members, {"X-Should-Retry": "false"} if given_up else {}
        case UnknownLog():
            return errors.problem("unknown-log", 404, str(exc)), {"Cache-Control": "no-store"}
        case TooBusy():
            detail = f"About {exc.wait_s:,} s of work wait for this model. Nothing was stored; ask again."
            return errors.problem("too-busy", 503, detail), {"Retry-After": str(exc.retry_after_s)}
        case Unavailable():
            logger.warning("unavailable", extra={"what": exc.what})
            detail = f"{exc} Nothing is lost; ask again."
            return errors.problem("unavailable", 503, detail), {"Retry-After": str(exc.retry_after_s)}
    logger.error("error without a problem type", exc_info=exc)
    return errors.problem("internal-error", 500, "The server failed; its log says how."), {}


def install(app: FastAPI) -> None:
    """Register the handlers."""

    @app.exception_handler(CastlineError)
    async def _ours(request: Request, exc: CastlineError) -> Response:
        return of_error(exc, request.url.path)

    @app.exception_handler(RequestValidationError)
    async def _invalid(request: Request, exc: RequestValidationError) -> Response:
        found, url = exc.errors(), request.url.path
        first = found[0]
        if first["loc"] == ("body",) and "json" not in request.headers.get("content-type", "json"):
            detail = "Send the body as JSON, with Content-Type: application/json."
            return problem("unsupported-media-type", 415, detail, path=url)
        if first["type"] == "json_invalid":
            detail = f"The body is not JSON: {first.get('ctx', {}).get('error', '')}."
            return problem("invalid-json", 400, detail, path=url)
        path = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))
        more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
        status = 400 if url.startswith(OPENAI) or url.endswith("/stream") else 422  # as those protocols have it
        return problem("invalid-request", status, f"{path or 'body'}: {first['msg']}{more}.", field=path, path=url)

    @app.exception_handler(HTTPException)
    async def _http(request: Request, exc: HTTPException) -> Response:
        slug = HTTPStatus(exc.status_code).phrase.lower().replace(" ", "-")
        return problem(slug, exc.status_code, str(exc.detail), headers=dict(exc.headers or {}), path=request.url.path)

    @app.exception_handler(Exception)
    async def _unexpected(request: Request, exc: Exception) -> Response:
        logger.error("unexpected error", exc_info=exc)
        return problem("internal-error", 500, "The server failed; its log says how.", path=request.url.path)


RESPONSES: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "description": text, "content": {MEDIA_TYPE: {}}}
    for code, text in {
        404: "No such log, or it has expired",
        422: "The request can not be served as it stands",
        503: "Too much work waits, or a server castline stands on does not answer; Retry-After says when to ask again",
    }.items()
}
"""For the OpenAPI of every route."""
