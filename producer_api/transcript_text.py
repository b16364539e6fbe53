"""A transcript as a file: plain text, SubRip, WebVTT, JSON. All times in records are ms from the recording's start."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, Literal

from contracts.records import Record
from producer_api.audio.captions import payload, timestamp

TextFormat = Literal["txt", "srt", "vtt", "json"]
CONTENT_TYPES: dict[TextFormat, str] = {
    "txt": "text/plain; charset=utf-8",
    "srt": "application/x-subrip; charset=utf-8",
    "vtt": "text/vtt; charset=utf-8",
    "json": "application/json",
}


def text_of(records: Sequence[Record]) -> str:
    """What was said, in one line."""
    return " ".join(r.headers["t"].strip() for r in _heard(records) if r.headers["t"].strip())


def language_of(records: Sequence[Record]) -> str | None:
    """The language most pieces are in; None if nothing was said."""
    languages = [r.headers["language"] for r in _heard(records) if r.headers["language"]]
    return max(set(languages), key=languages.count) if languages else None


def segments_of(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Sentences or so, in order."""
    return [segment for r in _heard(records) for segment in r.headers["segments"]]


def words_of(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Words with times, where they were asked for."""
    return [word for r in _heard(records) for word in r.headers.get("words", [])]


def as_text(records: Sequence[Record]) -> str:
    """A paragraph per piece of the recording."""
    return "".join(f"{r.headers['t'].strip()}\n" for r in _heard(records) if r.headers["t"].strip())


def as_srt(records: Sequence[Record]) -> str:
    """SubRip: a cue per segment."""
    cues = [
        f"{n}\n{timestamp(s['start']).replace('.', ',')} --> {timestamp(_end(s)).replace('.', ',')}\n{s['t'].strip()}\n"
        for n, s in enumerate(segments_of(records), 1)
    ]
    return "\n".join(cues)


def as_vtt(records: Sequence[Record]) -> str:
    """WebVTT: a cue per segment."""
    cues = [f"\n{timestamp(s['start'])} --> {timestamp(_end(s))}\n{payload(s['t'])}\n" for s in segments_of(records)]
    return "".join(["WEBVTT\n", *cues])


def as_json(records: Sequence[Record]) -> str:
    """Everything: text, language, segments, words."""
    whole = {
        "text": text_of(records), "language": language_of(records), "segments": segments_of(records),
        "words": words_of(records), "skipped": [r.headers for r in records if r.type == "skip"],
    }  # fmt: skip
    return json.dumps(whole, ensure_ascii=False)


FILES: dict[TextFormat, Callable[[Sequence[Record]], str]] = {
    "txt": as_text, "srt": as_srt, "vtt": as_vtt, "json": as_json,
}  # fmt: skip


def _heard(records: Sequence[Record]) -> list[Record]:
    return [r for r in records if r.type == "segment"]


def _end(segment: dict[str, Any]) -> int:
    """A cue of no length is not valid."""
    return max(int(segment["end"]), int(segment["start"]) + 1)
