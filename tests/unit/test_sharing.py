"""Links to casts, and what is said of them: which are ours, and that no title breaks the markup."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from contracts.ports import LogStatus
from contracts.topology import speech_lane
from producer_api.sharing import embed
from producer_api.sharing.about import WORDS_CHARS, About, shortened

ID = "Zk3vT0x9yQm1LwPa"
NASTY = """</title><script>alert("1")</script> & 'quotes' ]]> \x0b\ufffe 👩‍🚀"""
STATUS = LogStatus(ID, "aa", speech_lane("tone"), "live", "done", True, 1, 1, 3, 0, 1000, 1, 1, 1, 2, 3)


def told(title: str = NASTY, words: str = NASTY) -> About:
    return About(STATUS, title, words, "en-US")


class Tags(HTMLParser):
    """Start tags with their attributes, and the text of the title."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.title = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if self.tags and self.tags[-1][0] == "title":
            self.title += data


@pytest.mark.parametrize(
    ("url", "base", "found"),
    [
        (f"http://a.example/c/{ID}", "http://a.example", ID),
        (f"https://A.example/c/{ID}?t=3#x", "http://a.example", ID),
        (f"http://a.example/embed/{ID}/", "http://a.example", ID),
        (f"http://a.example/speech/c/{ID}", "http://a.example/speech", ID),
        (f"http://a.example/c/{ID}", "http://a.example/speech", None),
        (f"http://a.example:81/c/{ID}", "http://a.example", None),
        (f"http://a.example.evil.example/c/{ID}", "http://a.example", None),
        (f"http://a.example@evil.example/c/{ID}", "http://a.example", None),
        (f"ftp://a.example/c/{ID}", "http://a.example", None),
        (f"/c/{ID}", "http://a.example", None),
        (f"http://a.example/c/{ID}x", "http://a.example", None),
        (f"http://a.example/v1/casts/{ID}", "http://a.example", None),
        ("http://[", "http://a.example", None),
        ("", "http://a.example", None),
    ],
)
def test_only_links_of_this_server_are_known(url: str, base: str, found: str | None) -> None:
    assert embed.linked(url, base) == found


def test_no_title_breaks_out_of_the_head() -> None:
    tags = Tags()
    tags.feed(embed.head(told(), "https://a.example"))
    assert {tag for tag, _ in tags.tags} == {"title", "meta", "link"}
    assert tags.title.rstrip().startswith(NASTY)
    said = {a["property"]: a["content"] for tag, a in tags.tags if tag == "meta" and "property" in a}
    assert said["og:title"] == said["og:description"] == NASTY
    assert said["og:url"] == f"https://a.example/c/{ID}"
    assert said["og:audio"] == f"https://a.example/v1/casts/{ID}/audio.mp3"
    links = {a["type"]: a["href"] for tag, a in tags.tags if tag == "link"}
    assert links["text/xml+oembed"] == f"https://a.example/oembed?url=https%3A%2F%2Fa.example%2Fc%2F{ID}&format=xml"


def test_a_player_fits_into_what_is_asked_for() -> None:
    members: dict[str, Any] = embed.oembed(told(), "https://a.example", max_width=300, max_height=9999)
    assert (members["width"], members["height"], members["type"]) == (300, embed.HEIGHT, "rich")
    tags = Tags()
    tags.feed(members["html"])
    [(tag, attributes)] = tags.tags
    assert (tag, attributes["src"]) == ("iframe", f"https://a.example/embed/{ID}")
    assert attributes["title"] == NASTY
    assert (attributes["width"], attributes["height"]) == ("300", str(embed.HEIGHT))
    parsed = {e.tag: e.text for e in ET.fromstring(embed.as_xml(members))}
    assert parsed["html"] == members["html"].replace("\x0b", "").replace("\ufffe", "")
    assert parsed["version"] == "1.0"


def test_words_are_cut_at_a_blank() -> None:
    assert shortened("short") == "short"
    long = shortened("a few words, " * 40)
    assert long.endswith(("words…", "few…", "a…"))
    assert len(long) <= WORDS_CHARS + 1
    assert len(shortened("x" * 500)) == WORDS_CHARS + 1
