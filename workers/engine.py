"""What an engine is: the thing that turns a unit into a record. It lives in a child process of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from contracts.jobs import PieceOrder
from contracts.ports import Output


@dataclass(frozen=True, slots=True)
class EngineInfo:
    """What an engine says of itself once it is loaded.

    voices: what it can be asked for, see WorkerInfo; slots: units it can render at once; probe_xrt: real-time factor of
    one slot on the fixed probe.
    """

    name: str
    model: str
    device_asked: str
    device_active: str
    voices: tuple[str, ...]
    slots: int
    probe_xrt: float


@dataclass(frozen=True, slots=True)
class UnitRequest:
    """One unit to render.

    recipe: as in contracts.jobs; alone: it is to have the whole engine; body: what comes with it, as audio to hear.
    A unit that is not alone may be rendered beside others, at a lower speed and a higher total.
    """

    index: int
    text: str
    recipe: Mapping[str, Any]
    alone: bool
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Piece:
    """Audio cut from a longer recording, to be a unit of its own; start, end: ms in the recording."""

    start_ms: int
    end_ms: int
    language: str
    """BCP 47 tag, "" if unknown."""
    body: bytes
    """Encoded as the same engine's render takes it."""

    @property
    def text(self) -> str:
        """Of its unit."""
        return PieceOrder(start=self.start_ms, end=self.end_ms, language=self.language).model_dump_json()


class Engine(Protocol):
    """Called from several threads at once, at most `slots` of them."""

    def load(self) -> EngineInfo:
        """Load the model and try it. Raises ModelMissing or EngineError."""
        ...

    def render(self, request: UnitRequest, stop: threading.Event) -> Output:
        """Render a unit; give up soon after `stop` is set. Raises UnitFailed or EngineStopped."""
        ...


class Cutting(Protocol):
    """Pieces of one file, as they are cut. Raises BadAudio or EngineStopped."""

    duration_ms: int
    """Of the whole file, once it is through."""

    def __iter__(self) -> Iterator[Piece]:
        """Once."""
        ...


class CuttingEngine(Engine, Protocol):
    """An engine that can cut a recording into units."""

    def cut(self, path: Path, recipe: Mapping[str, Any], stop: threading.Event) -> Cutting:
        """Pieces of the file, in order; the same file gives the same pieces. Raises BadInput or EngineStopped."""
        ...
