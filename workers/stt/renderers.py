"""The two kinds of unit of a transcript: the recording is cut into pieces, and each piece is heard.

A transcript's log is opened empty; the one unit of its `-cut` log says where the recording is. Whoever claims that
unit adds a unit per piece to the transcript as it cuts, so that the first is heard while the rest is cut. The same
recording gives the same pieces: a cut that is done again, after a crash, adds what is missing.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from pydantic import ValidationError

from contracts.adapters import Store
from contracts.errors import BadAudio, BadInput, BrokerUnavailable, EngineDied, EngineStopped
from contracts.jobs import CutOrder, HeardPiece, PieceOrder, Ticket
from contracts.ports import Assignment, Claim, Committed, Output, Work
from contracts.topology import blob_of
from contracts.units import Lane, Unit
from workers import metrics
from workers.engine import Piece, UnitRequest
from workers.engine_process import EngineProcess
from workers.main import Bench

logger = logging.getLogger(__name__)


class PieceRenderer:
    """A piece becomes a `segment`; its audio is forgotten with that, unless the text is for the moment only, and kept
    for `castline dead retry` if it is given up.
    """

    def __init__(self, store: Store, engine: EngineProcess) -> None:
        self._log, self._blobs = store.log_writer, store.blobs
        self._engine = engine

    async def render(self, claim: Claim, task: Assignment, *, alone: bool, stop: asyncio.Event) -> Output:
        """See Renderer.render."""
        if (heard := _heard(task.text)) is not None:
            return heard
        unit = claim.unit
        blob, parts = _audio(unit, task)
        found = await self._blobs.get(blob, parts)
        body = b"".join(part for part in found if part is not None)
        if None in found:
            return Output("skip", {"i": unit.index, "t": "", "reason": "its audio has expired"})
        output = await self._engine.render(UnitRequest(unit.index, task.text, task.recipe, alone, body), stop)
        metrics.ENGINE_STARTS.set(self._engine.starts)
        return output

    async def settled(self, unit: Unit, task: Assignment, output: Output, committed: Committed) -> None:
        """See Renderer.settled."""
        if output.type == "skip" or committed.verdict == "DUP" or _heard(task.text) is not None:
            return  # of two who did it, the first has settled it
        blob, parts = _audio(unit, task)
        if blob != blob_of(unit.job, unit.epoch):
            return  # an interim text: the sentence is not over
        status = await self._log.status(unit.job) if committed.finished else None
        await self._blobs.drop(blob, None if status is not None and not status.skipped else parts)


def _audio(unit: Unit, task: Assignment) -> tuple[str, Sequence[int]]:
    """Blob and parts of a piece."""
    spoken = PieceOrder.model_validate_json(task.text).spoken
    return (blob_of(unit.job, unit.epoch), [unit.index]) if spoken is None else (spoken.blob, spoken.parts)


def _heard(text: str) -> Output | None:
    """The record of a piece that has been heard already, in an earlier incarnation of its transcript."""
    try:
        headers = HeardPiece.model_validate_json(text).heard
    except ValidationError:
        return None
    return Output("segment", headers, duration_ms=headers["end"] - headers["start"], gen_ms=headers["g"])


class CutRenderer:
    """A recording becomes units of its transcript. lane: where those are heard."""

    def __init__(self, bench: Bench, engine: EngineProcess, lane: Lane) -> None:
        store = bench.store
        self._log, self._scheduler, self._blobs = store.log_writer, store.scheduler, store.blobs
        self._engine, self._source, self._lane = engine, bench.source, lane

    async def render(self, claim: Claim, task: Assignment, *, alone: bool, stop: asyncio.Event) -> Output:  # noqa: ARG002
        """See Renderer.render."""
        order = CutOrder.model_validate_json(task.text)
        try:
            return await self._cut(order, task, stop)
        except BadInput as exc:
            logger.info("recording refused", extra={"job": order.job, "error": exc.detail})
            await self._log.fail(order.job, order.epoch, exc.problem)
            return Output("skip", {"i": 0, "t": "", "reason": exc.detail})
        except EngineDied as exc:
            if exc.beside:  # a piece that kills its engine is in it during all of its attempts, and so is a long cut
                raise EngineStopped("the engine died, perhaps of another unit") from exc
            raise

    async def settled(self, unit: Unit, task: Assignment, output: Output, committed: Committed) -> None:  # noqa: ARG002
        """See Renderer.settled. A cut that was given up ends the transcript, unless it has ended already."""
        if output.type == "skip":
            order = CutOrder.model_validate_json(task.text)
            await self._log.fail(order.job, order.epoch, BadAudio("The recording could not be cut.").problem)
            await self._blobs.drop(order.blob)

    async def _cut(self, order: CutOrder, task: Assignment, stop: asyncio.Event) -> Output:
        count = before_ms = 0
        with _scratch() as (file, path):
            await self._fetch(order, file)
            async with contextlib.aclosing(self._engine.cut(path, task.recipe, stop)) as cutting:
                async for piece in cutting:
                    if isinstance(piece, Output):
                        await self._log.grow(order.job, order.epoch, count, [], close=True)
                        await self._blobs.drop(order.blob)
                        return piece
                    if not await self._add(order, count, before_ms, piece):
                        return Output("skip", {"i": 0, "t": "", "reason": "the transcript was cancelled"})
                    count, before_ms = count + 1, before_ms + piece.end_ms - piece.start_ms
        raise AssertionError("a cut ends with what it came to")

    async def _fetch(self, order: CutOrder, file: IO[bytes]) -> None:
        """Raises BadAudio if the recording has expired."""
        for part in range(order.parts):
            [body] = await self._blobs.get(order.blob, [part])
            if body is None:
                raise BadAudio("The recording has expired before it was cut.")
            file.write(body)  # a MiB, to the page cache
        file.flush()

    async def _add(self, order: CutOrder, index: int, before_ms: int, piece: Piece) -> bool:
        """One more unit; False if the transcript is gone."""
        job, epoch = order.job, order.epoch
        await self._blobs.put(blob_of(job, epoch), {index: piece.body}, order.ttl_ms)
        grown = await self._log.grow(job, epoch, index, [piece.text], close=False)
        if grown.verdict == "GONE":
            await self._blobs.drop(blob_of(job, epoch))
            return False
        length_ms = piece.end_ms - piece.start_ms
        await self._scheduler.submit(
            self._lane, Work(job, epoch, order.client, order.job_class, [length_ms], index, before_ms)
        )
        try:
            await self._source.publish(self._lane, [Ticket(job=job, epoch=epoch, index=index)])
        except BrokerUnavailable as exc:
            logger.warning("ticket not published; an idle poll finds its unit", extra={"error": str(exc)})
        return True


@contextlib.contextmanager
def _scratch() -> Iterator[tuple[IO[bytes], str]]:
    """A file, and a path by which the engine process can open it. On Linux it has no name that could outlive us."""
    if Path("/proc/self/fd").exists():
        with tempfile.TemporaryFile() as file:
            yield file, f"/proc/{os.getpid()}/fd/{file.fileno()}"
    else:
        with tempfile.NamedTemporaryFile(prefix="castline-") as file:
            yield file, file.name
