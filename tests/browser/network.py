"""The network between browser and front, which the test can take away."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from load_tests.chaos.proxy import Proxy


class Network:
    """A proxy before a front, in a thread of its own: the browser goes by `url`, the test by `direct`."""

    def __init__(self, proxy: Proxy, upstream_port: int, loop: asyncio.AbstractEventLoop) -> None:
        self._proxy = proxy
        self._loop = loop
        self.url = f"http://127.0.0.1:{proxy.port}"
        self.direct = f"http://127.0.0.1:{upstream_port}"

    def take_away(self) -> int:
        """Cut every connection, and let nothing through. How many sockets."""

        async def cut() -> int:
            self._proxy.hole()
            return self._proxy.reset_all()

        return asyncio.run_coroutine_threadsafe(cut(), self._loop).result()

    @contextmanager
    def taken_away(self) -> Iterator[int]:
        """No network for as long as the block runs; how many sockets were cut."""
        try:
            yield self.take_away()
        finally:
            self.give_back()

    def give_back(self) -> None:
        """Let everything through."""
        self._loop.call_soon_threadsafe(self._proxy.mend)


@contextmanager
def network(upstream_port: int) -> Iterator[Network]:
    """A network before this port of the loopback."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    proxy = asyncio.run_coroutine_threadsafe(Proxy(upstream_port, random.Random(1)).start(), loop).result()
    try:
        yield Network(proxy, upstream_port, loop)
    finally:
        asyncio.run_coroutine_threadsafe(proxy.close(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
