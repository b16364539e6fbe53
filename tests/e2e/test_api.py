"""The HTTP and WebSocket surface of a running system, on SQLite and on Redis + RabbitMQ, with the tone engine."""

from __future__ import annotations

import base64
import concurrent.futures
import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import av
import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from contracts import text
from contracts.adapters import Address
from contracts.codec import decode_chunk
from load_tests.system import System, system

STORY = "The keeper lit the lamp. Nobody had come that way for years! Would anyone come now? He waited."


@pytest.fixture(scope="module")
def running(each_store: Address, directory: Path) -> Iterator[System]:
    with system(each_store, directory) as running:
        running.front()
        running.worker("tone", CASTLINE_TTS_SLOTS="2", CASTLINE_TTS_TONE_XRT="100")
        running.wait_for_workers(1)
        yield running


@pytest.fixture
def client(running: System) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=running.url(), timeout=30, trust_env=False) as client:
        yield client


def unique(story: str = STORY) -> str:
    return f"{story} {uuid4().hex}."


def post(client: httpx.Client, **fields: Any) -> httpx.Response:
    return client.post("/v1/casts", json={"voice": "tone", **fields})


def finished(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    """A cast that is done."""
    cast: dict[str, Any] = post(client, **{"text": unique(), **fields}).json()
    return wait_for(client, cast["id"], "done")


def wait_for(client: httpx.Client, job: str, state: str) -> dict[str, Any]:
    end = time.monotonic() + 30
    while (cast := client.get(f"/v1/casts/{job}").json())["state"] != state:
        assert time.monotonic() < end, cast
        client.get(f"/v1/casts/{job}/records", params={"offset": "now", "live": "long-poll"})
    return dict(cast)


def records(client: httpx.Client, job: str, offset: int = 0) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        answer = client.get(f"/v1/casts/{job}/records", params={"offset": offset})
        assert answer.status_code == 200
        page = answer.json()
        found += page["records"]
        if page["closed"]:
            return found
        offset = page["next"]


# --- posting -------------------------------------------------------------------------------------------------


def test_post_answers_at_once_with_a_link_and_the_same_recipe_is_the_same_cast(client: httpx.Client) -> None:
    story = unique()
    first = post(client, text=story, title="A story")
    assert first.status_code == 201
    cast = first.json()
    assert first.headers["Location"] == f"/v1/casts/{cast['id']}"
    assert cast["links"]["page"] == f"/c/{cast['id']}"
    assert cast["title"] == "A story"
    assert cast["class"] == "live"
    again = post(client, text=f"  {story}\r\n", title="Other title")
    assert (again.status_code, again.json()["id"], again.json()["title"]) == (200, cast["id"], "A story")
    other = post(client, text=story, speed=1.5)
    assert (other.status_code, other.json()["id"] == cast["id"]) == (201, False)


def test_fifty_posts_at_once_make_one_cast_and_render_each_sentence_once(client: httpx.Client) -> None:
    story = unique()
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: post(client, text=story), range(50)))
    assert sorted(a.status_code for a in answers) == [200] * 49 + [201]
    [job] = {a.json()["id"] for a in answers}
    wait_for(client, job, "done")
    found = records(client, job)
    audio = [r for r in found if r["e"] == "audio"]
    assert [r["i"] for r in audio] == list(range(len(audio)))
    assert [r["a"] for r in audio] == [1] * len(audio), "every first attempt was the only one"
    assert len(audio) == len(text.split_units(text.normalise(story), "en-US"))


def test_a_finished_cast_says_what_it_took(client: httpx.Client) -> None:
    cast = finished(client)
    assert cast["watermark"] == cast["units"] > 3
    assert cast["audio_ms"] > 1000
    assert cast["gen_ms"] > 0
    assert cast["xrt"] == pytest.approx(cast["audio_ms"] / cast["gen_ms"], rel=0.01)
    assert (cast["lead_ms"], cast["position"], cast["eta_ms"]) == (None, None, None)
    assert cast["expires"] - cast["created"] > 6 * 86_400_000
    eos = records(client, cast["id"])[-1]
    assert (eos["e"], eos["units"], eos["audio_ms"]) == ("eos", cast["units"], cast["audio_ms"])


def test_a_bulk_cast_waits_and_says_where(client: httpx.Client, running: System) -> None:
    """A voice nobody serves: its casts wait."""
    body = {"text": unique(), "voice": "espeak-en-us", "class": "bulk"}
    cast = client.post("/v1/casts", json=body).json()
    assert (cast["state"], cast["position"], cast["workers"], cast["eta_ms"]) == ("waiting", 0, 0, None)
    second = client.post("/v1/casts", json={**body, "text": unique()}).json()
    assert second["position"] >= 1, "the first one is due before it"
    live = client.post("/v1/casts", json={**body, "text": unique(), "class": "live"}).json()
    assert live["position"] == 0, "live comes before bulk"
    for waiting in (cast, second, live):
        assert client.delete(f"/v1/casts/{waiting['id']}").json()["state"] == "cancelled"


