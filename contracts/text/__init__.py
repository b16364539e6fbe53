"""Text to units: one normal form of a text, and the pieces of it that are spoken one by one.

    normal     one spelling for what sounds the same; what can be spoken at all
    sentences  where sentences end (sentencex), and where it does not know better
    clauses    long sentences in balanced parts below the engine's limit
    opening    the short first unit, since somebody waits for it
    units      the four in a row
    markup     pauses, and words with their sounds
    weight     how much there is to say in a text

    normal_stream, incremental   the same of a text that comes piece by piece

A change that makes other units or another normal form must raise NORMALISER_VERSION: it is part of a cast's id.
"""

from __future__ import annotations

from contracts.text.incremental import IncrementalSplitter
from contracts.text.markup import shown
from contracts.text.normal import normalise, speakable
from contracts.text.units import split_units
from contracts.text.weight import estimate_ms

__all__ = ["NORMALISER_VERSION", "IncrementalSplitter", "estimate_ms", "normalise", "shown", "speakable", "split_units"]

NORMALISER_VERSION: int = 4
