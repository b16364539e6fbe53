"""The simulation as CI runs it: 200 seeds on both stores, and every mutant of the scripts caught."""

from __future__ import annotations

import pytest

from load_tests.simulate.plan import STORES
from load_tests.simulate.report import Report, mutants_table

SEEDS = 200


@pytest.mark.timeout(600)
def test_nothing_is_lost_doubled_or_misplaced() -> None:
    report = Report.of(range(SEEDS), STORES, jobs=1)
    assert report.good, report.text(0)
    assert report.verdict.attempted == report.verdict.acknowledged > 2 * SEEDS


@pytest.mark.timeout(600)
def test_every_mutant_is_caught() -> None:
    table, caught = mutants_table(STORES, SEEDS, 1)
    assert caught, table
