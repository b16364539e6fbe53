"""What a cast by the tone engine must contain, unit by unit: it is deterministic, so a reader can be checked."""

from __future__ import annotations

import threading

from contracts import text
from workers.engine import UnitRequest
from workers.tts.render import build

LANGUAGE = "en-US"


def units_of(story: str) -> list[str]:
    """The units a front makes of this text."""
    return text.split_units(text.normalise(story), LANGUAGE)


def tone_bodies(story: str) -> list[bytes]:
    """The body of every unit's record, rendered here and now without any pace."""
    engine = build({"engine": "tone", "slots": 1, "device": "cpu", "model_dir": "", "tone_xrt": None})
    engine.load()
    recipe = {"voice": "tone", "language": LANGUAGE, "speed": 1.0}
    never = threading.Event()
    requests = (UnitRequest(n, unit, recipe, alone=True) for n, unit in enumerate(units_of(story)))
    return [engine.render(request, never).body for request in requests]
