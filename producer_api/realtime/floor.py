"""Whose turn it is: when the client's turn has ended, what an interruption ends, and when it was none.

Each utterance of a turn is heard at once, while the silence behind it goes on; so the text is there when the turn is
decided, and the model may have begun to answer. It is over when it sounds like an end (semantic_vad), or after the
silence that the session is set to.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from contracts.errors import CastlineError, Unavailable
from producer_api.realtime.config import Config, SemanticVad, ServerVad
from producer_api.realtime.conversation import Conversation
from producer_api.realtime.ears import Ears
from producer_api.realtime.events import Teller
from producer_api.realtime.items import Item
from producer_api.realtime.speaker import Response
from producer_api.realtime.turn import Turn
from producer_api.realtime.writing import Writing

logger = logging.getLogger(__name__)

LIKELY = 0.5
"""From this probability on, it was the end of a turn."""
STALLED_S = 1.0
"""A client that sends no sound for so long, and for the silence of a turn's end, is silent."""
AGAIN_S = 1.0
"""After so long it is tried again to keep a turn that could not be kept."""
HEARD_S = 30.0
"""What was said is text by then, or a response that waits for it fails."""
GO_ON = "A noise has interrupted you after your last words. Go on exactly where you stopped, and repeat nothing."
SILENCE = "The user has said nothing since. Say something short that helps them to go on."


class Answerer(Protocol):
    """What the floor asks of Replies."""

    @property
    def audible(self) -> Response | None:
        """The one that is being made, or may be heard still."""
        ...

    @property
    def silent_s(self) -> float:
        """Since when nothing of ours is heard."""
        ...

    async def put_off(self) -> bool:
        """An answer that waits for the reply before it is not begun; whether there was one."""
        ...

    async def stop(self) -> Response | None:
        """Somebody interrupts; what was ended by that."""
        ...

    def write(self, items: Sequence[Item]) -> Writing:
        """What would be answered to these."""
        ...

    async def answer(self, turn: Turn, hint: str = "") -> None:
        """To a turn that is over."""
        ...


