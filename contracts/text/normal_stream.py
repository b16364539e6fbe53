"""The normal form of a text that comes piece by piece: the same as that of the whole, as far as it is known."""

from __future__ import annotations

import regex

from contracts.text.normal import LIST_ITEM, WRAPPED_CJK, clean

_WIDE = r"[[\p{Han}\p{Hiragana}\p{Katakana}\u3001-\u303f\uff01-\uff65]--\p{M}]"
_PARTING = regex.compile(
    r"(?rV1)(?=[!-~])"  # nothing before an ASCII character depends on it, nor it on that
    r"|(?<=[ \n])(?=[[\p{L}\p{N}\p{P}\p{S}]--[\ufffc\ufffd]])"
    rf"|(?<={_WIDE})(?={_WIDE})"
)
"""Where characters on both sides are normalised as if they were alone; the last one there is."""
_NEWLINES = regex.compile(r"\n+")
_MARKER_CHARS = 5
"""Of a line that show whether it is the item of a list: `12. x`."""


class NormalStream:
    """Takes a text in pieces. All that feed and close give, joined, is normalise() of the text."""

    def __init__(self) -> None:
        self._raw = ""
        self._lines = ""
        self._begun = False
        self._last = ""
        self._head = ""
        self._listed = False

    def feed(self, chunk: str) -> str:
        """What is certain now of the normal form, and was not before."""
        self._raw += chunk
        parting = _PARTING.search(self._raw)
        if parting is None or parting.start() == 0:
            return ""
        known, self._raw = self._raw[: parting.start()], self._raw[parting.start() :]
        self._lines += clean(known)
        return self._unfolded(over=False)

    def close(self) -> str:
        """The rest: nothing more is fed."""
        self._lines = (self._lines + clean(self._raw)).rstrip()
        self._raw = ""
        return self._unfolded(over=True)

    def _unfolded(self, *, over: bool) -> str:
        """Lines joined to paragraphs, up to a line end of which it is not known yet what it is."""
        lines, given = self._lines, []
        if not self._begun:
            lines = lines.lstrip()
            self._begun = bool(lines)
        while (end := _NEWLINES.search(lines)) is not None:
            given.append(self._said(lines[: end.start()]))
            lines = lines[end.start() :]
            between = self._between(len(end[0]), lines[len(end[0]) :], over=over)
            if between is None:
                break
            given.append(between)
            if between == "\n\n" and len(end[0]) > 1:
                self._head, self._listed = "", False
            lines = lines[len(end[0]) :]
        else:
            given.append(self._said(lines))
            lines = ""
        self._lines = lines
        return "".join(given)

    def _said(self, text: str) -> str:
        self._last = text[-1:] or self._last
        self._head = (self._head + text[:_MARKER_CHARS])[:_MARKER_CHARS]
        return text

    def _between(self, newlines: int, after: str, *, over: bool) -> str | None:
        """What stands between two lines in place of line ends. None: what comes after them decides it."""
        if newlines > 1:
            return "\n\n"
        item = _is_item(after, over=over)
        if item and not (self._listed or LIST_ITEM.match(self._head)):
            item = _has_item(after, over=over)  # one item alone is none
        if item is None:
            return None
        self._listed |= item
        if item:
            return "\n\n"
        return "" if WRAPPED_CJK.search(f"{self._last}\n{after[:1]}") else " "


def _is_item(line: str, *, over: bool) -> bool | None:
    """Whether a line begins as the item of a list. None: too little of it is known."""
    if LIST_ITEM.match(line):
        return True
    return False if over or len(line) >= _MARKER_CHARS or "\n" in line else None


def _has_item(lines: str, *, over: bool) -> bool | None:
    """Whether a line after the first is an item, too, of this paragraph. None: that is not known yet."""
    for end in _NEWLINES.finditer(lines):
        item = len(end[0]) == 1 and _is_item(lines[end.end() :], over=over)
        if item is not False or len(end[0]) > 1:
            return item
    return False if over else None
