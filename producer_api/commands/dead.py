"""`castline dead`: what was given up, for a person to look at, make again, or forget. Talks to store and broker."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import logging
import sys
from collections.abc import AsyncIterator, Coroutine, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from contracts.adapters import Address, Store, open_dead_letters, open_publisher, open_store
from contracts.errors import BadInput, CastlineError, Misconfigured
from contracts.ports import (
    JOB_KINDS,
    DeadLetter,
    DeadLetters,
    JobKind,
)
from producer_api.commands.retry import CanNotRetry, make_again
from producer_api.dispatch import Dispatch
from producer_api.settings import FrontSettings

ALL = 1_000_000
"""More letters of a kind than a queue should ever hold."""
SHOWN_CHARS = 120
"""Of what others have written, on one line."""


class UnknownLetter(CastlineError):
    """No letter of this id."""


@dataclass(frozen=True, slots=True)
class Servers:
    """What the commands work on."""

    address: Address
    store: Store
    letters: DeadLetters

    async def all(self, kind: JobKind | None, limit: int = ALL) -> list[DeadLetter]:
        """Letters of one kind, or of all."""
        found: list[DeadLetter] = []
        for each in JOB_KINDS if kind is None else (kind,):
            found += await self.letters.list(each, limit)
        return found

    async def chosen(self, letter: str | None, kind: JobKind | None, *, every: bool) -> list[DeadLetter]:
        """The one of this id, or all of them. Raises UnknownLetter, or BadInput unless it is exactly one of both."""
        if (letter is None) != every:
            raise BadInput("give the id of a letter, or --all")
        letters = await self.all(kind)
        if every:
            return letters
        if found := [one for one in letters if one.id == letter][:1]:
            return found
        raise UnknownLetter(f"there is no dead letter {_plain(str(letter))!r}; `castline dead list` has them")

    async def drop(self, letters: Sequence[DeadLetter]) -> int:
        """Forget these; how many were still there."""
        dropped = 0
        for kind in JOB_KINDS:
            if ids := [letter.id for letter in letters if letter.kind == kind]:
                dropped += await self.letters.drop(kind, *ids)
        return dropped


def find_address(data_dir: Path) -> Address:
    """The front's own settings; with none of them, the file of `castline up`. Raises Misconfigured."""
    try:
        settings = FrontSettings()
    except ValidationError as exc:
        fault = exc.errors()[0]
        raise Misconfigured(f"CASTLINE_{'.'.join(map(str, fault['loc'])).upper()}: {fault['msg']}") from exc
    if settings.model_fields_set & {"store", "broker", "namespace"}:
        return settings.address
    file = data_dir.resolve() / "castline.db"
    if not file.is_file():  # opening would make an empty one
        raise Misconfigured(f"there is no castline.db in {data_dir}, and CASTLINE_STORE is not set")
    return Address(f"sqlite://{file}", "")


@contextlib.asynccontextmanager
async def open_servers(address: Address) -> AsyncIterator[Servers]:
    """Store and letters, for one command."""
    store, letters = open_store(address), open_dead_letters(address)
    try:
        yield Servers(address, store, letters)
    finally:
        await letters.close()
        await store.close()


def run(command: Coroutine[Any, Any, int]) -> int:
    """The exit status of one of the commands below. Raises CastlineError."""
    logging.basicConfig(level=logging.CRITICAL)  # what fails is said in one line, not a second time by a client
    return asyncio.run(command)


# --- the commands --------------------------------------------------------------------------------------------


async def list_letters(address: Address, kind: JobKind | None, limit: int, *, as_json: bool) -> int:
    """Print one line for each letter, or one JSON array."""
    async with open_servers(address) as servers:
        letters = await servers.all(kind, limit + 1)
    shown = letters[:limit]
    if as_json:
        sys.stdout.write(_json([_fields(letter) for letter in shown]))
    else:
        sys.stdout.writelines(f"{_line(letter)}\n" for letter in shown)
    if not letters:
        sys.stderr.write("no dead letters\n")
    elif len(letters) > limit:
        sys.stderr.write(f"there are more than {limit}; --limit shows more\n")
    return 0


async def show(address: Address, letter: str) -> int:
    """Print one letter as JSON, with what its job says of the unit. Raises UnknownLetter."""
    async with open_servers(address) as servers:
        [found] = await servers.chosen(letter, None, every=False)
        source = None if found.unit is None else await servers.store.log_writer.source(found.unit.job)
    fields = _fields(found)
    if source is not None and found.unit is not None:
        job = {"id": source.status.job, "epoch": source.status.epoch, "state": source.status.state}
        name = "cast" if found.kind == "tts" else "transcript"
        fields[name] = {**job, "title": source.meta.get("title", ""), "text": source.texts.get(found.unit.index)}
    sys.stdout.write(_json(fields))
    return 0


async def drop(address: Address, letter: str | None, kind: JobKind | None, *, every: bool) -> int:
    """Forget one letter, or all there are now; say how many. Raises UnknownLetter or BadInput."""
    async with open_servers(address) as servers:
        dropped = await servers.drop(await servers.chosen(letter, kind, every=every))
    sys.stdout.write(f"{dropped} dropped\n")
    return 0


async def retry(address: Address, letter: str | None, kind: JobKind | None, *, every: bool) -> int:
    """Have jobs made again for one letter, or for all; 1 if one of them was not. Raises UnknownLetter or BadInput."""
    failures = 0
    done: list[DeadLetter] = []
    async with open_servers(address) as servers:
        letters = await servers.chosen(letter, kind, every=every)
        publisher = await open_publisher(address)
        dispatch = Dispatch(servers.store, publisher, max_wait_s=0)
        try:
            for one in letters:
                try:
                    outcome = await make_again(servers.store, dispatch, one)
                except CanNotRetry as exc:
                    failures += 1
                    sys.stderr.write(f"castline: {one.id}: {exc}\n")
                else:
                    done.append(one)
                    sys.stdout.write(f"{one.id}  {outcome}\n")
        finally:
            await publisher.close()
            await servers.drop(done)
    return int(failures > 0)


# --- on a terminal -------------------------------------------------------------------------------------------


def _line(letter: DeadLetter) -> str:
    at = "-" if letter.at_ms is None else datetime.fromtimestamp(letter.at_ms / 1000, UTC).isoformat(timespec="seconds")
    what = f"{len(letter.body)} bytes" if letter.unit is None else str(letter.unit)
    return f"{letter.id}  {at}  {_plain(letter.lane or letter.kind)}  {what}  {_plain(letter.reason)}"


def _fields(letter: DeadLetter) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "id": letter.id, "kind": letter.kind, "lane": letter.lane,
        "unit": None if letter.unit is None else str(letter.unit), "reason": letter.reason, "at_ms": letter.at_ms,
    }  # fmt: skip
    try:
        return {**fields, "body": letter.body.decode()}
    except UnicodeDecodeError:
        return {**fields, "body_base64": base64.b64encode(letter.body).decode()}


def _plain(given: str) -> str:
    """One short line without control characters: whoever may send to the queue has written it."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in given)[:SHOWN_CHARS]


def _json(value: dict[str, Any] | Sequence[dict[str, Any]]) -> str:
    """Readable in every script, and nothing a terminal would obey: json leaves DEL, C1 and bidi controls alone."""
    plain = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(c if c.isprintable() or c == "\n" else json.dumps(c)[1:-1] for c in plain) + "\n"
