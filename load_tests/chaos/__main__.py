"""Real processes under faults, and what became of every cast.

    python -m load_tests.chaos [--workers 20] [--fronts 5] [--redis 5] [--broker 2] [--network 6] [--frozen 30]
                               [--poison 5] [--fleet 4] [--seed 1]

The first four are SIGKILLs: three quarters of them one kind after the other, a quarter all at once with faults of the
network, on a redis-server (appendfsync always) and a RabbitMQ node of its own. Casts are posted throughout, each
followed by a reader that resumes whatever breaks; afterwards every record is compared with what the deterministic tone
engine makes of its unit, and with what a fresh reader sees. Exit status 1 if anything was lost, doubled or misplaced.

Recovery is measured per killed worker: what it held is read from Redis around the SIGKILL, and the clock stops when the
unit's record is at the reader, as another worker made it.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import sys
import tempfile
from pathlib import Path

from load_tests.chaos.plan import Plan, chaos
from load_tests.services import own_rabbitmq, own_redis


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for option in dataclasses.fields(Plan):
        parser.add_argument(f"--{option.name.replace('_', '-')}", type=type(option.default), default=option.default)
    plan = Plan(**vars(parser.parse_args()))
    with own_redis() as redis, own_rabbitmq() as rabbit, tempfile.TemporaryDirectory() as directory:
        report = asyncio.run(chaos(plan, redis, rabbit, Path(directory)))
    sys.stdout.write(report.text())
    sys.exit(0 if report.good else 1)


if __name__ == "__main__":
    main()