class Floor:
    """Of one session."""

    def __init__(
        self, tell: Teller, conversation: Conversation, config: Callable[[], Config], ears: Callable[[], Ears],
        replies: Callable[[], Answerer],
    ) -> None:  # fmt: skip
        self._tell, self._conversation, self._config = tell, conversation, config
        self._ears, self._replies = ears, replies
        self._turn: Turn | None = None
        self._owners: dict[int, Turn] = {}
        self._unknown: set[Turn] = set()
        """Those that are over, and are not all text yet."""
        self._one = asyncio.Lock()
        self._sound_at = self._spoken_at = time.monotonic()

    # --- what the ears tell ----------------------------------------------------------------------------------

    async def speech_begins(self, at_ms: int) -> None:
        """See Listener. The reply that is being said ends, down to its engines."""
        async with self._one:
            if self._turn is not None:
                await self._turn.drop_writing()  # he goes on
                return
            turn = self._turn = Turn(at_ms, beside=self._replies().audible)
            await self._tell("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=turn.id)
            detection = self._config().audio.input.turn_detection
            if detection is not None and detection.interrupt_response:
                turn.owed = await self._replies().put_off()
                turn.interrupted = await self._replies().stop() is not None

    async def utterance(self, index: int, begin_ms: int, end_ms: int) -> None:
        """See Listener."""
        async with self._one:
            turn = self._turn = self._turn or Turn(begin_ms, beside=self._replies().audible)
            self._owners[index] = turn
            turn.texts[index] = None
            turn.quiet_ms, turn.now = end_ms, ""
            turn.ended_at = time.monotonic() - (self._ears().at_ms - end_ms) / 1000

    async def heard(self, index: int, said: Mapping[str, Any]) -> None:
        """See Listener."""
        async with self._one:
            turn = self._owners.pop(index, None)
            if turn is None:
                return
            turn.texts[index] = str(said.get("t", ""))
            turn.tone = (said.get("tone") or {}).get("label", "") or turn.tone
            turn.failed = said.get("reason", "") or turn.failed
            if not turn.heard:
                return
            turn.heard_at, turn.hear_ms = time.monotonic(), int(said.get("g", 0))
            if turn.committed:
                await self._complete(turn)
            elif turn is self._turn and not self._ears().speaking:
                await self._decide(turn, said.get("turn"))

    async def hears_now(self, text: str) -> None:
        """See Listener. A delta can only add: what was heard otherwise a moment ago waits for the whole text."""
        if self._turn is None and self._config().audio.input.turn_detection is None:
            self._turn = Turn(self._ears().at_ms)  # push to talk: nothing else says that it has begun
        turn = self._turn
        if turn is None or not self._transcribes or not text.startswith(turn.now) or text == turn.now:
            return
        delta = text[len(turn.now) :] if turn.now or not turn.texts else f" {text}"
        turn.now = text
        told = {"item_id": turn.id, "content_index": 0, "delta": delta}
        await self._tell("conversation.item.input_audio_transcription.delta", **told)

    async def quiet(self, at_ms: int) -> None:
        """See Listener."""
        if (turn := self._turn) is not None and turn.texts and at_ms - turn.quiet_ms >= 1000 * self._patience_s():
            async with self._one:
                if turn is self._turn and time.monotonic() >= turn.again_at:
                    await self._commit(turn)

    async def idle(self) -> None:
        """Called now and then: a client that sends nothing is silent, too."""
        turn, stalled_s = self._turn, time.monotonic() - self._sound_at
        if turn is not None and self._ears().speaking and stalled_s >= STALLED_S + self._patience_s():
            await self._ears().commit()
        if turn is not None and turn.texts and stalled_s >= STALLED_S + self._patience_s():
            async with self._one:
                if turn is self._turn and not self._ears().speaking and time.monotonic() >= turn.again_at:
                    await self._commit(turn)
        if turn is None:
            await self._prompt()

    def sound_came(self) -> None:
        """The client is there."""
        self._sound_at = time.monotonic()

    # --- what the client says --------------------------------------------------------------------------------

    async def commit(self) -> None:
        """Push to talk: the turn is over. Its utterances are known by now."""
        async with self._one:
            if self._turn is not None and self._turn.texts:
                await self._commit(self._turn)

    async def clear(self) -> None:
        """What was said was nothing."""
        async with self._one:
            if self._turn is not None:
                await self._turn.drop_writing()
                self._owners = {index: turn for index, turn in self._owners.items() if turn is not self._turn}
                self._turn = None

    async def close(self) -> None:
        """The client has gone: what was begun, in case it would be wanted, is not. Raises Unavailable."""
        if self._turn is not None:
            await self._turn.drop_writing()

    async def settled(self) -> None:
        """Until all that was said is text. Raises Unavailable."""
        try:
            async with asyncio.timeout(HEARD_S):
                for turn in list(self._unknown):
                    await turn.known.wait()
        except TimeoutError as exc:
            raise Unavailable("The text of what was said") from exc

    # --- turns -----------------------------------------------------------------------------------------------

    @property
    def _transcribes(self) -> bool:
        """Whether the client is told what was heard."""
        return self._config().audio.input.transcription is not None

    def _patience_s(self) -> float:
        detection = self._config().audio.input.turn_detection
        if isinstance(detection, SemanticVad):
            return detection.patience_s
        return float("inf") if detection is None else detection.silence_duration_ms / 1000

    def _silent_s(self) -> float:
        """Since when nobody has said anything, behind a reply."""
        return min(self._replies().silent_s, time.monotonic() - self._spoken_at)

    async def _decide(self, turn: Turn, probability: float | None) -> None:
        """All was heard, and nobody speaks: it is over, or may be."""
        detection = self._config().audio.input.turn_detection
        likely = probability is None or probability >= LIKELY
        if isinstance(detection, SemanticVad) and (not turn.text or likely):
            await self._commit(turn)
            return
        if turn.text and detection is not None and detection.create_response and self._replies().audible is None:
            turn.writing = self._replies().write([*self._conversation.items, turn.item])
            try:
                await turn.writing.ask()
            except CastlineError as exc:  # it will be asked again, and said then
                logger.info("an answer was not begun early", extra={"error": str(exc)})
                turn.writing = None

    async def _commit(self, turn: Turn) -> None:
        turn.committed, self._turn = True, None
        self._unknown.add(turn)
        try:
            before = await self._conversation.add(turn.item)
        except CastlineError:  # it is tried again, with the next silence
            turn.committed, self._turn, turn.again_at = False, turn, time.monotonic() + AGAIN_S
            self._unknown.discard(turn)
            raise
        if self._config().audio.input.turn_detection is not None:
            await self._tell("input_audio_buffer.speech_stopped", audio_end_ms=turn.quiet_ms, item_id=turn.id)
        await self._tell_added(turn, before)
        if turn.heard:
            await self._complete(turn)

    async def _tell_added(self, turn: Turn, before: str | None) -> None:
        await self._tell("input_audio_buffer.committed", previous_item_id=before, item_id=turn.id)
        await self._tell("conversation.item.added", previous_item_id=before, item=turn.item)
        await self._tell("conversation.item.done", previous_item_id=before, item=turn.item)

    async def _complete(self, turn: Turn) -> None:
        """It is over, and all of it is text."""
        try:
            if self._transcribes:
                await self._tell_text(turn)
            if not turn.text or turn.is_echo:
                await self._was_nothing(turn)
                return
            await self._keep(turn)
            self._spoken_at = time.monotonic()
        finally:
            self._unknown.discard(turn)
            turn.known.set()
        detection = self._config().audio.input.turn_detection
        if detection is None or not detection.create_response:
            return
        if self._turn is not None and detection.interrupt_response:  # he goes on: both will be answered together
            self._turn.owed = True
            await turn.drop_writing()
        else:
            await self._replies().answer(turn)

    async def _keep(self, turn: Turn) -> None:
        """Its text, in the conversation; the model begins to answer meanwhile."""
        detection = self._config().audio.input.turn_detection
        answered = detection is not None and detection.create_response and self._replies().audible is None
        if answered and turn.writing is None:
            item = turn.item
            items = [item if one["id"] == turn.id else one for one in self._conversation.items]
            turn.writing = self._replies().write(items)
            turn.writing.begin()
        try:
            await self._conversation.change(turn.item)
        except BaseException:
            await turn.drop_writing()
            raise

    async def _tell_text(self, turn: Turn) -> None:
        told: dict[str, Any] = {"item_id": turn.id, "content_index": 0}
        if turn.failed:
            error = {"type": "server_error", "code": "given_up", "message": turn.failed, "param": None}
            await self._tell("conversation.item.input_audio_transcription.failed", **told, error=error)
            return
        usage = {"type": "duration", "seconds": max(0, turn.quiet_ms - turn.begin_ms) / 1000}
        said = {**told, "transcript": turn.text, "usage": usage}
        await self._tell("conversation.item.input_audio_transcription.completed", **said)

    async def _was_nothing(self, turn: Turn) -> None:
        """A noise, or our own voice: the reply goes on."""
        await turn.drop_writing()
        if self._conversation.has(turn.id):
            await self._conversation.remove(turn.id)
            await self._tell("conversation.item.deleted", item_id=turn.id)
        if turn.interrupted and turn.beside is not None:
            await self._replies().answer(turn, GO_ON if turn.beside.text_heard else "")
        elif turn.owed:
            await self._replies().answer(turn)

    async def _prompt(self) -> None:
        """Nobody has said anything for long: say something, where the session is set to it."""
        detection, silent_s = self._config().audio.input.turn_detection, self._silent_s()
        timeout_ms = detection.idle_timeout_ms if isinstance(detection, ServerVad) else None
        if timeout_ms is None or 1000 * silent_s < timeout_ms:
            return
        async with self._one:
            if self._turn is None and self._replies().audible is None:
                at_ms = self._ears().at_ms
                turn = Turn(max(0, at_ms - timeout_ms), committed=True, quiet_ms=at_ms)
                times = {"audio_start_ms": turn.begin_ms, "audio_end_ms": at_ms}
                await self._tell("input_audio_buffer.timeout_triggered", **times, item_id=turn.id)
                await self._tell_added(turn, await self._conversation.add(turn.item))
                await self._replies().answer(turn, SILENCE)