# --- bad input -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "status", "slug"),
    [
        ({"text": ""}, 422, "invalid-request"),
        ({"text": " \n\t "}, 422, "nothing-to-speak"),
        ({"text": "?!... --- !!"}, 422, "nothing-to-speak"),
        ({"text": "\x00\x01\x02"}, 422, "nothing-to-speak"),
        ({"text": "A lone \ud800 surrogate is no text."}, 422, "invalid-request"),
        ({"text": 7}, 422, "invalid-request"),
        ({"text": None}, 422, "invalid-request"),
        ({"text": ["a"]}, 422, "invalid-request"),
        ({}, 422, "invalid-request"),
        ({"text": "a", "voice": "nobody"}, 422, "unknown-voice"),
        ({"text": "a", "voice": "\ud800"}, 422, "unknown-voice"),
        ({"text": "a", "voice": ""}, 422, "unknown-voice"),
        ({"text": "a", "voice": "af_bella(0)"}, 422, "unknown-voice"),
        ({"text": "a", "voice": "af_bella(1"}, 422, "unknown-voice"),
        ({"text": "a", "voice": "af_bella+tone"}, 422, "unknown-voice"),
        ({"text": "a", "voice": "tone+tone+" * 200 + "tone"}, 422, "unknown-voice"),
        ({"text": "a", "model": "nothing"}, 422, "invalid-request"),
        ({"text": "a", "model": "kokoro"}, 422, "unknown-voice"),
        ({"text": "a", "language": "tlh"}, 422, "invalid-request"),
        ({"text": "a", "speed": 0}, 422, "invalid-request"),
        ({"text": "a", "speed": -1}, 422, "invalid-request"),
        ({"text": "a", "speed": 4.01}, 422, "invalid-request"),
        ({"text": "a", "speed": "fast"}, 422, "invalid-request"),
        ({"text": "a", "speed": True}, 422, "invalid-request"),
        ({"text": "a", "title": "x" * 201}, 422, "invalid-request"),
        ({"text": "a", "class": "urgent"}, 422, "invalid-request"),
        ({"text": "a", "colour": "red"}, 422, "invalid-request"),
        ({"text": "x" * 2_000_001}, 413, "text-too-long"),
    ],
)
def test_bad_input_is_a_problem(client: httpx.Client, fields: dict[str, Any], status: int, slug: str) -> None:
    answer = client.post("/v1/casts", content=json.dumps({"voice": "tone", **fields}).encode())
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"urn:castline:problem:{slug}"
    assert problem["status"] == status
    assert problem["detail"]


def test_a_form_is_told_what_to_send(client: httpx.Client) -> None:
    answer = client.post("/v1/casts", data={"text": "a"})
    assert (answer.status_code, answer.json()["type"]) == (415, "urn:castline:problem:unsupported-media-type")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 422), (b"{", 400), (b"\xff\xfe\x00", 400), (b"[]", 422), (b'"text"', 422), (b"null", 422),
        (b'{"text":"a","voice":"tone","speed":NaN}', 422), (b'{"text":"a","voice":"tone","speed":Infinity}', 422),
        (b'{"text":"a","voice":"tone","speed":1e999}', 422), (b"x" * (17 << 20), 413), (b"[" * 100_000, 400),
    ],
)  # fmt: skip
def test_bodies_that_are_no_request_are_problems(client: httpx.Client, body: bytes, status: int) -> None:
    answer = client.post("/v1/casts", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == status, answer.text[:200]
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "spoken",
    [
        "a",
        "Nul \x00 and bell \x07 inside.",
        "\u202eRight to left\u202c and שלום עולם.",
        "Emoji \U0001f469\u200d\U0001f680 and flags \U0001f1e9\U0001f1ea.",
        "word " * 2_000,
        "x" * 10_000,
        "你好，世界。今天天气很好！",
    ],
)
def test_odd_texts_are_spoken(client: httpx.Client, spoken: str) -> None:
    body = json.dumps({"voice": "tone", "text": spoken, "speed": 4.0}).encode()
    answer = client.post("/v1/casts", content=body)
    assert answer.status_code in (200, 201), answer.text
    cast = wait_for(client, answer.json()["id"], "done")
    assert cast["skipped"] == 0
    assert cast["audio_ms"] > 0


