"""Ids and links, as people give them."""

from __future__ import annotations

import pytest

from contracts.errors import BadInput
from producer_api.commands.links import Link, parse

JOB = "a" * 16


@pytest.mark.parametrize(
    ("given", "link"),
    [
        (JOB, Link(None, None, JOB)),
        (f"/c/{JOB}", Link(None, "casts", JOB)),
        (f"https://host/c/{JOB}", Link("https://host", "casts", JOB)),
        (f"https://host:8443/v1/casts/{JOB}/records", Link("https://host:8443", "casts", JOB)),
        (f"https://host/tts/c/{JOB}", Link("https://host/tts", "casts", JOB)),
        (f"https://host/a/b/v1/transcripts/{JOB}", Link("https://host/a/b", "transcripts", JOB)),
        (f"ftp://host/c/{JOB}", Link(None, "casts", JOB)),
    ],
)
def test_a_link_says_which_server_even_behind_a_path(given: str, link: Link) -> None:
    assert parse(given) == link


@pytest.mark.parametrize("given", ["", "https://host/", "http://[x"])
def test_what_is_no_link_is_refused(given: str) -> None:
    with pytest.raises(BadInput):
        parse(given)
