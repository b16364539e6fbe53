"""What other programs make of a cast, over HTTP: podcast players, sites that show a link, players of HLS."""

from __future__ import annotations

import io
import re
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree as ET

import av
import feedparser  # type: ignore[import-untyped]
import httpx
import numpy as np
import numpy.typing as npt
import pytest

from contracts.adapters import Address
from contracts.codec import decode_chunk
from load_tests.system import System, system
from producer_api.audio.libav import to_s16

TITLE = """Tom & Jerry's <b>"best"</b> ]]> 👩‍🚀"""
STORY = "The keeper lit the lamp. Nobody had come that way for years! Would anyone come now? He waited."


@pytest.fixture(scope="module")
def running(each_store: Address, directory: Path) -> Iterator[System]:
    with system(each_store, directory) as running:
        running.front()
        running.worker("tone", CASTLINE_TTS_TONE_XRT="20")
        running.wait_for_workers(1)
        yield running


@pytest.fixture
def client(running: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url(), timeout=30, trust_env=False) as client:
        yield client


def post(client: httpx.Client, text: str = STORY, **fields: Any) -> dict[str, Any]:
    cast: dict[str, Any] = client.post(
        "/v1/casts", json={"voice": "tone", "text": f"{text} {uuid4().hex}.", **fields}
    ).json()
    return cast


def finished(client: httpx.Client, text: str = STORY, **fields: Any) -> dict[str, Any]:
    job = post(client, text, **fields)["id"]
    end = time.monotonic() + 60
    while (cast := client.get(f"/v1/casts/{job}").json())["state"] != "done":
        assert time.monotonic() < end, cast
        client.get(f"/v1/casts/{job}/records", params={"offset": "now", "live": "long-poll"})
    return dict(cast)


# --- HLS -----------------------------------------------------------------------------------------------------


def decoded(file: bytes) -> npt.NDArray[np.int16]:
    with av.open(io.BytesIO(file), "r") as container:
        return np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])


def spoken(client: httpx.Client, job: str) -> npt.NDArray[np.int16]:
    """The sentences, joined."""
    status = client.get(f"/v1/casts/{job}").json()
    bodies = [client.get(f"/v1/casts/{job}/records/{seq}").content for seq in range(1, status["watermark"] + 1)]
    return to_s16(np.concatenate([decode_chunk(body) for body in bodies]))


def load(client: httpx.Client, cast: dict[str, Any]) -> tuple[list[str], bytes]:
    """The playlist, and the file it names in pieces."""
    path = cast["links"]["hls"]
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/vnd.apple.mpegurl"
    lines = answer.text.splitlines()
    folder = path.rpartition("/")[0]
    names = ["hls/init.mp4", *(line for line in lines if not line.startswith("#"))]
    pieces = [client.get(f"{folder}/{name}") for name in names]
    for piece in pieces:
        assert piece.status_code == 200, piece.text
        assert piece.headers["content-type"] == "audio/mp4"
        assert "immutable" in piece.headers["cache-control"]
        assert piece.headers["access-control-allow-origin"] == "*"
    return lines, b"".join(piece.content for piece in pieces)


def test_hls_is_the_sentences_to_the_sample(client: httpx.Client) -> None:
    long = "a sentence that goes on and on " * 9  # one unit of more than ten seconds
    cast = finished(client, f"{STORY} {long.strip()}.", speed=0.5)
    lines, file = load(client, cast)
    assert lines[-1] == "#EXT-X-ENDLIST"
    durations = [float(line[8:-1]) for line in lines if line.startswith("#EXTINF:")]
    [target] = [int(line.partition(":")[2]) for line in lines if line.startswith("#EXT-X-TARGETDURATION")]
    assert max(round(duration) for duration in durations) <= target
    assert len(durations) > cast["units"], "the long one is several"
    expected = spoken(client, cast["id"])
    assert np.array_equal(decoded(file), expected)
    assert sum(durations) == pytest.approx(len(expected) / 24_000, abs=1e-3)