def test_a_megabyte_of_text_gets_a_link_at_once_and_can_be_cancelled(client: httpx.Client) -> None:
    book = " ".join(f"Sentence {n} of a long book, {uuid4().hex}." for n in range(16_000))[:1_000_000]
    answer = post(client, text=book)
    assert answer.status_code == 201
    cast = answer.json()
    assert cast["units"] > 10_000
    assert client.delete(f"/v1/casts/{cast['id']}").json()["state"] == "cancelled"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v1/casts/AAAAAAAAAAAAAAAA", 404), ("/v1/casts/short", 422), ("/v1/casts/..%2f..%2fetc", 404),
        ("/v1/casts/AAAAAAAAAAAAAAAA/records", 404), ("/v1/casts/AAAAAAAAAAAAAAAA/records?live=sse", 404),
        ("/v1/casts/AAAAAAAAAAAAAAAA/records?live=long-poll", 404), ("/v1/casts/AAAAAAAAAAAAAAAA/records/0", 404),
        ("/v1/casts/AAAAAAAAAAAAAAAA/audio.opus", 404), ("/v1/casts/AAAAAAAAAAAAAAAA/audio.exe", 422),
        ("/v1/casts/AAAAAAAAAAAAAAAA/captions.vtt", 404), ("/nowhere", 404),
    ],
)  # fmt: skip
def test_unknown_things_are_problems(client: httpx.Client, path: str, status: int) -> None:
    answer = client.get(path)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("offset", ["-2", "x", "1.5", "", "9" * 30, "٣", "0x10", "1e3"])
def test_bad_offsets_are_problems(client: httpx.Client, offset: str) -> None:
    job = finished(client, text=STORY)["id"]
    for live in ({}, {"live": "sse"}, {"live": "long-poll"}):
        answer = client.get(f"/v1/casts/{job}/records", params={"offset": offset, **live})
        assert answer.status_code == 422
        assert answer.headers["content-type"] == "application/problem+json"


# --- reading -------------------------------------------------------------------------------------------------


def test_one_read_path_whatever_the_framing(client: httpx.Client, running: System) -> None:
    job = finished(client)["id"]
    whole = records(client, job)
    assert [r["seq"] for r in whole] == list(range(len(whole)))
    assert [r["e"] for r in whole] == ["meta", *["audio"] * (len(whole) - 2), "eos"]
    for start in (0, 2, len(whole) - 1):
        assert sse(client, job, start) == whole[start:]
        assert frames(running, job, start) == whole[start:]
        assert records(client, job, start) == whole[start:]
    assert sse(client, job, None, last_event_id="2") == whole[3:]
    assert records(client, job, len(whole)) == []
    for record in whole:
        answer = client.get(f"/v1/casts/{job}/records/{record['seq']}")
        assert "immutable" in answer.headers["cache-control"]
        if record["e"] == "audio":
            assert answer.headers["content-type"] == "audio/ogg"
            assert answer.content == base64.b64decode(record["body"])
            assert decode_chunk(answer.content).size == record["n"]
        else:
            assert answer.json() == record
    assert client.get(f"/v1/casts/{job}/records/{len(whole)}").status_code == 404


