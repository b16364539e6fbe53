"""Readers that ask again and again instead of following, as players of HLS do: they hear a cast, too."""

from __future__ import annotations

import asyncio
import contextlib

from contracts.ports import LogStatus
from producer_api.follow.attention import Attention, Ear

GONE_S = 30.0
"""Nobody has asked for so long: nobody listens. Players ask at least every two target durations."""


class Glances:
    """On one front, all such readers of a cast are one ear, that plays from the beginning since the first one came."""

    def __init__(self, attention: Attention) -> None:
        self._attention = attention
        self._left: dict[str, tuple[contextlib.ExitStack, asyncio.TimerHandle]] = {}

    def asked(self, status: LogStatus) -> None:
        """Somebody has asked for what there is of this live log."""
        name = f"{status.job}:{status.epoch}"
        stack, timer = self._left.get(name, (None, None))
        if stack is None:
            stack = contextlib.ExitStack()
            stack.enter_context(self._attention.following(status, 0, Ear()))
        if timer is not None:
            timer.cancel()
        self._left[name] = (stack, asyncio.get_running_loop().call_later(GONE_S, self._leave, name))

    def _leave(self, name: str) -> None:
        stack, _ = self._left.pop(name)
        stack.close()