def test_hls_waits_for_the_first_sound_grows_and_ends_with_a_cancelled_cast(client: httpx.Client) -> None:
    cast = post(client, " ".join(f"Sentence {n} takes its time to be made." for n in range(60)), speed=0.25)
    seen = [client.get(cast["links"]["hls"]).text]
    assert "#EXTINF" in seen[0], "it was asked for before there was any, and waited"
    end = time.monotonic() + 60
    while len(set(seen)) < 4:
        assert time.monotonic() < end
        client.get(f"/v1/casts/{cast['id']}/records", params={"offset": "now", "live": "long-poll"})
        seen.append(client.get(cast["links"]["hls"]).text)
    assert "#EXT-X-ENDLIST" not in seen[-1]
    client.delete(f"/v1/casts/{cast['id']}")
    lines, file = load(client, cast)
    for before, after in pairwise([*seen, "\n".join(lines)]):
        assert after.startswith(before), "an EVENT playlist only grows"
    assert lines[-1] == "#EXT-X-ENDLIST"
    assert np.array_equal(decoded(file), spoken(client, cast["id"]))


def test_segments_that_are_none_are_problems(client: httpx.Client) -> None:
    cast = finished(client)
    lines, _ = load(client, cast)
    [first, *_] = [line for line in lines if line.startswith("hls/")]
    epoch = first[4:].partition("-")[0]
    base = f"/v1/casts/{cast['id']}/hls"
    for name in (f"{epoch}-0-0-0", f"{epoch}-99-0-0", f"{epoch}-1-1-0", "00000000-1-0-0"):
        answer = client.get(f"{base}/{name}.m4s")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json"), name
    assert client.get(f"{base}/XY-1-0-0.m4s").status_code == 422
    assert client.get(f"{base}/nothing").status_code == 404
    assert client.get(f"/v1/casts/{'A' * 16}/live.m3u8").status_code == 404
    assert client.get(f"/v1/casts/{'A' * 16}/hls/init.mp4").status_code == 404


# --- podcasts ------------------------------------------------------------------------------------------------


def test_a_feed_is_one_a_podcast_player_reads(client: httpx.Client) -> None:
    casts = [finished(client, title=TITLE), finished(client, f"Another one. {STORY}")]
    waiting = client.post("/v1/casts", json={"voice": "espeak-en-us", "text": uuid4().hex}).json()
    ids = [casts[0]["id"], waiting["id"], casts[1]["id"], casts[0]["id"], "A" * 16]
    answer = client.get("/v1/feed.rss", params={"cast": ids, "title": TITLE})
    assert answer.headers["content-type"].startswith("application/rss+xml")
    feed = feedparser.parse(answer.content, sanitize_html=False)
    assert not feed.bozo, feed.get("bozo_exception")
    assert feed.version == "rss20"
    assert feed.feed.title == TITLE
    assert feed.feed.link == f"{client.base_url}/"
    assert [e.id for e in feed.entries] == [casts[1]["id"], casts[0]["id"]], "done, once each, newest first"
    assert feed.entries[1].title == TITLE
    for entry, cast in zip(feed.entries, reversed(casts), strict=True):
        [enclosure] = entry.enclosures
        assert enclosure.href == f"{client.base_url}{cast['links']['audio']['mp3']}"
        assert enclosure.type == "audio/mpeg"
        assert int(enclosure.length) == len(client.get(enclosure.href).content), "to the byte"
        assert int(entry.itunes_duration) == pytest.approx(cast["audio_ms"] / 1000, abs=1)
        assert entry.link == f"{client.base_url}{cast['links']['page']}"
        assert time.mktime(entry.published_parsed) - time.timezone == cast["created"] // 1000
        assert entry.summary.startswith(("The keeper", "Another"))
    client.delete(f"/v1/casts/{waiting['id']}")


def test_a_feed_names_the_address_a_proxy_was_asked_by(client: httpx.Client) -> None:
    cast = finished(client)
    headers = {"Host": "casts.example", "X-Forwarded-Proto": "https"}
    answer = client.get("/v1/feed.rss", params={"cast": cast["id"]}, headers=headers)
    [entry] = feedparser.parse(answer.content).entries
    assert entry.link == f"https://casts.example/c/{cast['id']}"
    page = client.get(f"/c/{cast['id']}", headers=headers).text
    assert f'<meta property="og:url" content="https://casts.example/c/{cast["id"]}">' in page


