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
    """server: with the path it is behind, None if only an id or a path was given; kind: None for an id alone.

    job: quoted.
    """

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
    for n, (kind, job) in enumerate(itertools.pairwise(parts)):
        if kind in KINDS:
            prefix = "".join(f"/{part}" for part in parts[:n]).removesuffix("/v1")
            return Link(server and server + prefix, KINDS[kind], quote(job, safe=""))
    return Link(server, None, quote(parts[-1], safe=""))
