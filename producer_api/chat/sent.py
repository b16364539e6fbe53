"""What one client has been sent of a completion, so that another attempt can go on where the last one was lost.

Another attempt begins anew. As long as it repeats what was sent, nothing of it is sent again; what it has more goes on
seamlessly. Chunks need not be cut alike. Names of things (ids of tool calls) may differ: the client goes on with those
it knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from producer_api.chat.chunks import Chunk
from producer_api.chat.merge import LABELS

_Place = tuple[str | int, ...]
"""Where in a choice a value stands: ("delta", "tool_calls", 0, "function", "arguments")."""


class Differs(Exception):
    """The new attempt says something else than was sent."""


class _Run:
    """Text that was sent for one place without another between, or one value that is no text."""

    def __init__(self, place: _Place, value: object) -> None:
        self.place = place
        self._value = value
        self._more: list[str] = []

    @property
    def value(self) -> object:
        """All of it."""
        if self._more and isinstance(self._value, str):
            self._value += "".join(self._more)
            self._more.clear()
        return self._value

    def goes_on(self, place: _Place, more: object) -> bool:
        """Whether this was more of it."""
        if place != self.place or not isinstance(more, str) or not isinstance(self._value, str):
            return False
        self._more.append(more)
        return True


class _Track:
    """What was sent of one choice, in order; and how far the attempt of the moment has repeated it."""

    def __init__(self) -> None:
        self._runs: list[_Run] = []
        self._at = 0
        self._into = 0
        """Characters of the run at _at."""

    def rewind(self) -> None:
        self._at = self._into = 0

    @property
    def repeated(self) -> bool:
        return self._at == len(self._runs)

    def rest(self, place: _Place, value: object) -> object:
        """What of a value has not been sent, None if all of it was; it counts as sent now. Raises Differs."""
        while not self.repeated:
            run = self._runs[self._at]
            if run.place != place:
                raise Differs
            whole = run.value
            if not isinstance(value, str) or not isinstance(whole, str):
                if value != whole:
                    raise Differs
                self._at += 1
                return None
            known = whole[self._into : self._into + len(value)]
            if not value.startswith(known):
                raise Differs
            self._into += len(known)
            value = value[len(known) :]
            if self._into == len(whole):
                self._at, self._into = self._at + 1, 0
            if not value:
                return None
        if not self._runs or not self._runs[-1].goes_on(place, value):
            self._runs.append(_Run(place, value))
        self._at = len(self._runs)
        return value


class Sent:
    """Of one client."""

    def __init__(self) -> None:
        self._tracks: dict[int, _Track] = {}
        self._usage = False
        self._again = False

    def restart(self) -> None:
        """Another attempt begins."""
        self._again = bool(self._tracks)
        for track in self._tracks.values():
            track.rewind()

    def end(self) -> None:
        """The attempt has ended well. Raises Differs if it has said less than was sent."""
        if not all(track.repeated for track in self._tracks.values()):
            raise Differs

    def unsent(self, chunk: Chunk) -> Chunk | None:
        """What of a chunk is to be sent; None: nothing. Raises Differs."""
        choices = chunk.get("choices") or []
        rests = [rest for choice in choices if (rest := self._choice(choice)) is not None]
        counted, self._usage = self._usage, self._usage or bool(chunk.get("usage"))
        if not self._again:
            return chunk
        if choices:
            return {**chunk, "choices": rests} if rests else None
        return None if counted else chunk

    def _choice(self, choice: Mapping[str, Any]) -> dict[str, Any] | None:
        """What of a choice is to be sent; a choice that was not begun is sent as it is."""
        index = choice.get("index", 0)
        begun = index in self._tracks
        track = self._tracks.setdefault(index, _Track())
        delta, cut = _rest(choice.get("delta") or {}, ("delta",), track)
        reason = choice.get("finish_reason")
        reason = reason if reason is None else track.rest(("finish_reason",), reason)
        if not begun:
            return dict(choice)
        if delta is None and reason is None:
            return None
        delta = {name: value for name, value in (delta or {}).items() if name != "role"}
        rest = {**choice, "delta": delta, "finish_reason": reason}
        if cut and rest.get("logprobs"):
            rest["logprobs"] = _of_the_rest(rest["logprobs"], choice["delta"].get("content"), delta.get("content"))
        return rest


def _rest(value: object, place: _Place, track: _Track) -> tuple[Any, bool]:
    """(what has not been sent of a value, or None; whether some of it was). Raises Differs."""
    if isinstance(value, dict):
        return _rest_of_object(value, place, track)
    if isinstance(value, list):
        parts = [_rest(item, (*place, item.get("index", "-") if isinstance(item, dict) else "-"), track)
                 for item in value]  # fmt: skip
        left = [part for part, _ in parts if part is not None]
        return left or None, any(cut for _, cut in parts)
    rest = track.rest(place, value)
    return rest, rest != value


def _rest_of_object(value: Mapping[str, Any], place: _Place, track: _Track) -> tuple[dict[str, Any] | None, bool]:
    rest: dict[str, Any] = {}
    any_cut = False
    for name, item in sorted(value.items(), key=_arguments_last):
        if name in LABELS or item is None or item == "":
            continue
        left, cut = _rest(item, (*place, name), track)
        any_cut = any_cut or cut
        if left is not None:
            rest[name] = left
    if not rest:
        return None, any_cut
    kept = {"index"} if any_cut else set(value)
    return {name: rest.get(name, value[name]) for name in value if name in rest or name in kept}, any_cut


def _arguments_last(member: tuple[str, object]) -> bool:
    """A function's name comes before them, also where one chunk has both in another order."""
    return member[0] == "arguments"


def _of_the_rest(logprobs: Mapping[str, Any], whole: str | None, rest: str | None) -> dict[str, Any]:
    """Without those of the tokens that were sent."""
    sent = len(whole or "") - len(rest or "")
    tokens = list(logprobs.get("content") or ())
    while tokens and sent >= len(tokens[0].get("token", "")) > 0:
        sent -= len(tokens.pop(0)["token"])
    return {**logprobs, "content": tokens}