@pytest.mark.parametrize(
    ("query", "status"),
    [("", 422), ("?cast=short", 422), ("?cast=" + "A" * 16, 404), ("?" + "&".join(["cast=" + "A" * 16] * 51), 422)],
)
def test_a_feed_of_nothing_is_a_problem(client: httpx.Client, query: str, status: int) -> None:
    answer = client.get(f"/v1/feed.rss{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


def test_head_says_what_a_get_would_give(client: httpx.Client) -> None:
    cast = finished(client)
    for fmt in ("mp3", "wav"):
        path = cast["links"]["audio"][fmt]
        head, whole = client.head(path), client.get(path)
        assert head.status_code == 200
        assert int(head.headers["content-length"]) == len(whole.content)
        assert head.headers["content-type"] == whole.headers["content-type"]
        part = client.get(path, headers={"Range": "bytes=0-1"})
        assert part.headers["content-range"] == f"bytes 0-1/{len(whole.content)}"
    assert "content-length" not in client.head(cast["links"]["audio"]["opus"]).headers
    assert client.head(f"/v1/casts/{'A' * 16}/audio.mp3").status_code == 404


# --- links in pages of others --------------------------------------------------------------------------------


def test_a_link_is_found_to_be_a_player(client: httpx.Client) -> None:
    """As a site does it: the page names the address, the address answers with the player, the player sounds."""
    cast = finished(client, title=TITLE)
    link = f"{client.base_url}{cast['links']['page']}"
    page = client.get(link).text
    assert "<title>Tom &amp; Jerry&#x27;s &lt;b&gt;" in page
    found = dict(re.findall(r'<link rel="alternate" type="([^"]+)" href="([^"]+)"', page))
    told = client.get(found["application/json+oembed"].replace("&amp;", "&")).json()
    assert (told["version"], told["type"], told["title"]) == ("1.0", "rich", TITLE)
    as_xml = client.get(found["text/xml+oembed"].replace("&amp;", "&"))
    assert as_xml.headers["content-type"].startswith("text/xml")
    assert {e.tag: e.text for e in ET.fromstring(as_xml.content)} == {k: str(v) for k, v in told.items()}
    small = client.get("/oembed", params={"url": link, "maxwidth": 200, "maxheight": 60}).json()
    assert (small["width"], small["height"]) == (200, 60)
    [player] = re.findall(r'<iframe src="([^"]+)"', told["html"])
    frame = client.get(player)
    assert "frame-ancestors *" in frame.headers["content-security-policy"]
    [sound] = re.findall(r'<audio [^>]*src="([^"]+)"', frame.text)
    assert client.get(sound).headers["content-type"] == "audio/mpeg"
    assert "<b>" not in frame.text


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({}, 422), ({"url": "{base}/c/" + "A" * 16}, 404), ({"url": "https://elsewhere.example/c/{id}"}, 404),
        ({"url": "{base}/c/{id}", "format": "yaml"}, 501), ({"url": "{base}/c/{id}", "maxwidth": "wide"}, 422),
        ({"url": "{base}/c/{id}", "maxheight": "0"}, 422), ({"url": "{base}/"}, 404),
    ],
)  # fmt: skip
def test_what_is_no_link_to_a_cast_is_a_problem(client: httpx.Client, params: dict[str, str], status: int) -> None:
    job = finished(client)["id"]
    filled = {name: value.format(base=client.base_url, id=job) for name, value in params.items()}
    answer = client.get("/oembed", params=filled)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text


def test_unknown_casts_have_pages_that_say_so(client: httpx.Client) -> None:
    assert client.get(f"/embed/{'A' * 16}").status_code == 404
    page = client.get(f"/c/{'A' * 16}")
    assert (page.status_code, "og:title" in page.text) == (404, False)
