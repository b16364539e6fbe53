"""Bytes to characters: a byte order mark, what was declared, UTF-8, and only then a guess."""

from __future__ import annotations

import codecs

import regex

from producer_api.documents.document import UnreadableDocument

_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins with the mark of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NO_CHARSETS = frozenset(
    {"punycode", "idna", "unicode_escape", "raw_unicode_escape", "undefined", "utf_7", "mbcs", "oem"}
)
"""Codecs of Python that no document is in, some of them slow."""
_AS_BROWSERS = {"iso8859-1": "cp1252", "ascii": "cp1252"}
"""What is declared, and what is meant by it."""
_XML = regex.compile(rb"""\A\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_META = regex.compile(rb"""(?i)<meta[^>]{0,400}?charset\s*=\s*["']?\s*([A-Za-z0-9._-]{1,40})""")
_DECLARED_BYTES = 4_096
_GUESS_FROM_BYTES = 1 << 18
_CONTROL = regex.compile(r"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
MAX_CONTROLS = 0.01
"""Of the characters: more is no text."""


def decode(data: bytes, declared: str | None = None) -> str:
    """declared: a charset; a wrong one is no harm unless the bytes fit it. Raises UnreadableDocument."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _text(data.removeprefix(mark) if name == "utf-8" else data, name)
    for candidate in (declared, "utf-8"):
        if (codec := _codec(candidate)) is not None:
            try:
                return _checked(data.decode(codec))
            except UnicodeDecodeError:
                continue
    return _text(data, _guess(data))


def declared_in(markup: bytes) -> str | None:
    """The charset that HTML or XML names in its first bytes."""
    start = markup[:_DECLARED_BYTES]
    found = _XML.search(start) or _META.search(start)
    return found[1].decode("ascii") if found else None


def _codec(declared: str | None) -> str | None:
    """The codec of a declared charset; None if there is none, or if it decodes no text."""
    try:
        found = codecs.lookup((declared or "").strip().lower() or "none")
    except (LookupError, ValueError):
        return None
    if found.name.replace("-", "_") in _NO_CHARSETS or not found._is_text_encoding:  # noqa: SLF001  there is no other way to ask
        return None
    return _AS_BROWSERS.get(found.name, found.name)


def _text(data: bytes, name: str) -> str:
    try:
        return _checked(data.decode(name))
    except UnicodeDecodeError as exc:
        raise UnreadableDocument(f"It is not {name.upper()} throughout: see byte {exc.start:,}.") from exc


def _guess(data: bytes) -> str:
    """Raises UnreadableDocument, or ModuleNotFoundError."""
    from charset_normalizer import from_bytes  # noqa: PLC0415  of an extra

    best = from_bytes(data[:_GUESS_FROM_BYTES]).best()
    if best is None:
        raise UnreadableDocument("It is in no encoding that makes it a text; UTF-8 is best.")
    return best.encoding


def _checked(text: str) -> str:
    """Raises UnreadableDocument for what only looks like a text."""
    if "\x00" in text or len(_CONTROL.findall(text)) > MAX_CONTROLS * len(text):
        raise UnreadableDocument("It is not a text.")
    return text
