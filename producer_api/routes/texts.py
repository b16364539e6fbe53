"""Documents to texts: send a file, or say where a page is."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from producer_api.documents.kinds import MEDIA_TYPES
from producer_api.front import FrontDep
from producer_api.problems import MEDIA_TYPE, RESPONSES, Problem

router = APIRouter(prefix="/v1", tags=["texts"])

JSON = "application/json"


class Page(BaseModel):
    """Where a document is."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    url: str = Field(
        min_length=1, max_length=4_000, description="http or https, on a public address.",
        examples=["https://example.org/story"],
    )  # fmt: skip


class TextView(BaseModel):
    """What a document says."""

    title: str = Field(description="Its own, else the name of its file; may be empty.", examples=["The lamp"])
    text: str = Field(
        description="Paragraphs with an empty line between them: a `text` for POST /v1/casts.",
        examples=["The lamp.\n\nThe keeper lit the lamp, and nobody came."],
    )
    language: str | None = Field(
        description="BCP 47, as the document says; null if it does not.", examples=["en-GB", None]
    )


_FILE: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_EXAMPLES: dict[str, Any] = {
    "text/plain": {"schema": {"type": "string"}, "example": "The keeper lit the lamp, and nobody came."},
    "text/markdown": {"schema": {"type": "string"}, "example": "# The lamp\n\nThe keeper lit the *lamp*.\n"},
    "text/html": {"schema": {"type": "string"}, "example": "<h1>The lamp</h1><p>The keeper lit the lamp.</p>"},
}
_BODY: dict[str, Any] = {
    "required": True,
    "content": {
        JSON: {"schema": Page.model_json_schema(), "example": {"url": "https://example.org/story"}},
        **{media_type: _EXAMPLES.get(media_type, _FILE) for media_type in MEDIA_TYPES},
        "application/octet-stream": _FILE,
    },
}
_PROBLEMS: dict[int | str, dict[str, Any]] = {
    code: {"model": Problem, "description": text, "content": {MEDIA_TYPE: {}}}
    for code, text in {
        403: "This server fetches no pages",
        413: "Too large, packed or unpacked, or too much text",
        415: "No kind of document that is read here",
        422: "Not readable, nothing to speak, or no address that is fetched",
        501: "The package that reads this kind is not installed",
        502: "The page's server failed",
        504: "The page's server took too long",
    }.items()
}


@router.post(
    "/texts",
    summary="The text of a document",
    responses={**_PROBLEMS, 503: RESPONSES[503]},
    openapi_extra={"requestBody": _BODY},
)
async def post_text(
    http: Request, front: FrontDep,
    name: Annotated[
        str, Query(max_length=1_000, description="Of the file; says its kind, too.", examples=["story.epub"])
    ] = "",
) -> TextView:  # fmt: skip
    """What is to be spoken of a document: plain text, Markdown, a web page (its main content), EPUB or DOCX. The body
    is the document, with its Content-Type, or JSON with the `url` of a page. Headings, items of lists and rows of
    tables become sentences; code, images and notes are left out. Nothing is stored: post the text as a cast to hear it.
    """
    content_type = http.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() == JSON:
        try:
            page = Page.model_validate_json(await http.body())
        except ValidationError as exc:
            raise RequestValidationError(exc.errors()) from exc
        found = await front.texts.of_url(page.url)
    else:
        found = await front.texts.of_body(http.stream(), content_type, name)
    return TextView(title=found.title, text=found.text, language=found.language)
