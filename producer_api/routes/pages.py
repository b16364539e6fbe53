"""The pages: files, and a policy that lets them load nothing from elsewhere."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from fastapi import APIRouter, Response
from starlette.responses import FileResponse

from contracts.errors import UnknownLog
from producer_api.front import FrontDep
from producer_api.routes.casts import CastId

WEB = Path(str(files("producer_api"))) / "web"
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; media-src 'self' blob:; connect-src 'self'; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}

router = APIRouter(include_in_schema=False)


@router.get("/")
async def index() -> Response:
    """Paste a text."""
    return FileResponse(WEB / "index.html", headers=HEADERS)


@router.get("/c/{job}")
async def cast(job: CastId, front: FrontDep) -> Response:
    """Listen. A 404 page would help nobody to hear: the page itself says that there is no such cast."""
    try:
        await front.casts.status(job)
    except UnknownLog:
        return FileResponse(WEB / "cast.html", 404, headers=HEADERS)
    return FileResponse(WEB / "cast.html", headers=HEADERS)
