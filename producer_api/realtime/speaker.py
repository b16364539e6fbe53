"""One response: a completion, spoken by a cast. Both are logs that stay; this follows them and tells the client."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from contracts.codec import decode_chunk
from contracts.errors import CastlineError, CompletionFailed, UnknownLog, problem
from contracts.records import Record
from producer_api.cast_models import CastRequest, CastView, TextSource
from producer_api.chat.chunks import chunks_of, failure_of
from producer_api.chat.merge import merge
from producer_api.front import Front
from producer_api.realtime.config import Config
from producer_api.realtime.conversation import Conversation
from producer_api.realtime.events import Teller
from producer_api.realtime.items import Item, call_item
from producer_api.realtime.output import Output, Reason
from producer_api.realtime.said import Said, text_heard
from producer_api.realtime.sound import Outgoing
from producer_api.realtime.writing import Writing
from producer_api.speech.request import voice_of

LAST_MS = 300
"""A client may play so much behind what we believe."""
_INCOMPLETE: dict[str, Reason] = {"length": "max_output_tokens", "content_filter": "content_filter"}


@dataclass
class Response:
    """What the client is told of one. run() tells it; interrupt() ends it early.

    prepare: gives what is to be followed, once it is known what is to be asked.
    """

    front: Front
    tell: Teller
    config: Config
    prepare: Callable[[], Awaitable[Writing]]
    address: str
    conversation: Conversation | None
    """None: what is said is of no conversation."""
    metadata: Mapping[str, Any] | None = None
    writing: Writing | None = None
    said: list[Said] = field(default_factory=list)
    sent_ms: int = 0
    """Sound the client has got."""
    began: float = 0.0
    """time.monotonic() of the first sound."""
    cut_ms: int | None = None
    """So much of it was heard: the client says so, or we believe it."""
    _text: str = ""
    _repeated: int = 0
    """Letters of _text that the attempt of the moment has written again."""
    _chunks: list[dict[str, Any]] = field(default_factory=list)
    _posting: asyncio.Task[CastView] | None = None
    _following: asyncio.Task[None] | None = None
    _reason: Literal["turn_detected", "client_cancelled"] | None = None

    def __post_init__(self) -> None:
        self.output = Output(self.tell, self.config, self.conversation, self.metadata)

    @property
    def id(self) -> str:
        """`resp_…`."""
        return self.output.id

    @property
    def item(self) -> Item | None:
        """What it says, once it has begun to."""
        return self.output.message

    @property
    def heard_ms(self) -> int:
        """How much of it has been heard at most: it is played from its first sound on, without a break."""
        return min(self.sent_ms, round(1000 * (time.monotonic() - self.began))) if self.began else 0

    @property
    def over_at(self) -> float:
        """time.monotonic() when all that was sent has been played."""
        return self.began + (self.sent_ms if self.cut_ms is None else self.cut_ms) / 1000

    @property
    def playing(self) -> bool:
        """Whether it may be audible now."""
        return bool(self.began) and time.monotonic() < self.over_at + LAST_MS / 1000

    @property
    def text_heard(self) -> str:
        """What of it was heard, of what was spoken."""
        return text_heard(self.said, self.sent_ms if self.cut_ms is None else self.cut_ms)

    async def run(self) -> None:
        """From response.created to response.done. Raises Unavailable, TakenOver: the conversation can not be kept."""
        await self.tell("response.created", response=self.output.shown())
        status, reason, error = await self._ended()
        whole = self.cut_ms is None and status != "cancelled"
        text = self._text if whole or not self.said else self.text_heard
        await self.output.finish(text, status, reason, error, whole=whole and status == "completed")

    async def _ended(self) -> tuple[str, Reason | None, CastlineError | None]:
        """How it ended, and why."""
        error = None
        if self._reason is None:
            self._following = asyncio.create_task(self._follow())
            try:
                await self._following
            except asyncio.CancelledError:
                if not self._interrupted:
                    raise
            except CastlineError as exc:
                error = exc
                await asyncio.gather(self._stop_writing(), self._hush(), return_exceptions=True)
        if self._interrupted:
            return "cancelled", self._reason, None
        if error is not None:
            return "failed", None, error
        reason = _INCOMPLETE.get(self._choice().get("finish_reason") or "")
        return ("completed" if reason is None else "incomplete"), reason, None

    @property
    def _interrupted(self) -> bool:
        return self._reason is not None

    async def interrupt(self, reason: Literal["turn_detected", "client_cancelled"]) -> bool:
        """End it: the model and the voice stop, down to their engines. It finishes in run(). False: it had ended."""
        if self._reason is not None or (self._following is not None and self._following.done()):
            return False
        self._reason = reason
        if self.cut_ms is None:
            self.cut_ms = self.heard_ms
        if self._following is not None:
            self._following.cancel()
        await asyncio.gather(self._stop_writing(), self._hush())
        return True

    async def _stop_writing(self) -> None:
        if self.writing is not None:
            await self.writing.give_up()

    async def _hush(self) -> None:
        if self._posting is None:
            return
        try:
            cast = await self._posting
        except CastlineError:
            return
        with contextlib.suppress(UnknownLog):
            await self.front.casts.cancel(cast.id)

    # --- following -------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        self.writing = writing = await self.prepare()
        await writing.ask()
        self.output.logs["completion"] = writing.id
        if not self.config.speaks:
            await self._read(writing)
            return
        output = self.config.audio.output
        request = CastRequest(
            source=TextSource(completion=writing.id), voice=voice_of(output.voice), speed=output.speed,
            language=self.config.language,
        )  # fmt: skip
        self._posting = asyncio.create_task(self.front.open_casts.post(request, address=self.address))
        cast = await asyncio.shield(self._posting)
        self.output.logs["cast"] = cast.id
        reading, speaking = asyncio.create_task(self._read(writing)), asyncio.create_task(self._speak(cast.id))
        try:
            await asyncio.gather(reading, speaking)
        finally:
            reading.cancel()
            speaking.cancel()
            await asyncio.gather(reading, speaking, return_exceptions=True)

    async def _read(self, writing: Writing) -> None:
        """The completion: its text, and behind it calls of tools."""
        async with contextlib.aclosing(self.front.completions.follow(writing.id, new=True)) as runs:
            async for run in runs:
                for record in run:
                    await self._heed(record, writing)
        for call in self._choice().get("message", {}).get("tool_calls") or ():
            function = call["function"]
            await self.output.call(call_item(call["id"], function["name"], function["arguments"]))

    def _choice(self) -> Mapping[str, Any]:
        """What the model has written, put together."""
        choices = merge(self._chunks, "", None)["choices"]
        return choices[0] if choices else {}

    async def _heed(self, record: Record, writing: Writing) -> None:
        match record.type:
            case "start":
                self._chunks.clear()
                self._repeated = 0
            case "delta":
                writing.timing.first_token = writing.timing.first_token or time.monotonic()
                self._chunks += chunks_of(record)
                if text := record.headers["t"]:
                    await self._written(text)
            case "eos":
                self.output.usage = record.headers.get("usage")
                writing.timing.write_ms = int(record.headers.get("ttft_ms") or 0)
            case "error" | "cancelled" | "skip":
                raise CompletionFailed(failure_of(record))

    async def _written(self, text: str) -> None:
        """It stands ahead of the calls behind it, also where its sound takes longer than they do."""
        if self.config.speaks:
            await self.output.begin("output_audio")
            return
        await self.output.begin("output_text")
        known = self._text[self._repeated : self._repeated + len(text)]
        if not text.startswith(known):
            detail = "The upstream was lost, and what it writes now is not what it wrote before."
            raise CompletionFailed(problem("restarted", 502, detail))
        self._repeated += len(text)
        if new := text[len(known) :]:
            self._text += new
            await self.tell("response.output_text.delta", **self.output.part(), delta=new)

    async def _speak(self, cast: str) -> None:
        """The cast: what is said, unit by unit, its text ahead of its sound."""
        sound = Outgoing(self.config.audio.output.format)
        async with contextlib.aclosing(self.front.hub.follow(cast, 1)) as runs:  # type: ignore[type-var]
            async for records in runs:
                for record in records:
                    if record.type in ("audio", "skip"):
                        await self._say(record, sound)
        await self._send(sound.rest())

    async def _say(self, record: Record, sound: Outgoing) -> None:
        await self.output.begin("output_audio")
        text, length_ms = record.headers["t"], int(record.headers.get("d", 0))
        delta = f" {text}" if self.said else text
        self.said.append(said := Said(text, self.sent_ms, length_ms, record.headers.get("words", ())))
        self._text += delta
        await self.tell("response.output_audio_transcript.delta", **self.output.part(), delta=delta)
        if self.writing is not None and not self.began:
            self.writing.timing.speak_ms = int(record.headers.get("g", 0))
        pieces, _ = await asyncio.gather(asyncio.to_thread(_pieces, record, sound), self._keep(said))
        self.sent_ms += length_ms
        await self._send(pieces)

    async def _keep(self, said: Said) -> None:
        """Who comes back after us finds what was said."""
        if self.conversation is not None and self.item is not None:
            await self.conversation.say(self.item["id"], said)

    async def _send(self, pieces: list[str]) -> None:
        if pieces and not self.began:
            self.began = time.monotonic()
            if self.writing is not None:
                self.writing.timing.first_audio = self.began
        for piece in pieces:
            await self.tell("response.output_audio.delta", **self.output.part(), delta=piece)


def _pieces(record: Record, sound: Outgoing) -> list[str]:
    """The sound of a unit; none, if it was given up."""
    return sound.pieces(decode_chunk(record.body)) if record.type == "audio" else []
