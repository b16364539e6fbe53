"""Deterministic simulation of the protocol: real front, worker shells and scripts, on virtual time.

    python -m load_tests.simulate [--seeds 200] [--first 0] [--store redis|sqlite|both] [--jobs 1]
    python -m load_tests.simulate --mutants [--seeds 200]
    python -m load_tests.simulate --seed 42 --store redis [--trace]

Each seed is a world of its own: casts, clients, readers, fronts and workers, and faults at the boundaries of their
steps. Processes die or stand still before or after any call of the store, answers are lost and calls sent twice,
tickets are lost or tripled, store and broker restart, casts expire while they are made, clocks are minutes off. The
code is the real one (producer_api, workers.shell, the Lua in fakeredis, the SQL in sqlite3); only time, the broker and
the engine are stand-ins. Afterwards every log and every reader is compared by content. Then every mutant of the scripts
must be caught. Exit status 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import logging
import sys
import time

from load_tests.simulate.plan import STORES, Kind
from load_tests.simulate.report import Report, mutants_table, one_seed


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--store", choices=(*STORES, "both"), default="both")
    parser.add_argument("--jobs", type=int, default=1, help="processes to run them in")
    parser.add_argument("--mutants", action="store_true", help="the mutants alone, each on at most so many seeds")
    parser.add_argument("--seed", type=int, help="one seed: its verdict and the hash of its trace")
    parser.add_argument("--trace", action="store_true", help="with --seed: every step")
    options = parser.parse_args()
    logging.disable(logging.CRITICAL)  # what goes wrong here is meant to
    stores: tuple[Kind, ...] = STORES if options.store == "both" else (options.store,)
    if options.seed is not None:
        verdicts = [one_seed(options.seed, store, trace=options.trace) for store in stores]
        sys.exit(0 if all(verdicts) else 1)
    good = True
    began = time.perf_counter()
    if not options.mutants:
        report = Report.of(range(options.first, options.first + options.seeds), stores, options.jobs)
        print(report.text(time.perf_counter() - began))
        good = report.good
    table, caught = mutants_table(stores, options.seeds if options.mutants else MOST_SEEDS, options.jobs)
    print(table)
    sys.exit(0 if good and caught else 1)


MOST_SEEDS = 200
"""A mutant that so many seeds do not catch has survived."""

if __name__ == "__main__":
    main()
