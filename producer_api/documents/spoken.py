"""A tree to the paragraphs that are spoken: each heading, item and row of a table is one, and ends as a sentence."""

from __future__ import annotations

import regex
from lxml import etree  # type: ignore[import-untyped]

from producer_api.documents.markup import Element

_BLOCKS = frozenset(
    """
    address article aside blockquote body caption center dd details dialog dir div dl dt fieldset figcaption figure
    footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol p pre section summary table tbody
    tfoot thead title tr ul
    """.split()
)
_CELLS = frozenset({"td", "th"})
_IN_LAYOUT = ("table", "p", "div", "li", "h1", "h2", "h3", "h4", "h5", "h6")
_BLANKS = regex.compile(r"[ \t\r\n\f]+")
_EMPTY_LINE = regex.compile(r"\n[ \t\n]*\n")
_NO_END = regex.compile(r"[\p{L}\p{M}\p{N}%°)\]”’\"'»]\Z")
_ENDED = regex.compile(r"[\p{Sentence_Terminal}:;,…–—][\p{Pe}\p{Pf}\"']*\Z")
_WIDE = regex.compile(r"[\p{Han}\p{Hiragana}\p{Katakana}]\p{P}?\Z")


def spoken(root: Element) -> str:
    """The text under an element; "" if there is none. Linear, and without recursion."""
    page = _Page()
    for event, element in etree.iterwalk(root, events=("start", "end")):
        if event == "start":
            page.enter(element)
            page.add(element.text)
        else:
            page.leave(element)
            page.add(element.tail if element is not root else None)
    page.end_block()
    return "\n\n".join(page.blocks)


def as_sentence(block: str) -> str:
    """With a full stop where a heading, an item or a row has none: the voice falls, and pauses."""
    if _ENDED.search(block) or not _NO_END.search(block):
        return block
    return block + ("。" if _WIDE.search(block) else ".")


class _Page:
    """What was read by now. cells: of the row of a table that is being read; a layout made of tables has none."""

    def __init__(self) -> None:
        self.blocks: list[str] = []
        self._pieces: list[str] = []
        self._cells: list[str] | None = None
        self._pre = 0

    def enter(self, element: Element) -> None:
        tag = element.tag
        if tag == "tr":
            self.end_block()
            self._cells = None if _is_layout(element) else []
        elif tag in _BLOCKS:
            self.end_block()
        if tag == "pre":
            self._pre += 1
        elif tag == "br":
            self._pieces.append("\n")

    def leave(self, element: Element) -> None:
        tag = element.tag
        if tag == "pre":
            self._pre -= 1
        if tag in _CELLS and self._cells is not None:
            if cell := " ".join(self._take().split()):
                self._cells.append(cell)
        elif tag == "tr" and self._cells is not None:
            cells, self._cells = self._cells, None
            self._pieces = [", ".join(cells)]
            self.end_block()
        elif tag in _BLOCKS or tag in _CELLS:
            self.end_block()

    def add(self, text: str | None) -> None:
        if text:
            self._pieces.append(text if self._pre else _BLANKS.sub(" ", text))

    def end_block(self) -> None:
        if self._cells is not None:
            self._pieces.append(" ")
            return
        for block in _EMPTY_LINE.split(self._take()):
            lines = [" ".join(line.split()) for line in block.split("\n")]
            if kept := "\n".join(line for line in lines if line):
                self.blocks.append(as_sentence(kept))

    def _take(self) -> str:
        text = "".join(self._pieces)
        self._pieces = []
        return text


def _is_layout(row: Element) -> bool:
    """A table that is no table: its cells hold paragraphs, or other tables."""
    blocks = sum(1 for e in row.iter(*_IN_LAYOUT))
    return blocks > len(row) or row.find(".//table") is not None
