"""A page that plays half an hour of speech stays small."""

from __future__ import annotations

import psutil
import pytest
from browser.bidi import Page
from browser.fakecast import RATE
from browser.fakefront import FakeFront
from browser.listening import PLAYER, open_cast, report

BOUND_MB = 300
UNIT_S = 6
UNITS = 300
"""Half an hour."""
STOPS = 30


def largest_mb(others: frozenset[int]) -> float:
    """MB of the largest process that renders pages for us, resident, as the system counts it (with its share of
    libraries: more than the page has). Both browsers keep decoded audio there, which heap figures leave out.

    others: processes that are not of this browser.
    """
    renderers = [
        process
        for process in psutil.Process().children(recursive=True)
        if process.pid not in others
        and (line := " ".join(process.cmdline()))
        and ("--type=renderer" in line or line.endswith(" tab"))
    ]
    return max(process.memory_info().rss for process in renderers) / 2**20


@pytest.mark.timeout(300)
def test_half_an_hour_stays_under_300_mb(fresh_page: tuple[Page, frozenset[int]], front: FakeFront) -> None:
    page, others = fresh_page
    page.goto(front.url)
    before = largest_mb(others)
    cast = front.cast(units=UNITS)
    cast.speak(UNITS, samples=UNIT_S * RATE, words=True)
    cast.end()
    open_cast(page, front, cast)
    page.click("#play")
    sizes = [before]
    for stop in range(STOPS):
        at = stop * UNITS * UNIT_S / STOPS
        page.evaluate(f"{PLAYER}.seek({at})")
        page.wait_for(f"{PLAYER}.state === 'playing' && {PLAYER}.currentTime > {at + 0.3}")
        page.wait_for(f"{PLAYER}.unitAt({at + 24}) === null || {PLAYER}.unitAt({at + 24}).buffer")
        sizes.append(largest_mb(others))
    report(f"largest renderer: {before:.0f} MB before, {max(sizes):.0f} MB at most, {sizes[-1]:.0f} MB at the end")
    assert page.evaluate(f"{PLAYER}.duration") == pytest.approx(UNITS * UNIT_S)
    assert max(sizes) < BOUND_MB
