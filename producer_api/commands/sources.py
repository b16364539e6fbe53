"""What `castline say` is to speak: words, a document, a page, or what comes on standard input while it comes."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from contracts import voices
from contracts.errors import BadInput
from producer_api.commands.client import Server
from producer_api.commands.lines import complain
from producer_api.documents import Document, declared_kind, read
from producer_api.documents.document import DocumentTooLarge

MAX_BYTES = 256 << 20
STDIN = "-"


@dataclass(frozen=True, slots=True)
class Source:
    """text: None if it comes on standard input while it is spoken; language: one that a voice speaks, or None."""

    text: str | None
    title: str = ""
    language: str | None = None


def find(server: Server, text: str | None, file: str | None) -> Source:
    """Raises BadInput, ServerError."""
    if (text is None) == (file is None):
        raise BadInput("give a text, or - for standard input, or a document with --file")
    if file is None:
        return Source(None if text == STDIN else text)
    if file.startswith(("http://", "https://")):
        answer = server.call("POST", "/v1/texts", {"url": file})
        found = Document(answer["title"], answer["text"], answer["language"])
    else:
        found = _read(file)
    return Source(found.text, found.title, _spoken_language(found.language))


def _read(file: str) -> Document:
    """Here, not on the server: only its text is sent. Raises BadInput."""
    name = "" if file == STDIN else Path(file).name
    try:
        data = _bounded(sys.stdin.buffer) if file == STDIN else _bytes(Path(file))
        return read(data, declared_kind("", name), name=name)
    except BadInput as exc:
        raise BadInput(f"{name or 'standard input'}: {exc.detail}") from exc
    except OSError as exc:
        raise BadInput(f"{file}: {exc.strerror or exc}") from exc


def _bytes(path: Path) -> bytes:
    with path.open("rb") as opened:
        return _bounded(opened)


def _bounded(opened: BinaryIO) -> bytes:
    data = opened.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise DocumentTooLarge(f"It is larger than {MAX_BYTES >> 20} MiB.")
    return data


def _spoken_language(tag: str | None) -> str | None:
    """As voices have it: `en-AU` is read as `en`. None where nobody speaks it."""
    if tag is None:
        return None
    for candidate in (tag, tag.split("-", maxsplit=1)[0]):
        if any(candidate.lower() in (known.lower(), known.lower().split("-")[0]) for known in voices.LANGUAGES):
            return candidate
    complain(f"the document is in {tag}, which no voice speaks; --language says how to read it")
    return None
