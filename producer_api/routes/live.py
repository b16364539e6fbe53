"""Live transcripts: audio in, text out, while somebody speaks."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from contracts.errors import BadInput, CastlineError, Unavailable, problem
from contracts.records import to_json
from producer_api import metrics
from producer_api.front import Front, FrontDep
from producer_api.live.microphone import Microphone
from producer_api.live.session import LiveTranscript
from producer_api.live.turns import Turns
from producer_api.live.voice import Voice
from producer_api.transcript_models import LiveRequest, asked

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1/transcripts")

BAD_REQUEST = 4422
"""WebSocket close code: options, audio or a message that can not be used; the `error` before it says which."""
TRY_AGAIN = 1013
MESSAGE_BYTES = 1 << 20
LAST_WORDS_S = 30.0
"""What somebody said who has left is put to the order of work within this time, or not at all."""


@router.websocket("/live")
async def live(socket: WebSocket, front: FrontDep) -> None:
    """Binary messages are audio; options are query parameters, see LiveRequest. Text messages: `{"type": "pause"}` ends
    an utterance, `{"type": "close"}` the transcript. Sends JSON texts: `transcript` (where it is), records as
    `/records` has them, and `partial`. Closes with 1000 after the terminal record; after `error`, with 4422 or 1013.
    """
    await socket.accept()
    send = _Sender(socket, front.settings.send_timeout_s)
    try:
        request = asked(LiveRequest, socket.query_params)
        address = socket.client.host if socket.client else ""
        session = await front.transcripts.open_live(request, address=address)
        microphone = Microphone(request.audio_format, request.sample_rate)
        speaker = LiveTranscript(
            session, Turns(request.pause_ms, Voice()),
            store=front.store, dispatch=front.dispatch, hub=front.hub, tell=send,
        )  # fmt: skip
        view = await front.transcripts.view(session.job)
        await send({"e": "transcript", **view.model_dump(mode="json", by_alias=True)})
        with metrics.SPEAKERS.track_inprogress():
            await _converse(socket, front, speaker, microphone, send)
        await send.close(1000)
    except CastlineError as exc:
        await send({"e": "error", **_problem(exc)})
        await send.close(BAD_REQUEST if isinstance(exc, BadInput) else TRY_AGAIN)
    except WebSocketDisconnect:
        logger.info("a speaker has left")


class _Sender:
    """The socket's other direction. What a client that has left is told is nobody's loss: the log has it."""

    def __init__(self, socket: WebSocket, timeout_s: float) -> None:
        self._socket = socket
        self._timeout_s = timeout_s
        self._one = asyncio.Lock()

    async def __call__(self, message: Mapping[str, Any] | bytes) -> None:
        """Raises WebSocketDisconnect: it has left, or does not read."""
        text = (message if isinstance(message, bytes) else to_json(message)).decode()
        try:
            async with self._one, asyncio.timeout(self._timeout_s):
                await self._socket.send_text(text)
        except (RuntimeError, TimeoutError) as exc:
            raise WebSocketDisconnect(1006) from exc

    async def close(self, code: int) -> None:
        """Unless it is closed."""
        with contextlib.suppress(RuntimeError, WebSocketDisconnect):
            await self._socket.close(code)


def _problem(exc: CastlineError) -> Mapping[str, Any]:
    if isinstance(exc, BadInput):
        return exc.problem
    return problem("unavailable" if isinstance(exc, Unavailable) else "gone", 503, str(exc))


async def _converse(
    socket: WebSocket, front: Front, speaker: LiveTranscript, microphone: Microphone, send: _Sender
) -> None:
    """Until the terminal record is sent. Raises CastlineError, WebSocketDisconnect; what was said is kept."""
    touching = asyncio.create_task(speaker.touch())
    telling = asyncio.create_task(_tell(front, speaker, send))
    hearing = asyncio.create_task(_hear(socket, speaker, microphone))
    try:
        await asyncio.wait((telling, hearing), return_when=asyncio.FIRST_COMPLETED)
        if hearing.done():
            await _close(speaker)
            await hearing
        await telling
    finally:
        for task in (touching, telling, hearing):
            task.cancel()
        await asyncio.gather(touching, telling, hearing, return_exceptions=True)
        if not hearing.done() or hearing.cancelled():
            await _close(speaker)


async def _close(speaker: LiveTranscript) -> None:
    """If the store is away, a janitor closes it."""
    try:
        async with asyncio.timeout(LAST_WORDS_S):
            await asyncio.shield(speaker.close())
    except (Unavailable, TimeoutError) as exc:
        logger.warning("a live transcript is left to the janitor", extra={"error": str(exc)})


async def _tell(front: Front, speaker: LiveTranscript, send: _Sender) -> None:
    async with contextlib.aclosing(front.hub.follow(speaker.session.job, 0)) as runs:  # type: ignore[type-var]
        async for records in runs:
            for record in records:
                speaker.follow(record)
                await send(record.head)


async def _hear(socket: WebSocket, speaker: LiveTranscript, microphone: Microphone) -> None:
    """Until the client has said all. Raises BadInput, Unavailable, UnknownLog, WebSocketDisconnect."""
    async for message in _messages(socket):
        if isinstance(message, bytes):
            await speaker.hear(microphone.pcm(message))
        elif message == "pause":
            await speaker.pause()
        else:
            break
    await speaker.hear(microphone.rest())


async def _messages(socket: WebSocket) -> AsyncIterator[bytes | str]:
    """Audio as bytes, commands by their type. Raises BadInput, WebSocketDisconnect."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        if (audio := message.get("bytes")) is not None:
            if len(audio) > MESSAGE_BYTES:
                raise BadInput(f"A message may have {MESSAGE_BYTES:,} bytes.")
            yield audio
        else:
            yield _command(message["text"])


def _command(text: str) -> str:
    try:
        command = json.loads(text)
    except ValueError:
        command = None
    if not isinstance(command, dict) or command.get("type") not in ("pause", "close"):
        raise BadInput('A text message is {"type": "pause"} or {"type": "close"}; audio is binary.', field="type")
    return str(command["type"])