def sse(client: httpx.Client, job: str, offset: int | None, last_event_id: str | None = None) -> list[dict[str, Any]]:
    params: dict[str, Any] = {"live": "sse"} if offset is None else {"live": "sse", "offset": offset}
    headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
    with client.stream("GET", f"/v1/casts/{job}/records", params=params, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = list(answer.iter_lines())
    found = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    assert [line for line in lines if line.startswith("id: ")] == [f"id: {r['seq']}" for r in found]
    assert [line for line in lines if line.startswith("event: ")] == [f"event: {r['e']}" for r in found]
    return found


def frames(running: System, job: str, offset: int | str) -> list[dict[str, Any]]:
    url = running.url().replace("http://", "ws://") + f"/v1/casts/{job}/follow?offset={offset}"
    found = []
    with connect(url, max_size=None, proxy=None) as socket:
        for message in socket:
            assert isinstance(message, bytes)
            (size,) = struct.unpack(">I", message[:4])
            record = json.loads(message[4 : 4 + size])
            if body := message[4 + size :]:
                record["body"] = base64.b64encode(body).decode()
            found.append(record)
    assert socket.close_code == 1000
    return found


@pytest.mark.parametrize(("job", "offset", "code"), [("A" * 16, "0", 4404), ("..", "0", 4404), ("known", "x", 4422)])
def test_a_websocket_that_can_not_be_served_closes_with_its_reason(
    client: httpx.Client, running: System, job: str, offset: str, code: int
) -> None:
    name = finished(client, text=STORY)["id"] if job == "known" else job
    url = running.url().replace("http://", "ws://") + f"/v1/casts/{name}/follow?offset={offset}"
    with connect(url, proxy=None) as socket, pytest.raises(ConnectionClosed):
        socket.recv(timeout=10)
    assert socket.close_code == code


def test_followers_hear_it_while_it_is_made(client: httpx.Client, running: System) -> None:
    slow = {"text": " ".join(unique() for _ in range(8))}
    cast = post(client, **slow).json()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        by_sse = [pool.submit(sse, client, cast["id"], 0) for _ in range(4)]
        by_socket = [pool.submit(frames, running, cast["id"], 0) for _ in range(4)]
        seen = [f.result(60) for f in (*by_sse, *by_socket)]
    assert all(s == seen[0] for s in seen)
    assert seen[0] == records(client, cast["id"])


def test_etags_spare_what_has_not_changed(client: httpx.Client) -> None:
    job = finished(client)["id"]
    answer = client.get(f"/v1/casts/{job}/records")
    again = client.get(f"/v1/casts/{job}/records", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_a_cancelled_cast_ends_for_its_readers_and_can_be_posted_again(client: httpx.Client) -> None:
    story = " ".join(unique() for _ in range(30))
    cast = post(client, text=story, speed=0.25).json()
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        following = pool.submit(sse, client, cast["id"], 0)
        assert client.delete(f"/v1/casts/{cast['id']}").json()["state"] == "cancelled"
        seen = following.result(30)
    assert seen[-1]["e"] == "cancelled"
    assert client.delete(f"/v1/casts/{cast['id']}").status_code == 200
    again = post(client, text=story, speed=0.25)
    assert (again.status_code, again.json()["id"]) == (201, cast["id"])
    client.delete(f"/v1/casts/{cast['id']}")
    assert client.delete("/v1/casts/AAAAAAAAAAAAAAAA").status_code == 404


# --- audio ---------------------------------------------------------------------------------------------------


def decoded(data: bytes, path: Path) -> int:
    """Samples at 24 kHz."""
    path.write_bytes(data)
    with av.open(str(path)) as container:
        resampler = av.AudioResampler("s16", "mono", 24_000)
        frames = [f for frame in container.decode(audio=0) for f in resampler.resample(frame)]
        return sum(f.samples for f in frames) + sum(f.samples for f in resampler.resample(None))


@pytest.mark.parametrize("fmt", ["opus", "mp3", "aac", "wav", "flac"])
def test_audio_is_one_gapless_stream_live_and_afterwards(client: httpx.Client, tmp_path: Path, fmt: str) -> None:
    cast = post(client, text=" ".join(unique() for _ in range(4))).json()
    live = client.get(f"/v1/casts/{cast['id']}/audio.{fmt}")
    assert live.status_code == 200
    samples = sum(r["n"] for r in records(client, cast["id"]) if r["e"] == "audio")
    slack = 3_000 if fmt in ("mp3", "aac") else 0
    assert abs(decoded(live.content, tmp_path / f"live.{fmt}") - samples) <= slack
    done = client.get(f"/v1/casts/{cast['id']}/audio.{fmt}")
    assert abs(decoded(done.content, tmp_path / f"done.{fmt}") - samples) <= slack
    part = client.get(f"/v1/casts/{cast['id']}/audio.{fmt}", headers={"Range": "bytes=100-299"})
    assert part.status_code == 206
    assert part.content == done.content[100:300], "a part is a part of the whole"
    assert part.headers["content-range"] == f"bytes 100-299/{len(done.content)}"


def test_captions_stand_where_their_sentences_are(client: httpx.Client) -> None:
    cast = finished(client)
    answer = client.get(f"/v1/casts/{cast['id']}/captions.vtt")
    assert answer.headers["content-type"].startswith("text/vtt")
    assert answer.text.startswith("WEBVTT")
    assert answer.text.count("-->") == cast["units"]


# --- the rest ------------------------------------------------------------------------------------------------


def test_voices_health_readiness_metrics_and_openapi(client: httpx.Client) -> None:
    voices = client.get("/v1/voices").json()
    by_id = {v["id"]: v for v in voices["voices"]}
    assert by_id["tone"]["available"]
    assert not by_id["af_heart"]["available"]
    assert voices["default"] == "af_heart"
    assert client.get("/health").json() == {"status": "ok"}
    assert client.get("/ready").json()["workers"] == {"tone": 1}
    assert "castline_casts_posted_total" in client.get("/metrics").text
    schema = client.get("/openapi.json").json()
    assert {"/v1/casts", "/v1/casts/{job}", "/v1/casts/{job}/records", "/v1/voices"} <= set(schema["paths"])


def test_pages_load_nothing_from_elsewhere(client: httpx.Client) -> None:
    index = client.get("/")
    assert index.status_code == 200
    assert "default-src 'self'" in index.headers["content-security-policy"]
    assert "http://" not in index.text.replace("http://www.w3.org", "")
    job = finished(client)["id"]
    assert client.get(f"/c/{job}").status_code == 200
    assert client.get("/c/AAAAAAAAAAAAAAAA").status_code == 404
