"""Markdown: as its HTML is read. Code blocks and images are left out, links are their text."""

from __future__ import annotations

import regex
from markdown_it import MarkdownIt

from producer_api.documents.document import Document, language_tag, one_line
from producer_api.documents.encoding import decode
from producer_api.documents.markup import clean, parse
from producer_api.documents.spoken import spoken

_FRONT_MATTER = regex.compile(r"\A---[ \t]*\n((?:[^\n]*\n){0,200}?)(?:---|\.\.\.)[ \t]*(?:\n|\Z)")
_FIELD = regex.compile(r"""(?m)^(title|lang|language)[ \t]*:[ \t]*["']?(.*?)["']?[ \t]*$""")


def read(data: bytes, charset: str | None) -> Document:
    """Raises UnreadableDocument."""
    source = decode(data, charset).replace("\r\n", "\n").replace("\r", "\n")
    fields: dict[str, str] = {}
    if front := _FRONT_MATTER.match(source):
        fields = dict(_FIELD.findall(front[1]))
        source = source[front.end() :]
    root = parse(MarkdownIt("commonmark").enable(["table", "strikethrough"]).render(source))
    heading = root.find(".//h1")
    title = fields.get("title") or ("" if heading is None else heading.text_content())
    clean(root)
    return Document(one_line(title), spoken(root), language_tag(fields.get("lang") or fields.get("language")))
