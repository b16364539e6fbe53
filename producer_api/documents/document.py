"""What a document comes to, and the ways in which it can not be read.

BadInput
├── UnknownKind         no kind of document that is read here (415)
├── DocumentTooLarge    over a bound, packed or unpacked (413)
├── UnreadableDocument  damaged, protected, or not what it says it is (422)
└── ReaderMissing       a package that reads this kind is not installed (501)
"""

from __future__ import annotations

from dataclasses import dataclass

import regex

from contracts.errors import BadInput

TITLE_CHARS = 200
_TAG = regex.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{1,8})*")


class UnknownKind(BadInput):
    """No kind of document that is read here."""

    slug = "unsupported-media-type"
    status = 415


class DocumentTooLarge(BadInput):
    """Over a bound: its bytes, what they unpack to, or how many files it has."""

    slug = "content-too-large"
    status = 413


class UnreadableDocument(BadInput):
    """Damaged, protected, not what it says it is, or built to take forever."""

    slug = "unreadable-document"


class ReaderMissing(BadInput):
    """The package that reads it is not installed."""

    slug = "reader-missing"
    status = 501

    def __init__(self, package: str) -> None:
        super().__init__(f'Reading this needs {package}: pip install "castline[documents]".')
        self.package = package


@dataclass(frozen=True, slots=True)
class Document:
    """text: paragraphs with an empty line between them; title: one line, "" if it has none; language: BCP 47, or None
    where the document does not say.
    """

    title: str
    text: str
    language: str | None


def one_line(title: str | None) -> str:
    """A title without line ends, and not without end."""
    return " ".join((title or "").split())[:TITLE_CHARS].strip()


def language_tag(given: str | None) -> str | None:
    """`en_gb` -> `en-GB`; None for what is no tag of a language."""
    if given is None or not _TAG.fullmatch(given.strip()):
        return None
    base, *rest = given.strip().replace("_", "-").split("-")
    if base.lower() in ("und", "mul", "zxx", "mis"):  # undetermined, many, none, uncoded
        return None
    return "-".join([base.lower(), *(part.upper() if len(part) == 2 else part for part in rest)])
