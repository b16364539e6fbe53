"""One feed per followed log, shared by its readers. A reader is a cursor, not a queue: nobody waits for a slow one.

The feed keeps the last few MiB of records in memory; a reader that is further behind, or starts at 0, reads the log
itself at its own pace until it has caught up. Records are immutable, and so is what is framed from them.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Sequence

from contracts.errors import StoreUnavailable, UnknownLog
from contracts.ports import Bell, LogReader, LogStatus, Ring
from contracts.records import Record
from producer_api import metrics
from producer_api.follow.attention import Attention, Ear

logger = logging.getLogger(__name__)

TAIL_BYTES = 4 << 20
BEHIND_BYTES = 64 << 10
"""What a reader that is behind has in memory: the log is read in small round trips anyway, and it may be stuck."""
RUNS = 64
"""Runs of a live log, of about BEHIND_BYTES, that are kept for the readers that come after."""
RETRY_S = 0.2


async def read_run(reader: LogReader, job: str, epoch: str, at: int) -> Sequence[Record]:
    """Records from seq `at` on, a few of them; none if there is no more. Raises UnknownLog."""
    page = await reader.read(job, at, max_bytes=BEHIND_BYTES)
    if page is None or page.epoch != epoch:
        raise UnknownLog(job)
    return page.records


class _Feed:
    """The live edge of one log."""

    def __init__(self, reader: LogReader, job: str, epoch: str, next_seq: int) -> None:
        self._reader = reader
        self._job = job
        self.epoch = epoch
        self._tail: deque[Record] = deque()
        self._tail_bytes = 0
        self._next = next_seq
        self._runs: OrderedDict[int, Sequence[Record]] = OrderedDict()
        self._wake = asyncio.Event()
        self._grown: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.readers = 0
        self.gone = False
        self.closed = False
        self.pump = asyncio.create_task(self._pump())

    @property
    def next_seq(self) -> int:
        """Seq of the record that comes next."""
        return self._next

    def ring(self, news: Ring) -> None:
        """The log may have grown. A record that came along and is the next one needs no reading."""
        record = news.record
        if record is None or record.seq != self._next or news.epoch != self.epoch:
            self._wake.set()
            return
        self._keep(record)
        self._tell()

    def _tell(self) -> None:
        self._grown.set_result(None)
        self._grown = asyncio.get_running_loop().create_future()

    async def _pump(self) -> None:
        while not self.gone:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._read_on()
            except StoreUnavailable as exc:
                logger.warning("feed waits for the store", extra={"job": self._job, "error": str(exc)})
                await asyncio.sleep(RETRY_S)
                self._wake.set()

    async def _read_on(self) -> None:
        while True:
            page = await self._reader.read(self._job, self._next)
            if page is None or page.epoch != self.epoch:
                self.gone = True  # expired, or replaced by a new incarnation
            elif page.records:
                for record in page.records:
                    if record.seq == self._next:  # else a ring has brought it while the page was on its way
                        self._keep(record)
            else:
                return
            self._tell()
            if self.gone:
                return

    def _keep(self, record: Record) -> None:
        self._tail.append(record)
        self._next = record.seq + 1
        self.closed = record.terminal
        self._tail_bytes += len(record.body) + len(record.head)
        while self._tail_bytes > TAIL_BYTES and len(self._tail) > 1:
            old = self._tail.popleft()
            self._tail_bytes -= len(old.body) + len(old.head)

    def end(self) -> None:
        """There is a newer incarnation: nothing more comes of this one."""
        self.gone = True
        self._wake.set()
        self._tell()

    def since(self, seq: int) -> list[Record] | None:
        """Records from seq on that are in memory; None if the reader must read the log for them."""
        if seq >= self._next:
            return []
        if not self._tail or seq < self._tail[0].seq:
            return None
        return [r for r in self._tail if r.seq >= seq]

    async def behind(self, seq: int) -> Sequence[Record]:
        """A run from the log, for readers behind the tail: they come one after the other. Raises UnknownLog."""
        run = self._runs.get(seq)
        if run is None:
            run = self._runs[seq] = await read_run(self._reader, self._job, self.epoch, seq)
            while len(self._runs) > RUNS:
                self._runs.popitem(last=False)
        return run

    async def grown(self) -> None:
        """Wait for more than there is now."""
        await asyncio.shield(self._grown)


class Hub:
    """All feeds of one front process, woken by one bell."""

    def __init__(self, reader: LogReader, bell: Bell, attention: Attention) -> None:
        self._reader = reader
        self._bell = bell
        self._attention = attention
        self._feeds: dict[str, _Feed] = {}

    async def run(self) -> None:
        """Pass rings on, for as long as the process lives."""
        async for news in self._bell.rings():
            self.ring(news)

    def ring(self, news: Ring) -> None:
        """Wake the feed of a log, if it is followed here."""
        if (feed := self._feeds.get(news.job)) is not None:
            feed.ring(news)

    def next_seq(self, job: str) -> int:
        """Seq that comes next in a log that is followed here, as far as is known; 0 of any other."""
        feed = self._feeds.get(job)
        return feed.next_seq if feed else 0

    async def follow(
        self, job: str, start: int, ear: Ear | None = None, *, heard: bool = True
    ) -> AsyncIterator[Sequence[Record]]:
        """Runs of records from seq `start` on, as they come, until the terminal one. Raises UnknownLog.

        ear: of a player that says where it is; see Attention.plays_at. heard: somebody listens, so it is made first.
        """
        status = await self._reader.status(job)
        if status is None:
            raise UnknownLog(job)
        at = start
        if status.state == "live":
            async with self._feed(status, start, (ear or Ear()) if heard else None) as feed:
                while not feed.gone:
                    records = feed.since(at)
                    if records == []:
                        if feed.closed:  # it asked for what lies behind the end: an earlier incarnation was longer
                            return
                        await feed.grown()
                        continue
                    run = records if records is not None else await feed.behind(at)
                    yield run
                    at = run[-1].seq + 1
                    if run[-1].terminal:
                        return
            raise UnknownLog(job)
        while run := await read_run(self._reader, job, status.epoch, at):
            yield run
            at = run[-1].seq + 1

    @contextlib.asynccontextmanager
    async def _feed(self, status: LogStatus, start: int, ear: Ear | None) -> AsyncIterator[_Feed]:
        job = status.job
        feed = self._feeds.get(job)
        if feed is not None and feed.epoch != status.epoch:
            feed.end()
        if feed is None or feed.gone:
            feed = self._feeds[job] = _Feed(self._reader, job, status.epoch, status.next_seq)
            metrics.FEEDS.inc()
        feed.readers += 1
        metrics.FOLLOWERS.inc()
        try:
            await self._bell.watch(job)
            feed.ring(Ring(job))  # it may have grown between the status and the watch
            with self._attention.following(status, start, ear) if ear else contextlib.nullcontext():
                yield feed
        finally:
            metrics.FOLLOWERS.dec()
            feed.readers -= 1
            if feed.readers == 0:
                feed.gone = True  # a cancellation can get lost in a library; then its next round is the last
                feed.pump.cancel()
                metrics.FEEDS.dec()
                if self._feeds.get(job) is feed:
                    del self._feeds[job]
                    await self._bell.unwatch(job)
