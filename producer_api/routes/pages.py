"""The pages: files, and a policy that lets them load nothing from elsewhere."""

from __future__ import annotations

from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from fastapi import APIRouter, Request, Response
from starlette.responses import FileResponse, HTMLResponse

from contracts.errors import UnknownLog
from producer_api.front import FrontDep
from producer_api.routes.casts import CastId
from producer_api.routes.sharing import base_url
from producer_api.sharing.about import about
from producer_api.sharing.embed import head

WEB = Path(str(files("producer_api"))) / "web"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; connect-src 'self'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
EMBED_HEADERS = HEADERS | {
    "Content-Security-Policy": (
        "default-src 'none'; media-src 'self'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors *"
    )
}
"""Any site may show the player; it loads nothing but its sound."""
TITLE = "<title>A cast · castline</title>"
"""What stands in cast.html where the head of this cast goes."""
CAST = (WEB / "cast.html").read_text(encoding="utf-8")
EMBED = Template((WEB / "embed.html").read_text(encoding="utf-8"))

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index() -> Response:
    """Paste a text."""
    return FileResponse(WEB / "index.html", headers=HEADERS)


@router.get("/talk")
async def talk() -> Response:
    """Talk, and be answered."""
    return FileResponse(WEB / "talk.html", headers=HEADERS)


@router.get("/c/{job}")
async def cast(job: CastId, request: Request, front: FrontDep) -> Response:
    """Listen. A 404 page would help nobody to hear: the page itself says that there is no such cast."""
    try:
        told = await about(front.store.log_reader, await front.casts.status(job))
    except UnknownLog:
        return HTMLResponse(CAST, 404, HEADERS)
    return HTMLResponse(CAST.replace(TITLE, head(told, base_url(request)), 1), headers=HEADERS)


@router.get("/embed/{job}")
async def embed(job: CastId, front: FrontDep) -> Response:
    """A player for the pages of others."""
    try:
        told = await about(front.store.log_reader, await front.casts.status(job))
    except UnknownLog:
        nothing = EMBED.substitute(title="Nothing here", page=f"/c/{job}", audio="")
        return HTMLResponse(nothing, 404, EMBED_HEADERS)
    page = EMBED.substitute(title=escape(told.title), page=told.page, audio=told.mp3)
    return HTMLResponse(page, headers=EMBED_HEADERS)
