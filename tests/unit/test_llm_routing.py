"""Order, weights, places, cooldown and rounds, on a clock of our own."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from dataclasses import dataclass

from workers.llm_proxy.config import Route
from workers.llm_proxy.failures import UpstreamFailed, of_status
from workers.llm_proxy.routing import LONGEST_RETRY_AFTER_S, Health, Rounds, Router

A, B, C = Route("a", "m", 0), Route("b", "m", 0, weight=3.0), Route("c", "m", 1)
DIED = UpstreamFailed("died", "the stream broke off")


@dataclass
class Clock:
    now: float = 100.0

    def __call__(self) -> float:
        return self.now


def router(parallel: int = 1000) -> tuple[Router, dict[str, Health], Clock]:
    clock = Clock()
    health = {name: Health(5.0, 60.0, clock) for name in "abc"}
    return Router(dict.fromkeys("abc", parallel), health, random.Random(7)), health, clock


async def picked(router: Router, routes: list[Route], times: int = 400) -> Counter[str]:
    found: Counter[str] = Counter()
    for _ in range(times):
        async with router.place(routes) as route:
            found[route.upstream] += 1
    return found


async def test_equal_orders_share_by_weight_and_later_ones_wait_for_failures() -> None:
    r, _, _ = router()
    found = await picked(r, [C, A, B])
    assert found["c"] == 0
    assert 2.2 < found["b"] / found["a"] < 4.2


async def test_an_upstream_in_cooldown_goes_last_until_it_is_over_or_it_answers() -> None:
    r, health, clock = router()
    health["a"].failed(clock.now, 0)
    assert await picked(r, [A, C], 3) == {"c": 3}
    assert await picked(r, [A], 3) == {"a": 3}, "there is no other"
    health["c"].failed(clock.now, 0)
    assert await picked(r, [A, C], 3) == {"a": 3}, "both are: order counts again"
    clock.now += 5.1
    assert await picked(r, [A, C], 3) == {"a": 3}
    health["a"].failed(clock.now, 0)
    health["a"].answered()
    assert await picked(r, [A, C], 3) == {"a": 3}


def test_cooldown_doubles_up_to_its_bound_and_heeds_retry_after_within_it() -> None:
    clock = Clock()
    health = Health(5.0, 60.0, clock)
    waits = []
    for _ in range(6):
        health.failed(clock.now, 0)
        waits.append(health.cooldown_s)
        clock.now += health.cooldown_s + 1
    assert waits == [5, 10, 20, 40, 60, 60]
    health.answered()
    health.failed(clock.now, 30)
    assert health.cooldown_s == 30
    health.failed(clock.now + 1, 3600)
    assert health.cooldown_s == 60


def test_requests_that_fail_together_are_one_failure() -> None:
    clock = Clock()
    health = Health(5.0, 60.0, clock)
    asked = clock.now
    clock.now += 1
    for _ in range(4):
        health.failed(asked, 0)
    assert health.cooldown_s == 5


async def test_a_place_is_waited_for_though_a_later_order_has_one() -> None:
    r, _, _ = router(parallel=1)
    async with contextlib.AsyncExitStack() as held:
        taken = [await held.enter_async_context(r.place([A, B, C])) for _ in range(2)]
        assert {route.upstream for route in taken} == {"a", "b"}, "the one that is free, whatever its weight"
        waiting = asyncio.create_task(picked(r, [A, B, C], 1))
        await asyncio.wait([waiting], timeout=0.01)
        assert not waiting.done()
    assert (await waiting)["c"] == 0


async def test_who_waits_for_a_place_goes_elsewhere_when_that_upstream_fails() -> None:
    r, health, clock = router(parallel=1)
    async with r.place([A, C]):
        waiting = asyncio.create_task(picked(r, [A, C], 1))
        await asyncio.wait([waiting], timeout=0.01)
        health["a"].failed(clock.now, 0)
    assert await waiting == {"c": 1}


def test_each_route_is_tried_once_a_round_and_retries_are_further_rounds() -> None:
    rounds = Rounds([A, C], retries=2)
    tried, pauses = [], []
    while routes := rounds.routes:
        tried.append(routes[0].upstream)
        pauses.append(rounds.failed(routes[0], DIED, begun=False))
    assert tried == ["a", "c"] * 3
    assert [pause > 0 for pause in pauses] == [False, True] * 2 + [False, False]
    assert 0.25 <= pauses[1] <= 0.5 <= pauses[3] <= 1.0
    assert rounds.said == {"a": "the stream broke off", "c": "the stream broke off"}


def test_a_death_mid_stream_is_a_retry_also_where_there_is_one_route() -> None:
    for routes, expected in (([A], ["a", "a", "a"]), ([A, C], ["a", "c", "a"])):
        rounds, tried = Rounds(routes, retries=2), []
        while left := rounds.routes:
            tried.append(left[0].upstream)
            rounds.failed(left[0], DIED, begun=True)
        assert tried == expected


def test_who_does_not_know_the_model_is_not_asked_again() -> None:
    rounds, tried = Rounds([A, C], retries=1), []
    while left := rounds.routes:
        tried.append(left[0].upstream)
        rounds.failed(left[0], of_status(404, "", 0) if left[0] is A else DIED, begun=False)
    assert tried == ["a", "c", "c"]
    rounds = Rounds([A], retries=9)
    assert rounds.failed(A, of_status(401, "", 0), begun=False) == 0
    assert not rounds.routes


def test_a_round_begins_when_the_first_upstream_allows_it() -> None:
    rounds = Rounds([A, C], retries=5)
    rounds.failed(A, of_status(429, "", 9), begun=False)
    assert rounds.failed(C, of_status(503, "", 7), begun=False) == 7
    rounds.failed(A, of_status(429, "", 900), begun=False)
    assert rounds.failed(C, of_status(503, "", 800), begun=False) == LONGEST_RETRY_AFTER_S
    rounds.failed(A, of_status(429, "", 9), begun=False)
    assert rounds.failed(C, DIED, begun=False) <= 2
