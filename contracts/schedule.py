"""The rule by which the next unit of the whole fleet is chosen; the adapters tell it in Lua and in SQL.

A cast's unit n is wanted at  anchor + late + shift + before(n):

    anchor  when its soonest listener was (or is) at 0 ms of its audio, and not before its first unit was there;
            with no listener, quiet_ms after it was posted
    late    how much playback has stood still, waiting for us: a listener's clock stops with the sound
    shift   real durations minus estimated ones, of the units that are done
    before  estimated audio of the units before n

A worker takes, in this order:

    1. the started cast wanted soonest, if that is within protect_ms: what people hear does not stop;
    2. a waiting cast, of the client with the fewest running casts, if the fleet can carry one more;
    3. the started cast wanted soonest: build lead.

The fleet can carry one more if the started casts and the new one are at most `share` of its measured speed; or if all
of them have hand_ms in hand and, within each of the horizons, the audio all of them will want in it is at most that
share of what the fleet makes in it. (A count alone refuses casts the fleet could carry; lead alone admits more long
casts than the fleet can carry to their end.)

Waiting casts nobody listens to are started when nothing else is pending. A worker that is slower than others of the
fleet leaves a unit alone that it would finish too late and a faster one sooner, and takes a later one of the cast.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rule:
    """The numbers of the rule. Figures of other choices: docs/design.md."""

    protect_ms: float = 8_000
    """About twice the longest unit: how long the unit in work may keep a worker from the one that is wanted."""
    hand_ms: float = 12_000
    share: float = 0.8
    """Of the fleet's measured speed; the rest is for estimates that are wrong and units that are tried twice."""
    horizons_ms: tuple[int, ...] = (30_000, 60_000, 120_000, 300_000, 600_000)
    quiet_ms: int = 24 * 3_600_000
    """Casts nobody listens to are due so much later: behind everything heard, yet never starved."""
    grace_ms: int = 15_000
    """A live cast counts as heard for so long after its POST: its listener is about to come."""
    restart: bool = True
    """Whether playback that stood still moves what comes after it (`late`)."""


RULE = Rule()
CAST_BY_CAST = Rule(protect_ms=math.inf, hand_ms=math.inf, share=0.0)
"""First come, first served: for comparison."""
EARLIEST_DEADLINE = Rule(protect_ms=0, hand_ms=-math.inf, share=math.inf, restart=False)
"""Plain earliest deadline first: for comparison."""
