"""Virtual time: an event loop that never waits, and clocks and chances that are the seed's alone.

The code under simulation is the real one, so it asks `time` and `secrets`. For the length of a run these answer with
the virtual clock: inside a call of the store with the server's, elsewhere with the process's own, which may be minutes
off and must not matter.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Executor
from contextvars import ContextVar
from typing import Any, TypeVar
from unittest import mock

T = TypeVar("T")

START_S = 1_700_000_000.0
"""What the server's clock says when a run begins, seconds since 1970."""

skew_s: ContextVar[float] = ContextVar("skew_s", default=0.0)
"""How far the clock of the process that runs just now is off; 0 inside the store."""


class Stuck(RuntimeError):
    """Nothing is scheduled, so that nothing can ever happen again."""


class _Skip:
    """Takes the selector's place: instead of waiting, it moves the clock."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise Stuck("every task waits for another")
        self._loop.now += timeout
        return []

    def close(self) -> None:
        """It holds nothing."""


class VirtualLoop(asyncio.base_events.BaseEventLoop):
    """An event loop on virtual time, without input, output or threads. now: virtual seconds since it was made."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self._selector = _Skip(self)

    def time(self) -> float:
        """Virtual seconds."""
        return self.now

    def run_in_executor(  # type: ignore[override]  # a done future in place of one that will be
        self, executor: Executor | None, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """At once, and here: a thread would run in its own time."""
        del executor
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as exc:  # noqa: BLE001  it is for whoever awaits it
            future.set_exception(exc)
        return future

    def _process_events(self, event_list: list[object]) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps."""


@contextlib.contextmanager
def _sealed(loop: VirtualLoop, seed: str) -> Iterator[None]:
    chances = random.Random(seed)

    def wall() -> float:
        return START_S + loop.now + skew_s.get()

    with contextlib.ExitStack() as stack:
        for name, stand_in in (
            ("time.time", wall),
            ("time.time_ns", lambda: round(wall() * 1e9)),
            ("time.monotonic", loop.time),
            ("secrets.token_hex", lambda n: chances.randbytes(n).hex()),
            ("os.urandom", chances.randbytes),
        ):
            stack.enter_context(mock.patch(name, stand_in))
        yield


def run(main: Callable[[], Coroutine[Any, Any, T]], seed: str) -> T:
    """The result of main() on a virtual loop of its own. The same seed gives the same clocks and chances."""
    loop = VirtualLoop()
    with _sealed(loop, seed), asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main())
