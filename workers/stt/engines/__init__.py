"""Hearing engines, one file each; a file is imported when its engine is asked for, and its model library with it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from contracts.errors import Misconfigured
from workers.stt.hearing import HearingEngine


def _faster_whisper(options: Mapping[str, Any]) -> HearingEngine:
    from workers.stt.engines.faster_whisper import FasterWhisper  # noqa: PLC0415

    return FasterWhisper(
        Path(options["model_dir"]), device=options["device"], compute_type=options["compute_type"],
        slots=options["slots"], threads=options["threads"], beam=options["beam"], turn=Path(options["turn_model"]),
    )  # fmt: skip


def _echo(options: Mapping[str, Any]) -> HearingEngine:
    from workers.stt.engines.echo import Echo  # noqa: PLC0415

    xrt = options.get("echo_xrt")
    return Echo(math.inf if xrt is None else float(xrt), options.get("echo_poison", ""))


_ENGINES: dict[str, Callable[[Mapping[str, Any]], HearingEngine]] = {
    "faster-whisper": _faster_whisper,
    "echo": _echo,
}


def make_engine(name: str, options: Mapping[str, Any]) -> HearingEngine:
    """An engine, not loaded yet. options: as HearingSettings.options; each engine takes what it knows.

    Raises Misconfigured for a name nobody has.
    """
    maker = _ENGINES.get(name)
    if maker is None:
        raise Misconfigured(f"There is no hearing engine {name!r}; known: {', '.join(_ENGINES)}.")
    return maker(options)
