"""OpenAI's Realtime API: voice chat over a WebSocket."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, WebSocket, WebSocketDisconnect

from contracts.errors import BadInput, CastlineError, UnknownLog
from producer_api import metrics
from producer_api.front import FrontDep
from producer_api.realtime.conversation import Conversation, TakenOver
from producer_api.realtime.events import Teller
from producer_api.realtime.session import RealtimeSession, chat_model

logger = logging.getLogger(__name__)

router = APIRouter(prefix="/v1")

PROTOCOL = "realtime"
BETA = "openai-beta.realtime-v1"
LONGEST_MESSAGE = 16 << 20
REFUSED, UNKNOWN, TAKEN_OVER, TRY_AGAIN = 4422, 4404, 4409, 1013
"""WebSocket close codes; the `error` event before says which."""


@router.websocket("/realtime")
async def realtime(socket: WebSocket, front: FrontDep, model: str = "", session: str = "", timing: str = "") -> None:
    """Events of OpenAI's Realtime API, as JSON texts. model: alias of a language model, or a name of OpenAI's; session:
    of an earlier connection, whose conversation goes on; timing: `1` for an event `castline.timing` after each reply.

    The beta's events are spoken with the header `OpenAI-Beta: realtime=v1` or the subprotocol of that name.
    """
    offered = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    beta = BETA in offered or "realtime=v1" in socket.headers.get("openai-beta", "")
    send = _Sender(socket, front.settings.send_timeout_s)
    tell = Teller(send, beta=beta)
    address = socket.client.host if socket.client else ""
    try:
        resumed = await Conversation.open(front, session) if session else None
        alias = await chat_model(front, model)  # before a log is opened for a chat that can not be
        conversation = resumed or await Conversation.open(front)
        chat = RealtimeSession(front, tell, conversation, model=alias, address=address, timing=timing == "1")
        await chat.begin()
        with metrics.TALKS.track_inprogress():
            await _converse(socket, chat, send)
    except CastlineError as exc:
        tell.muted = False
        await tell.error(exc)
        await send.close(_code(exc))
    except WebSocketDisconnect:
        logger.info("a realtime client has left")


class _Sender:
    """The socket's other direction. What a client would be told that has left goes nowhere."""

    def __init__(self, socket: WebSocket, timeout_s: float) -> None:
        self._socket = socket
        self._timeout_s = timeout_s
        self._one = asyncio.Lock()
        self.gone = asyncio.Event()
        """The client has left, or does not read."""

    async def __call__(self, event: Mapping[str, Any]) -> None:
        """One event."""
        if self.gone.is_set():
            return
        try:
            async with self._one, asyncio.timeout(self._timeout_s):
                await self._socket.send_text(json.dumps(event))
        except (RuntimeError, TimeoutError, WebSocketDisconnect):
            self.gone.set()

    async def close(self, code: int) -> None:
        """Unless it is closed."""
        with contextlib.suppress(RuntimeError, WebSocketDisconnect, TimeoutError):
            async with asyncio.timeout(self._timeout_s):
                await self._socket.close(code)


def _code(exc: CastlineError) -> int:
    match exc:
        case TakenOver():
            return TAKEN_OVER
        case UnknownLog():
            return UNKNOWN
        case BadInput():
            return REFUSED
    return TRY_AGAIN


async def _converse(socket: WebSocket, chat: RealtimeSession, send: _Sender) -> None:
    """Until the client leaves, or is to. Raises TakenOver, WebSocketDisconnect."""
    gone = asyncio.create_task(send.gone.wait())
    tasks = (asyncio.create_task(_heed(socket, chat)), asyncio.create_task(chat.watch()), gone)
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if gone in done:
            await send.close(TRY_AGAIN)
        for task in done:
            await task
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        try:
            await chat.close()
        except CastlineError as exc:
            logger.info("a realtime session did not end in order", extra={"error": str(exc)})


async def _heed(socket: WebSocket, chat: RealtimeSession) -> None:
    """Raises TakenOver, WebSocketDisconnect."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            raise WebSocketDisconnect(message.get("code", 1006))
        text = message.get("text")
        await chat.heed("" if text is None or len(text) > LONGEST_MESSAGE else text)
