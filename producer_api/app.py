"""The front as an ASGI application."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from importlib.metadata import version

from fastapi import Depends, FastAPI
from starlette.staticfiles import StaticFiles

from producer_api import problems
from producer_api.cross_origin import CrossOrigin
from producer_api.front import open_front
from producer_api.limits import BodyLimit
from producer_api.routes import (
    audio,
    casts,
    completions,
    hls,
    live,
    openai_chat,
    openai_models,
    openai_speech,
    openai_transcriptions,
    openai_voices,
    ops,
    pages,
    realtime,
    records,
    sharing,
    streams,
    texts,
    transcripts,
)
from producer_api.settings import FrontSettings

FORM_BYTES = 1 << 16
"""Fields of a form, around its file; of a plain body, so that its route is who refuses it."""


def create_app(settings: FrontSettings) -> FastAPI:
    """The application; connections are opened when it starts."""

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with open_front(settings) as front:
            app.state.front = front
            yield

    app = FastAPI(
        title="castline",
        version=version("castline"),
        summary="Text in, a link at once, speech while it is made, the same bytes ever after",
        lifespan=lifespan,
        strict_content_type=False,  # a body without a type is taken for JSON
    )
    problems.install(app)
    short = settings.max_openai_upload_bytes + FORM_BYTES
    larger = {"/v1/audio/transcriptions": short, "/v1/audio/translations": short}
    larger["/v1/transcripts"] = settings.max_upload_bytes + FORM_BYTES
    larger["/v1/texts"] = settings.max_document_bytes + FORM_BYTES
    app.add_middleware(BodyLimit, limit=settings.max_body_bytes, larger=larger)
    app.add_middleware(CrossOrigin)
    ours = (casts, audio, hls, texts, live, transcripts, completions)
    openai = (openai_chat, openai_models, openai_speech, openai_transcriptions, openai_voices)
    for module in (*ours, *openai, realtime, sharing, ops, pages):
        app.include_router(module.router)
    kinds = {"casts": records.of_casts, "transcripts": records.of_transcripts, "completions": records.of_completions}
    for kind, find in kinds.items():
        for module in (records, streams):
            app.include_router(module.router, prefix=f"/v1/{kind}", dependencies=[Depends(find)])
    app.mount("/static", StaticFiles(directory=pages.WEB), name="static")
    return app
