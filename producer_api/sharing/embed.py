"""What other sites put into their pages for a link to a cast: cards (OpenGraph), a player (oEmbed 1.0)."""

from __future__ import annotations

import re
from html import escape
from typing import Any
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

from producer_api.sharing.about import About
from producer_api.sharing.xml import add, document

WIDTH, HEIGHT = 480, 120
"""CSS pixels; the player is as readable in half of that."""
CACHE_S = 3600
_PATH = re.compile(r"/(?:c|embed)/([A-Za-z0-9_-]{16})/?")


def linked(url: str, base: str) -> str | None:
    """The cast that a link to a page of this server is about; None: it is no such link. base: as of `rss`."""
    try:
        given, ours = urlsplit(url), urlsplit(base)
    except ValueError:
        return None
    if given.scheme not in ("http", "https") or given.netloc.lower() != ours.netloc.lower():
        return None
    if not given.path.startswith(ours.path):
        return None
    match = _PATH.fullmatch(given.path.removeprefix(ours.path))
    return match[1] if match else None


def oembed(about: About, base: str, *, max_width: int, max_height: int) -> dict[str, Any]:
    """Members of the answer."""
    width, height = min(WIDTH, max_width), min(HEIGHT, max_height)
    player = (
        f'<iframe src="{escape(base + about.player)}" width="{width}" height="{height}" '
        f'title="{escape(about.title)}" frameborder="0" loading="lazy"></iframe>'
    )
    return {
        "version": "1.0", "type": "rich", "provider_name": "castline", "provider_url": f"{base}/",
        "title": about.title, "cache_age": CACHE_S, "html": player, "width": width, "height": height,
    }  # fmt: skip


def as_xml(members: dict[str, Any]) -> bytes:
    """The same as XML."""
    root = ET.Element("oembed")
    for name, value in members.items():
        add(root, name, str(value))
    return document(root)


def head(about: About, base: str) -> str:
    """Lines for the head of the cast's page: title, card, where the player is to be found."""
    words = about.words or about.title
    page = base + about.page
    properties = {
        "og:type": "website", "og:site_name": "castline", "og:title": about.title, "og:description": words,
        "og:url": page, "og:audio": base + about.mp3, "og:audio:type": "audio/mpeg",
    }  # fmt: skip
    names = {"description": words, "twitter:card": "summary"}
    found = f"{base}/oembed?url={quote(page, safe='')}&format="
    return "\n  ".join(
        [
            f"<title>{escape(about.title)} · castline</title>",
            *(f'<meta name="{name}" content="{escape(value)}">' for name, value in names.items()),
            *(f'<meta property="{name}" content="{escape(value)}">' for name, value in properties.items()),
            *(
                f'<link rel="alternate" type="{kind}" href="{escape(found + fmt)}" title="{escape(about.title)}">'
                for fmt, kind in (("json", "application/json+oembed"), ("xml", "text/xml+oembed"))
            ),
        ]
    )
