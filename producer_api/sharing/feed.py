"""RSS 2.0 with the tags podcast players ask for (https://help.apple.com/itc/podcasts_connect/#/itcb54353390)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from xml.etree import ElementTree as ET

from producer_api.audio.encoders import CONTENT_TYPES, stream_bytes
from producer_api.audio.libav import RATE
from producer_api.sharing.about import About
from producer_api.sharing.xml import add, document

CONTENT_TYPE = "application/rss+xml; charset=utf-8"
_ITUNES = "http://www.itunes.com/dtds/podcast-1.0.dtd"
_ATOM = "http://www.w3.org/2005/Atom"
ET.register_namespace("itunes", _ITUNES)
ET.register_namespace("atom", _ATOM)


@dataclass(frozen=True, slots=True)
class Episode:
    """A finished cast, and how many samples it has."""

    about: About
    samples: int


def rss(episodes: Sequence[Episode], *, title: str, base: str, own: str) -> bytes:
    """The feed, newest first. base: URL of this server, without a slash at its end; own: URL of the feed."""
    root = ET.Element("rss", {"version": "2.0"})
    channel = add(root, "channel")
    add(channel, "title", title)
    add(channel, "link", f"{base}/")
    add(channel, "description", f"{title}: texts, spoken.")
    add(channel, "language", episodes[0].about.language if episodes else "en")
    add(channel, "generator", "castline")
    add(channel, f"{{{_ATOM}}}link", href=own, rel="self", type="application/rss+xml")
    add(channel, f"{{{_ITUNES}}}explicit", "false")
    for episode in sorted(episodes, key=lambda e: -e.about.status.created_ms):
        _item(channel, episode, base)
    return document(root)


def _item(channel: ET.Element, episode: Episode, base: str) -> None:
    about = episode.about
    created = datetime.fromtimestamp(about.status.created_ms / 1000, UTC)
    item = add(channel, "item")
    add(item, "title", about.title)
    add(item, "description", about.words)
    add(item, "link", base + about.page)
    add(item, "guid", about.id, isPermaLink="false")
    add(item, "pubDate", format_datetime(created))
    size = stream_bytes("mp3", episode.samples)
    add(item, "enclosure", url=base + about.mp3, length=str(size), type=CONTENT_TYPES["mp3"])
    add(item, f"{{{_ITUNES}}}duration", str(max(1, round(episode.samples / RATE))))
    add(item, f"{{{_ITUNES}}}explicit", "false")
