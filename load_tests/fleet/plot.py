"""docs/fleet.svg: what each listener has in hand over time, under three rules, with too many listeners."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from contracts.adapters import Address
from contracts.schedule import CAST_BY_CAST, EARLIEST_DEADLINE, RULE

if TYPE_CHECKING:
    from load_tests.fleet.world import Heard

TIMES = 16.0
LOAD = 1.3
OUT = Path("docs/fleet.svg")


async def plot(address: Address, *, short: bool) -> None:
    """Draw it. Raises ImportError without matplotlib."""
    import matplotlib as mpl  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  (an extra)

    mpl.use("svg")
    from matplotlib import pyplot as plt  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415

    from load_tests.fleet.__main__ import JETSON, crowd, summary  # noqa: PLC0415

    rules = {"plain earliest deadline": EARLIEST_DEADLINE, "cast by cast": CAST_BY_CAST, "castline's rule": RULE}
    figure, axes = plt.subplots(len(rules), 1, figsize=(9, 8), sharex=True, sharey=True, layout="constrained")
    for axis, (name, rule) in zip(axes, rules.items(), strict=True):
        heard = await crowd(address, [JETSON] * 4, rule, LOAD * 4 * JETSON, 20 if short else 60, TIMES)
        start = min(h.posted for h in heard)
        for listener in heard:
            _draw(axis, listener, start)
        axis.set_title(f"{name}: {summary(heard, TIMES)}", fontsize=8)
        axis.axhline(0, color="black", linewidth=0.8)
        axis.set_ylabel("seconds in hand")
        sys.stdout.write(f"{name}: {summary(heard, TIMES)}\n")
    axes[-1].set_xlabel(f"seconds; 4 workers of 3 x, load {LOAD}; a red dot is a listener who hears silence")
    figure.savefig(OUT, metadata={"Creator": None, "Date": None})


def _draw(axis: Any, heard: Heard, start: float) -> None:  # noqa: ANN401  matplotlib may not be here
    """A saw tooth: up with each unit, down with the clock."""
    x: list[float] = []
    y: list[float] = []
    previous = None
    for at, lead in heard.lead:
        now = (at - start) * TIMES
        if previous is not None:
            left = previous[1] - (now - previous[0])
            x.append(now)
            y.append(max(left, 0.0))
            if left < 0:
                axis.plot([now], [0.0], "r.", markersize=4)
        x.append(now)
        y.append(lead * TIMES)
        previous = (now, lead * TIMES)
    axis.plot(x, y, linewidth=0.7, alpha=0.7)
