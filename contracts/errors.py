"""Every error castline raises on purpose.

CastlineError
├── BadInput              the caller's fault; carries the problem type, HTTP status and field
│   ├── BadAudio          no audio in it that can be decoded, or too much
│   ├── ClientLeft        nobody waits for the answer any more
│   ├── NothingToSpeak    no letter, digit or symbol in the text
│   ├── ReusedKey         an Idempotency-Key came with another request
│   ├── TextTooLong       over the configured bound
│   ├── UnknownModel      no worker has a language model of this name
│   ├── UploadTooLarge    the same of a recording
│   └── UnknownVoice      no such voice, or a malformed mix
├── CastEnded             a cast has ended without all of its audio; carries the problem members
├── CompletionFailed      a completion has ended without an answer; carries the problem members
├── UnknownLog            no log of that id (never existed, or expired)
├── Unavailable           a server we stand on does not answer; carries retry_after_s
│   ├── StoreUnavailable  Redis, or the SQLite file
│   ├── BrokerUnavailable RabbitMQ
│   └── TooBusy           more work waits than the fleet does in the time allowed
├── MalformedMessage      a message that is not a ticket
├── EngineError
│   ├── EngineDied        the engine's process ended while it held the unit
│   ├── EngineStopped     the unit was cancelled, and the engine obeyed
│   └── UnitFailed        the engine raised for this unit
├── ModelMissing          a model file is not here; says how to get it
└── Misconfigured         a setting that can not work
Facts are attributes; nobody parses messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PROBLEM_PREFIX = "urn:castline:problem:"


def problem(slug: str, status: int, detail: str, *, field: str = "") -> dict[str, str | int]:
    """RFC 9457 members. field: dotted path of the culprit, where there is one."""
    title = slug.replace("-", " ").capitalize()
    members: dict[str, str | int] = {"type": PROBLEM_PREFIX + slug, "title": title, "status": status, "detail": detail}
    if field:
        members["field"] = field
    return members


class CastlineError(Exception):
    """Root of the tree."""


class BadInput(CastlineError):
    """The request can not be served as it stands.

    slug: last part of the problem type; status: HTTP status; field: dotted path of the culprit, or "".
    """

    slug = "invalid-request"
    status = 422

    def __init__(self, detail: str, *, field: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field

    @property
    def problem(self) -> dict[str, str | int]:
        """RFC 9457 members: the body of a response, or the headers of an `error` record."""
        return problem(self.slug, self.status, self.detail, field=self.field)


class BadAudio(BadInput):
    """Audio that can not be heard: empty, damaged, no audio at all, or over a bound."""

    slug = "bad-audio"

    def __init__(self, detail: str) -> None:
        super().__init__(detail, field="file")


class UploadTooLarge(BadInput):
    """A recording of more than `limit` bytes."""

    slug = "content-too-large"
    status = 413

    def __init__(self, limit: int) -> None:
        super().__init__(f"The recording is larger than {limit:,} bytes.", field="file")


class NothingToSpeak(BadInput):
    """The text holds no letter, digit or symbol."""

    slug = "nothing-to-speak"

    def __init__(self) -> None:
        super().__init__("The text holds nothing to speak: no letter, digit or symbol.", field="text")


class TextTooLong(BadInput):
    """The text is longer than `limit` characters."""

    slug = "text-too-long"
    status = 413

    def __init__(self, length: int, limit: int) -> None:
        super().__init__(f"The text has {length:,} characters; the limit is {limit:,}.", field="text")
        self.length = length
        self.limit = limit


class CastNotOpen(BadInput):
    """No text can be added: the cast was given whole, is closed or cancelled, or speaks a completion."""

    slug = "cast-not-open"
    status = 409

    def __init__(self, reason: str) -> None:
        super().__init__(f"No text can be added to this cast: {reason}.")


class AnotherWriter(BadInput):
    """Somebody else has added to the same open cast in the meantime."""

    slug = "another-writer"
    status = 409

    def __init__(self) -> None:
        super().__init__("Somebody else adds text to this cast; what came of yours before that is in it.")


class UnknownVoice(BadInput):
    """A voice nobody has, or a mix that does not parse."""

    slug = "unknown-voice"

    def __init__(self, voice: str, reason: str) -> None:
        super().__init__(f"Voice {voice!r}: {reason}.", field="voice")
        self.voice = voice


class UnknownModel(BadInput):
    """No worker has a language model of this name; the words are those that clients of OpenAI look for."""

    slug = "model-not-found"
    status = 404

    def __init__(self, model: str) -> None:
        super().__init__(f"There is no model {model[:120]!r} here; GET /v1/models lists them.", field="model")
        self.model = model


class ReusedKey(BadInput):
    """An Idempotency-Key that came with another request before."""

    slug = "idempotency-key-reused"

    def __init__(self) -> None:
        super().__init__("This Idempotency-Key came with another request before.", field="Idempotency-Key")


class ClientLeft(BadInput):
    """The client of a request has gone before its answer began."""

    slug = "client-left"
    status = 499

    def __init__(self) -> None:
        super().__init__("The client has left.")


class CastEnded(CastlineError):
    """A cast that was cancelled, has failed, or lacks a sentence: its stream must not look whole.

    members: RFC 9457.
    """

    def __init__(self, members: Mapping[str, Any]) -> None:
        super().__init__(str(members["detail"]))
        self.members = members


class CompletionFailed(CastlineError):
    """A completion that has ended without an answer.

    members: RFC 9457, as in its `error` record; `upstream_error` is what the upstream has said, if it has.
    """

    def __init__(self, members: Mapping[str, Any]) -> None:
        super().__init__(str(members["detail"]))
        self.members = members


class UnknownLog(CastlineError):
    """No log of this id: it never existed, or its retention is over."""

    def __init__(self, job: str) -> None:
        super().__init__(f"There is no log {job!r} here, or it has expired.")
        self.job = job


class Unavailable(CastlineError):
    """A server we stand on does not answer; the same call may work after `retry_after_s` seconds."""

    def __init__(self, what: str, *, retry_after_s: int = 2) -> None:
        super().__init__(f"{what} is not available.")
        self.what = what
        self.retry_after_s = retry_after_s


class StoreUnavailable(Unavailable):
    """The log store (Redis, or the SQLite file)."""


class BrokerUnavailable(Unavailable):
    """The broker (RabbitMQ)."""


class TooBusy(Unavailable):
    """A new job would wait longer than is allowed; wait_s: how long."""

    def __init__(self, *, wait_s: int, retry_after_s: int) -> None:
        super().__init__(f"A free worker (about {wait_s:,} s of work wait)", retry_after_s=retry_after_s)
        self.wait_s = wait_s


class MalformedMessage(CastlineError):
    """A message on a job queue that is not a ticket; it goes to the dead letters at once."""


class EngineError(CastlineError):
    """A unit could not be rendered."""


class EngineDied(EngineError):
    """The engine process ended while it held the unit; beside: how many others it held."""

    def __init__(self, detail: str, *, beside: int = 0) -> None:
        super().__init__(detail)
        self.beside = beside


class EngineStopped(EngineError):
    """The unit was cancelled and the engine gave it up."""


class UnitFailed(EngineError):
    """The engine raised for this unit; the message is the engine's."""


class ModelMissing(CastlineError):
    """A model file is not on this machine."""


class Misconfigured(CastlineError):
    """A setting that can not work, found at start."""
