"""Feeds for podcast players, and oEmbed for whoever shows a link as a player."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import StringConstraints

from contracts.errors import UnknownLog
from producer_api.front import Front, FrontDep
from producer_api.problems import MEDIA_TYPE, RESPONSES, Problem
from producer_api.sharing import embed, feed
from producer_api.sharing.about import about

router = APIRouter(tags=["sharing"], responses=RESPONSES)

MAX_CASTS = 50

_FEED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "RSS 2.0",
        "content": {
            "application/rss+xml": {
                "example": '<?xml version="1.0" encoding="utf-8"?>\n<rss version="2.0"><channel>…</channel></rss>'
            }
        },
    }
}
_OEMBED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "oEmbed 1.0, type `rich`",
        "content": {
            "application/json": {
                "example": {
                    "version": "1.0", "type": "rich", "provider_name": "castline", "title": "A story",
                    "html": '<iframe src="https://example.org/embed/Zk3vT0x9yQm1LwPa"></iframe>',
                    "width": 480, "height": 120,
                }
            },
            "text/xml": {},
        },
    },
    501: {"model": Problem, "description": "Neither json nor xml", "content": {MEDIA_TYPE: {}}},
}  # fmt: skip


def base_url(request: Request) -> str:
    """This server as the client calls it, without a slash at its end."""
    return str(request.base_url).rstrip("/")


@router.get("/v1/feed.rss", summary="Casts as a podcast", response_class=Response, responses=_FEED)
async def get_feed(
    request: Request,
    front: FrontDep,
    cast: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{16}$")]],
        Query(min_length=1, max_length=MAX_CASTS, description="Ids of casts.", examples=[["Zk3vT0x9yQm1LwPa"]]),
    ],
    title: Annotated[str, Query(min_length=1, max_length=200, examples=["My reading list"])] = "castline",
) -> Response:
    """For podcast players: the finished ones of these casts. One that is not done, or has expired, is left out: players
    drop an episode without its sound, and do not look at it again. 404 if none of them is known.
    """
    statuses = [await front.store.log_reader.status(job) for job in dict.fromkeys(cast)]
    known = [s for s in statuses if s is not None and s.lane.startswith("tts")]
    if not known:
        raise UnknownLog(cast[0])
    episodes = [await _episode(front, s.job) for s in known if s.state == "done" and s.audio_ms > 0]
    body = feed.rss(episodes, title=title, base=base_url(request), own=str(request.url))
    return Response(body, 200, {"Cache-Control": "public, max-age=60"}, feed.CONTENT_TYPE)


async def _episode(front: Front, job: str) -> feed.Episode:
    status = await front.casts.status(job)
    return feed.Episode(await about(front.store.log_reader, status), (await front.sounds.of(job)).samples)


@router.get("/oembed", summary="A link as a player", response_class=Response, responses=_OEMBED)
async def get_oembed(
    request: Request, front: FrontDep,
    url: Annotated[str, Query(max_length=2000, description="Link of a cast's page.")],
    fmt: Annotated[str, Query(alias="format", description="json or xml.")] = "json",
    maxwidth: Annotated[int, Query(ge=1, description="CSS pixels.")] = embed.WIDTH,
    maxheight: Annotated[int, Query(ge=1, description="CSS pixels.")] = embed.HEIGHT,
) -> Response:  # fmt: skip
    """As https://oembed.com has it, version 1.0: an iframe with a player, of at most the size that is asked for."""
    if fmt not in ("json", "xml"):
        raise HTTPException(501, "The format is json or xml.")
    base = base_url(request)
    job = embed.linked(url, base)
    if job is None:
        raise HTTPException(404, "This is no link to a cast of this server.")
    told = await about(front.store.log_reader, await front.casts.status(job))
    members = embed.oembed(told, base, max_width=maxwidth, max_height=maxheight)
    headers = {"Cache-Control": f"public, max-age={embed.CACHE_S}"}
    if fmt == "xml":
        return Response(embed.as_xml(members), 200, headers, "text/xml")
    return JSONResponse(members, 200, headers)
