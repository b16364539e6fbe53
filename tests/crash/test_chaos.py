"""The chaos run, small: every kind of fault once or a few times. `python -m load_tests.chaos` is the long one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from load_tests.chaos.plan import Plan, chaos
from load_tests.services import RabbitServer, RedisServer

PLAN = Plan(
    workers=6, fronts=2, redis=2, broker=1, network=4, frozen=30, poison=5, fleet=3, send_timeout_s=3.0
)  # fmt: skip


@pytest.mark.timeout(300)
def test_nothing_is_lost_doubled_or_misplaced(
    tmp_path: Path, mortal_redis: RedisServer, mortal_rabbitmq: RabbitServer
) -> None:
    report = asyncio.run(chaos(PLAN, mortal_redis, mortal_rabbitmq, tmp_path))
    text = report.text()
    print(text)  # noqa: T201  pytest shows it where the test fails
    assert report.total.good, text
    assert all(phase.acknowledged == len(phase.casts) > 0 for phase in report.phases), text
    assert sum(phase.faults["worker"] for phase in report.phases) == PLAN.workers
    assert report.poison is not None
    assert (report.poison.dead_letters, report.poison.skips) == (PLAN.poison, PLAN.poison), text
    assert report.frozen is not None
    assert report.frozen.uncut == 0, text
    assert report.frozen.cut_s < PLAN.send_timeout_s + 5, text
    assert report.consumers_back_s, text
    assert max(report.consumers_back_s) < 10, text
    assert report.fell == [], text
    assert set(report.answers) <= {"200", "201", "503", "ConnectError", "ReadError", "RemoteProtocolError"}, text
