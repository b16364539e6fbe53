"""The tone of voice of a piece: what can hear it. Off unless CASTLINE_STT_TONE says what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from workers.stt.hearing import Samples
from workers.stt.prosody import ProsodyEar


class ToneEar(Protocol):
    """Called from several threads at once."""

    def load(self) -> None:
        """Load everything. Raises ModelMissing or Misconfigured with a line that says what to do."""
        ...

    def hear(self, samples: Samples) -> tuple[str, float] | None:
        """(label, score from 0 to 1) of one piece; None where it is not sure."""
        ...


def make_tone(setting: str) -> ToneEar | None:
    """None for "", the prosody of this package for "prosody", else the ONNX file of this path. Not loaded yet."""
    match setting:
        case "":
            return None
        case "prosody":
            return ProsodyEar()
    from workers.stt.engines.tone_onnx import OnnxEar  # noqa: PLC0415  an extra

    return OnnxEar(Path(setting))
