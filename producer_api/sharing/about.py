"""What is told of a cast to somebody who has only its link."""

from __future__ import annotations

from dataclasses import dataclass

from contracts.errors import UnknownLog
from contracts.ports import LogReader, LogStatus

WORDS_CHARS = 200
_FIRST_RECORDS = 6
"""Meta, and some sentences: enough for WORDS_CHARS, most times."""


@dataclass(frozen=True, slots=True)
class About:
    """One cast."""

    status: LogStatus
    title: str
    words: str
    """How its text begins, as far as it can be heard; empty before that."""
    language: str

    @property
    def id(self) -> str:
        """Of the cast."""
        return self.status.job

    @property
    def page(self) -> str:
        """Path of its page."""
        return f"/c/{self.id}"

    @property
    def player(self) -> str:
        """Path of the player for pages of others."""
        return f"/embed/{self.id}"

    @property
    def mp3(self) -> str:
        """Path of its sound."""
        return f"/v1/casts/{self.id}/audio.mp3"


async def about(reader: LogReader, status: LogStatus) -> About:
    """Of the cast that stands there. Raises UnknownLog."""
    page = await reader.read(status.job, 0, max_records=_FIRST_RECORDS)
    if page is None or not page.records:
        raise UnknownLog(status.job)
    meta, *first = page.records
    words = " ".join(" ".join(str(r.headers.get("t", "")) for r in first).split())
    return About(status, str(meta.headers["title"]), shortened(words), str(meta.headers["language"]))


def shortened(text: str) -> str:
    """At most WORDS_CHARS characters, ended at a blank where there is one."""
    if len(text) <= WORDS_CHARS:
        return text
    return text[:WORDS_CHARS].rsplit(" ", 1)[0].rstrip(" ,;:") + "…"
