"""Which upstream is asked next: order, weight, free places, and who has failed lately."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence

from workers.llm_proxy.config import Route
from workers.llm_proxy.failures import UpstreamFailed

BACKOFF_S = (0.5, 8.0)
"""First and longest pause between rounds; a random half of it is left out."""
LONGEST_RETRY_AFTER_S = 30.0
"""A client waits: an upstream that asks for more is asked again earlier."""

Clock = Callable[[], float]


class Health:
    """Whether an upstream can be trusted: it goes last for cooldown_s after a failure, twice as long each time."""

    def __init__(self, cooldown_s: float, longest_s: float, clock: Clock = time.monotonic) -> None:
        self._cooldown_s, self._longest_s, self._clock = cooldown_s, longest_s, clock
        self._failures = 0
        self._failed_at = self._until = float("-inf")

    def now(self) -> float:
        """Seconds, of the clock that `failed` is told in."""
        return self._clock()

    def failed(self, asked_at: float, retry_after_s: float) -> None:
        """A request made at asked_at failed. Those that were under way together have failed once."""
        now = self._clock()
        if asked_at > self._failed_at:
            self._failures += 1
        self._failed_at = now
        pause_s = self._cooldown_s * 2.0 ** min(self._failures - 1, 30)
        self._until = max(self._until, now + min(max(pause_s, retry_after_s), self._longest_s))

    def answered(self) -> None:
        """It works."""
        self._failures, self._until = 0, float("-inf")

    @property
    def cooldown_s(self) -> float:
        """How much longer it goes last; 0: it does not."""
        return max(0.0, self._until - self._clock())


class Router:
    """Hands out places at upstreams. parallel, health: by name of the upstream."""

    def __init__(
        self, parallel: Mapping[str, int], health: Mapping[str, Health], chance: random.Random | None = None
    ) -> None:
        self._free = dict(parallel)
        self._health = health
        self._chance = chance or random.Random()  # noqa: S311  shares, not secrets
        self._freed = asyncio.Event()

    @contextlib.asynccontextmanager
    async def place(self, routes: Sequence[Route]) -> AsyncIterator[Route]:
        """The best of the routes, and a place at its upstream for as long as the block runs."""
        while (route := self._pick(routes)) is None:
            await self._freed.wait()
        self._free[route.upstream] -= 1
        try:
            yield route
        finally:
            self._free[route.upstream] += 1
            self._freed.set()  # whoever waits looks again
            self._freed = asyncio.Event()

    def _pick(self, routes: Sequence[Route]) -> Route | None:
        """None: those whose turn it is have no place. Later orders are for failures, not for load: they may cost."""
        best = min(self._rank(route) for route in routes)
        free = [route for route in routes if self._rank(route) == best and self._free[route.upstream] > 0]
        return self._chance.choices(free, [route.weight for route in free])[0] if free else None

    def _rank(self, route: Route) -> tuple[bool, int]:
        return self._health[route.upstream].cooldown_s > 0, route.order


class Rounds:
    """What one completion may still try: each route once per round, `retries` rounds more."""

    def __init__(self, routes: Sequence[Route], retries: int, chance: random.Random | None = None) -> None:
        self._routes = list(routes)
        self._left = list(routes)
        self._round: list[UpstreamFailed] = []
        self._retries, self._spent = retries, 0
        self._chance = chance or random.Random()  # noqa: S311  jitter
        self.said: dict[str, str] = {}
        """Upstream -> the last it said."""

    @property
    def routes(self) -> Sequence[Route]:
        """To be tried now; empty: that was it."""
        return self._left if self._spent <= self._retries else ()

    def failed(self, route: Route, failure: UpstreamFailed, *, begun: bool) -> float:
        """Take note; seconds to wait before the next try. begun: it had written something, so it counts as a retry."""
        self.said[route.upstream] = failure.said
        self._round.append(failure)
        self._left.remove(route)
        if failure.standing:
            self._routes.remove(route)
        self._spent += int(begun or not self._left)
        if self._left or not self._routes:
            return 0.0
        asked_s = min(known.retry_after_s for known in self._round)
        self._left, self._round = list(self._routes), []
        first_s, longest_s = BACKOFF_S
        pause_s = min(longest_s, first_s * 2.0 ** (self._spent - 1)) * self._chance.uniform(0.5, 1.0)
        return max(pause_s, min(asked_s, LONGEST_RETRY_AFTER_S)) if self.routes else 0.0
