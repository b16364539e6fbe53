"""The client's sound becomes utterances, and these become text: a live transcript, opened with the first sound."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from contracts.errors import BadInput, CastlineError, Unavailable
from contracts.records import Record
from contracts.topology import HEARING_MODELS
from producer_api.front import Front
from producer_api.live.session import AHEAD_MS, LiveTranscript
from producer_api.live.turns import FRAME_BYTES, Turns
from producer_api.live.voice import Voice
from producer_api.realtime.config import Config, Format, Transcription
from producer_api.realtime.sound import Incoming
from producer_api.transcript_models import LiveRequest, asked

logger = logging.getLogger(__name__)

PAUSE_MS = 200
"""Of silence that ends an utterance. A turn may have several: each is heard while the next is waited for."""
NEVER_MS = 3_600_000
AGAIN_S = 1.0


class NothingSaid(BadInput):
    """There is nothing to commit."""

    slug = "input-audio-buffer-commit-empty"


class Listener(Protocol):
    """What is done about what is heard. Times: ms of sound since the session began."""

    async def speech_begins(self, at_ms: int) -> None:
        """Somebody begins to speak."""
        ...

    async def utterance(self, index: int, begin_ms: int, end_ms: int) -> None:
        """He has paused, end_ms is where the pause began; the text comes as heard(index, …)."""
        ...

    async def heard(self, index: int, said: Mapping[str, Any]) -> None:
        """Text of an utterance: headers of its `segment` or `skip` record."""
        ...

    async def hears_now(self, text: str) -> None:
        """Text of the moment of what is being said."""
        ...

    async def quiet(self, at_ms: int) -> None:
        """A frame without speech has passed."""
        ...


class Ears:
    """Of one session. fail: told of what can not go on."""

    def __init__(
        self, front: Front, address: str, listener: Listener, fail: Callable[[CastlineError], Awaitable[None]]
    ) -> None:
        self._front, self._address, self._listener, self._fail = front, address, listener, fail
        self._voice = Voice()
        self._turns = Turns(PAUSE_MS, self._voice, AHEAD_MS)
        self._transcript: LiveTranscript | None = None
        self._incoming = Incoming(Format())
        self._format = Format()
        self._request = LiveRequest(interim=True)
        self._manual = False
        self._held = b""
        self._one = asyncio.Lock()
        self._told: defaultdict[int, asyncio.Event] = defaultdict(asyncio.Event)
        """Utterances that the listener knows of."""
        self._ahead: set[int] = set()
        """Those whose text it knows before their records are there."""
        self._beside: list[asyncio.Task[None]] = []

    @property
    def at_ms(self) -> int:
        """Sound so far."""
        return self._turns.at_ms

    @property
    def speaking(self) -> bool:
        """Whether somebody speaks."""
        return self._turns.speaking is not None

    def tune(self, config: Config) -> None:
        """By the session's settings. Raises BadInput: they can not be used, or not any more."""
        heard, asked_for = config.audio.input, config.audio.input.transcription or Transcription()
        model = asked_for.model if asked_for.model in HEARING_MODELS else HEARING_MODELS[0]
        options = {"language": asked_for.language or None, "prompt": asked_for.prompt or ""}
        request = asked(LiveRequest, {"model": model, "interim": heard.transcription is not None, **options})
        if self._transcript is not None and request != self._request:
            field = "session.audio.input.transcription"
            raise BadInput(f"{field}: it can be changed until the first sound comes.", field=field)
        self._request = request
        if self._format != heard.format:
            self._incoming, self._format = Incoming(heard.format), heard.format
        self._manual = heard.turn_detection is None
        pause_ms = getattr(heard.turn_detection, "silence_duration_ms", PAUSE_MS)
        if self._manual:
            self._turns.retune(NEVER_MS, lambda _frame: True)
        else:
            self._turns.retune(min(PAUSE_MS, pause_ms), self._voice)

    def guard(self, *, on: bool) -> None:
        """While we speak ourselves, what is not louder is taken for our own echo."""
        self._voice.guarded = on

    async def hear(self, audio: object) -> None:
        """Of one event. Raises BadInput, Unavailable, UnknownLog."""
        async with self._one:
            pcm = self._held + self._incoming.pcm(audio)
            transcript = await self._opened()
            whole = len(pcm) - len(pcm) % FRAME_BYTES
            self._held = pcm[whole:]
            failed = None
            for at in range(0, whole, FRAME_BYTES):
                try:
                    await self._frame(transcript, pcm[at : at + FRAME_BYTES])
                except Unavailable as exc:  # the sound behind it is heard all the same
                    failed = exc
            if failed is not None:
                raise failed

    async def commit(self) -> None:
        """What was said is over. Raises BadInput if nothing was."""
        async with self._one:
            if self._transcript is None or self._turns.speaking is None:
                raise NothingSaid("There is no speech in the audio buffer, or less than 60 ms of sound.")
            await self._ended(self._transcript, self._transcript.pause)

    async def clear(self) -> None:
        """What was said since the last utterance was nothing."""
        async with self._one:
            self._held = b""
            if self._transcript is not None:
                await self._transcript.drop()

    async def close(self) -> None:
        """The transcript ends here. Raises Unavailable."""
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        if self._transcript is not None:
            await self._transcript.close()

    async def _frame(self, transcript: LiveTranscript, frame: bytes) -> None:
        speaking = self.speaking
        await self._ended(transcript, lambda: transcript.hear(frame))
        if not speaking and self._turns.speaking is not None:
            if not self._manual:
                await self._listener.speech_begins(self._turns.speaking.start_ms)
        elif not self.speaking:
            await self._listener.quiet(self._turns.at_ms)

    async def _ended(self, transcript: LiveTranscript, work: Callable[[], Awaitable[None]]) -> None:
        """Do it; tell of the utterance that has ended with it."""
        index, speaking = transcript.units, self._turns.speaking
        try:
            await work()
        finally:
            if transcript.units > index and speaking is not None:
                try:
                    await self._listener.utterance(index, speaking.start_ms, self._turns.at_ms - self._turns.quiet_ms)
                finally:
                    self._told[index].set()

    async def _opened(self) -> LiveTranscript:
        if self._transcript is None:
            session = await self._front.transcripts.open_live(self._request, address=self._address)
            transcript = self._transcript = LiveTranscript(
                replace(session, turn=True), self._turns,
                store=self._front.store, dispatch=self._front.dispatch, hub=self._front.hub, tell=self._tell,
            )  # fmt: skip
            self._beside = [asyncio.create_task(transcript.touch()), asyncio.create_task(self._follow(transcript))]
            if self._request.model not in await self._front.transcripts.models():  # one may come: what is said waits
                await self._fail(Unavailable(f"A worker that hears ({self._request.model})"))
        return self._transcript

    async def _tell(self, said: Mapping[str, Any]) -> None:
        if said["e"] == "partial":
            await self._listener.hears_now(said["t"])
        else:
            self._ahead.add(said["i"])
            await self._heard(said)

    async def _follow(self, transcript: LiveTranscript) -> None:
        """Pass texts on, in order; while the store is away, try again."""
        at, over = 1, False
        while not over:
            try:
                async with contextlib.aclosing(self._front.hub.follow(transcript.session.job, at)) as runs:  # type: ignore[type-var]
                    async for records in runs:
                        for record in records:
                            await self._pass_on(transcript, record)
                            at = record.seq + 1
                over = True
            except CastlineError as exc:  # what is no Unavailable: it has expired, or was cancelled
                over = not isinstance(exc, Unavailable)
                await self._fail(exc)
                await asyncio.sleep(AGAIN_S)

    async def _pass_on(self, transcript: LiveTranscript, record: Record) -> None:
        transcript.follow(record)
        if record.type not in ("segment", "skip"):
            return
        if record.headers["i"] in self._ahead:
            self._ahead.remove(record.headers["i"])
        else:
            await self._heard(record.headers)

    async def _heard(self, said: Mapping[str, Any]) -> None:
        index: int = said["i"]
        await self._told[index].wait()  # a fast worker has its text before the unit's confirms are here
        del self._told[index]
        try:
            await self._listener.heard(index, said)
        except CastlineError as exc:  # of this turn; the next one may be better
            await self._fail(exc)
