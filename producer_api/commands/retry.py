"""What `castline dead retry` does for one letter.

A finished log never changes, so the job begins anew, under another epoch: of a cast every unit is rendered again; of a
transcript what was heard stays, and what was given up is heard again, as long as its audio is kept. If we die before
the letter is dropped, it is of an older epoch than its job: the next retry submits what is missing.
"""

from __future__ import annotations

from typing import TypeVar

from pydantic import ValidationError

from contracts.adapters import Store
from contracts.errors import CastlineError
from contracts.ids import new_epoch
from contracts.jobs import HeardPiece, PieceOrder
from contracts.ports import DeadLetter, LogSource, LogStatus, NewLog
from contracts.records import Record
from contracts.topology import HEARING_MODELS, blob_of, cut_job, interim_job, live_lane, transcript_lane
from contracts.units import Unit
from producer_api.dispatch import Dispatch, source_lengths_ms
from producer_api.follow.now import records_now

T = TypeVar("T", HeardPiece, PieceOrder)

CLIENT = "retry"
"""Whose turn these jobs count as: however many they are, they take the turns of one client."""
WORDS = {"tts": ("cast", "post its text again"), "stt": ("transcript", "send its recording again")}
"""What a job of a kind is called, and what to do where it can not be made from here."""
LIVE_WORDS = ("transcript", "there is no recording of what was said")
LIVE_LANES = {live_lane(transcript_lane(model)) for model in HEARING_MODELS}


class CanNotRetry(CastlineError):
    """This letter can not be made again, or not now; it stays."""


async def make_again(store: Store, dispatch: Dispatch, letter: DeadLetter) -> str:
    """Make a letter's job again; what was done. Raises CanNotRetry."""
    unit = letter.unit
    if unit is None:
        raise CanNotRetry("it is a message that is no unit; it can be shown and dropped, not retried")
    if letter.kind not in WORDS:
        raise CanNotRetry(f"there is no way yet to make {letter.kind} jobs again")
    _check_public(unit.job)
    noun, remedy = LIVE_WORDS if letter.lane in LIVE_LANES else WORDS[letter.kind]
    source = await store.log_writer.source(unit.job)
    if source is None:
        raise CanNotRetry(f"{noun} {unit.job} has expired; {remedy}")
    status, outcome = source.status, f"{noun} {unit.job} is made again"
    if status.state in ("cancelled", "failed"):
        raise CanNotRetry(f"{noun} {unit.job} has ended as {status.state}; {remedy}")
    if status.epoch != unit.epoch:
        outcome = f"{noun} {unit.job} has been begun again already"
    elif status.state == "live":
        raise CanNotRetry(f"{noun} {unit.job} is still being made, retry when it has ended")
    elif await _was_made(store, unit):
        outcome = f"unit {unit.index} of {noun} {unit.job} was made after all"
    else:
        await _open_again(store, dispatch, source)
    await _submit(store, dispatch, unit.job)
    return outcome


def _check_public(job: str) -> None:
    """Raises CanNotRetry for the logs behind a transcript."""
    transcript = job[:16]
    if job == cut_job(transcript):
        raise CanNotRetry(f"the recording of transcript {transcript} could not be cut and is not kept; send it again")
    if job == interim_job(transcript):
        raise CanNotRetry(f"it is a text of the moment of transcript {transcript}, and the moment is over; drop it")


async def _was_made(store: Store, unit: Unit) -> bool:
    """A worker may have been slow, not dead, and have committed the unit after another had buried it."""
    page = await store.log_reader.read(unit.job, unit.index + 1, max_records=1)
    return page is not None and page.epoch == unit.epoch and any(r.type in ("audio", "segment") for r in page.records)


async def _open_again(store: Store, dispatch: Dispatch, source: LogSource) -> None:
    """A new incarnation in place of a finished one, unless somebody else has begun it meanwhile."""
    status, epoch = source.status, new_epoch()
    if source.recipe["kind"] == "stt":
        texts, audio = await _pieces(store, status, blob_of(status.job, epoch))
    else:
        texts, audio = _sentences(source), {}
    if audio:
        await store.blobs.put(blob_of(status.job, epoch), audio, source.ttl_ms)
    await dispatch.expect(status.lane, status.job)  # if we die before we have submitted it
    opened = await store.log_writer.open(
        NewLog(
            status.job, epoch, status.lane, status.job_class, source.owner, source.recipe, source.meta, texts,
            closed=True, ttl_ms=source.ttl_ms, reply_to=source.reply_to, replace=True,
        )
    )  # fmt: skip
    if audio:
        await store.blobs.drop(blob_of(status.job, status.epoch if opened.new else epoch))


def _sentences(source: LogSource) -> list[str]:
    """The units of a finished cast. Raises CanNotRetry."""
    status = source.status
    missing = [n for n in range(status.total) if n not in source.texts]
    if missing:
        raise CanNotRetry(f"cast {status.job} lacks the text of unit {missing[0]}; post its text again")
    return [source.texts[n] for n in range(status.total)]


async def _pieces(store: Store, status: LogStatus, blob: str) -> tuple[list[str], dict[int, bytes]]:
    """The units of a finished transcript, and the audio of those that are to be heard, for the blob it will be in.

    Raises CanNotRetry.
    """
    texts: list[str] = []
    audio: dict[int, bytes] = {}
    async for record in records_now(store.log_reader, status.job):
        if record.type == "segment":
            texts.append(HeardPiece(heard=dict(record.headers)).model_dump_json())
        elif record.type == "skip":
            text, parts = await _given_up(store, status, record, blob)
            texts.append(text)
            audio |= parts
    return texts, audio


async def _given_up(store: Store, status: LogStatus, skip: Record, blob: str) -> tuple[str, dict[int, bytes]]:
    """One unit, and its audio. Raises CanNotRetry if that is gone."""
    index, text = skip.headers["i"], skip.headers["t"]
    if _read(HeardPiece, text) is not None:
        return text, {}
    order = _read(PieceOrder, text)
    numbers = [index] if order is None or order.spoken is None else order.spoken.parts
    bodies = [] if order is None else await store.blobs.get(blob_of(status.job, status.epoch), numbers)
    found = {number: body for number, body in zip(numbers, bodies, strict=False) if body is not None}
    if order is None or len(found) < len(numbers):
        _, remedy = LIVE_WORDS if status.lane in LIVE_LANES else WORDS["stt"]
        raise CanNotRetry(f"the audio of piece {index} of transcript {status.job} is gone; {remedy}")
    if order.spoken is not None:
        order = order.model_copy(update={"spoken": order.spoken.model_copy(update={"blob": blob})})
    return order.model_dump_json(), found


def _read(kind: type[T], text: str) -> T | None:
    """None if the text is of another kind."""
    try:
        return kind.model_validate_json(text)
    except ValidationError:
        return None


async def _submit(store: Store, dispatch: Dispatch, job: str) -> None:
    """Submit what is not committed, and publish a ticket for each unit that was not known: as a front does."""
    source = await store.log_writer.source(job)
    if source is not None and source.status.state == "live":
        await dispatch.supply(source.status, CLIENT, source_lengths_ms(source), wait=True)
