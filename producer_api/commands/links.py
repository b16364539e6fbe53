"""Ids and links of jobs, as people give them."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from contracts.errors import BadInput

KINDS = {"c": "casts", "casts": "casts", "transcripts": "transcripts", "completions": "completions"}
"""What stands before an id in a link, and what it is an id of."""


@dataclass(frozen=True, slots=True)
class Link:
    """server: None if only an id or a path was given; kind: of its path, None if it is an id alone; job: quoted."""

    server: str | None
    kind: str | None
    job: str


def parse(given: str) -> Link:
    """Raises BadInput."""
    try:
        url = urlsplit(given)
    except ValueError as exc:
        raise BadInput(f"{given!r} is no link: {exc}") from exc
    parts = [part for part in url.path.split("/") if part]
    if not parts:
        raise BadInput(f"{given!r} is no id and no link of ours")
    server = f"{url.scheme}://{url.netloc}" if url.scheme in ("http", "https") and url.netloc else None
    for kind, job in itertools.pairwise(parts):
        if kind in KINDS:
            return Link(server, KINDS[kind], quote(job, safe=""))
    return Link(server, None, quote(parts[-1], safe=""))
