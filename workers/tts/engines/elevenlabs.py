"""Engine `elevenlabs`: speech of their cloud over HTTP. It costs money, so nothing is spoken but what was ordered.

The stream with timestamps: JSON by lines, each with some PCM and the times of the characters in it, in seconds from the
beginning of the speech. What can be asked again for nothing (429, 5xx, no connection) is asked again after a pause;
what breaks off in the middle fails the unit, and the shell hands it out again.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from typing import Any, TypeVar

import httpx

from contracts.errors import EngineError, EngineStopped, Misconfigured, UnitFailed
from contracts.text.markup import shown
from workers.tts.engines.elevenlabs_stream import OUTPUT_FORMAT, Listening
from workers.tts.settings import ElevenLabsSettings
from workers.tts.speech import Speech
from workers.tts.words import shown_words

VOICE_IDS = {
    "eleven-adam": "pNInz6obpgDQGcFmaJgB", "eleven-alice": "Xb7hH8MSUJpSbSDYk0k2",
    "eleven-bill": "pqHfZKP75CvOlQylNhV4", "eleven-brian": "nPczCjzI2devNBz1zQrb",
    "eleven-chris": "iP95p4xoKVk53GoZ742B", "eleven-daniel": "onwK4e9ZLuTAKqWW03F9",
    "eleven-eric": "cjVigY5qzO86Huf0OWal", "eleven-george": "JBFqnCBsd6RMkjVDRZzb",
    "eleven-jessica": "cgSgspJ2msm6clMCkdW9", "eleven-laura": "FGY2WhTYpPnrIDTdsKH5",
    "eleven-liam": "TX3LPaxmHKxFdv7VOQHJ", "eleven-lily": "pFZP5JQG7iQjIQuC4Bku",
    "eleven-matilda": "XrExE9yKIg1WjnnlVkGX", "eleven-rachel": "21m00Tcm4TlvDq8ikWAM",
    "eleven-river": "SAz9YHcvj6GT2YYXdXww", "eleven-roger": "CwhRBWXzGAHq8TQ4Fs17",
    "eleven-sarah": "EXAVITQu4vr4xnSDxMaL", "eleven-will": "bIHbv24MWmeRgasZH58o",
}  # fmt: skip
"""Premade voices, by their ids in contracts.voices; an account need not have all of them."""
SLOWEST, FASTEST = 0.7, 1.2
PAUSES_S = (0.5, 1.0, 2.0)
"""Between tries; longer if they ask for that (Retry-After)."""
CONNECT_S = 5.0
LOOK_S = 0.05
"""How often a thread that waits looks whether it was stopped."""
LONGEST_ERROR = 64 << 10
LONGEST_MESSAGE = 200

T = TypeVar("T")


class _NotNow(Exception):
    """Nothing was spoken; the same may work after `after_s` seconds."""

    def __init__(self, detail: str, after_s: float = 0.0) -> None:
        super().__init__(detail)
        self.after_s = after_s


class ElevenLabs:
    """Requests run on an event loop of their own, on kept connections; threads wait for them."""

    name = "elevenlabs"
    model = "elevenlabs"
    remote = True
    quickens = False

    def __init__(self, settings: ElevenLabsSettings) -> None:
        self._settings = settings
        self._voices: tuple[str, ...] = ()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="elevenlabs", daemon=True)
        self._client: httpx.AsyncClient | None = None

    def load(self) -> None:
        """Ask which voices the account has, which is free. Raises Misconfigured for a key they refuse, EngineError."""
        key = self._settings.key.get_secret_value()
        if not key:
            raise Misconfigured("engine elevenlabs needs a key: CASTLINE_ELEVENLABS_KEY")
        self._client = httpx.AsyncClient(
            base_url=self._settings.url, headers={"xi-api-key": key}, proxy=self._settings.proxy, trust_env=False,
            timeout=httpx.Timeout(None, connect=CONNECT_S),
        )  # fmt: skip
        self._thread.start()
        try:
            here = self._wait(self._patiently(self._account), threading.Event())
        except UnitFailed as exc:
            raise EngineError(str(exc)) from exc
        self._voices = tuple(name for name, voice in VOICE_IDS.items() if voice in here)

    def close(self) -> None:
        """Drop the connections."""
        if self._client is not None:
            self._wait(self._client.aclose(), threading.Event())
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
        self._loop.close()

    def devices(self) -> tuple[str, str]:
        """Somebody else's."""
        return "remote", "remote"

    def voices(self) -> tuple[str, ...]:
        """Those of VOICE_IDS that the account has."""
        return self._voices

    def speak(
        self,
        text: str,
        *,
        voice: str,
        language: str,
        speed: float,
        quick: bool,  # noqa: ARG002
        stop: threading.Event,
    ) -> Speech:
        """As SpeechEngine; the request ends with `stop`. speed: what lies outside 0.7 to 1.2 is brought to that."""
        said = shown(text).strip()  # they count every character
        if not shown_words(said):
            return Listening(said).speech()
        if voice not in VOICE_IDS:
            raise UnitFailed(f"voice {voice!r} is none of ElevenLabs'")
        body: dict[str, Any] = {"text": said, "model_id": self._settings.model}
        if "multilingual_v2" not in self._settings.model:  # it finds out by itself, and takes no advice
            body["language_code"] = language.partition("-")[0]
        if speed != 1.0:
            body["voice_settings"] = {"speed": min(max(speed, SLOWEST), FASTEST)}
        return self._wait(self._patiently(lambda: self._said(VOICE_IDS[voice], body)), stop)

    def _wait(self, work: Coroutine[Any, Any, T], stop: threading.Event) -> T:
        """Its result; what is asked is cancelled, and its connection closed, once `stop` is set."""
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        while not concurrent.futures.wait([future], LOOK_S).done:
            if stop.is_set():
                future.cancel()
                raise EngineStopped("stopped")
        return future.result()

    async def _patiently(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask, and ask again; `timeout_s` for all of it. Raises UnitFailed, or Misconfigured for the key."""
        timeout_s = self._settings.timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                for pause_s in PAUSES_S:
                    try:
                        return await ask()
                    except _NotNow as exc:
                        await asyncio.sleep(max(pause_s, exc.after_s))
                return await ask()
        except TimeoutError as exc:
            raise UnitFailed(f"ElevenLabs has not answered within {timeout_s:g} s") from exc
        except _NotNow as exc:
            raise UnitFailed(str(exc)) from exc
        except httpx.HTTPError as exc:
            raise UnitFailed(f"the answer of ElevenLabs broke off ({type(exc).__name__})") from exc

    async def _account(self) -> set[str]:
        """Ids of the voices this account can use."""
        async with self._asked("GET", "/v1/voices") as response:
            try:
                return {str(voice["voice_id"]) for voice in json.loads(await response.aread())["voices"]}
            except (ValueError, KeyError, TypeError) as exc:
                raise UnitFailed(f"what answers at {self._settings.url} is not ElevenLabs") from exc

    async def _said(self, voice: str, body: Mapping[str, Any]) -> Speech:
        path, params = f"/v1/text-to-speech/{voice}/stream/with-timestamps", {"output_format": OUTPUT_FORMAT}
        listening, rest = Listening(body["text"]), b""
        async with self._asked("POST", path, params=params, json=body) as response:
            async for piece in response.aiter_bytes():
                *lines, rest = (rest + piece).split(b"\n")
                for line in lines:
                    if line.strip():
                        listening.take(line)
        if rest.strip():
            listening.take(rest)
        return listening.speech()

    @contextlib.asynccontextmanager
    async def _asked(self, method: str, path: str, **request: Any) -> AsyncIterator[httpx.Response]:
        """A response that is no error. Raises _NotNow, Misconfigured, UnitFailed."""
        assert self._client is not None  # noqa: S101  (set by load)
        async with contextlib.AsyncExitStack() as stack:
            try:
                response = await stack.enter_async_context(self._client.stream(method, path, **request))
            except (httpx.ConnectError, httpx.ConnectTimeout) as exc:
                raise _NotNow(f"no connection to ElevenLabs ({type(exc).__name__})") from exc
            if response.status_code != httpx.codes.OK:
                raise await self._refusal(response)
            yield response

    async def _refusal(self, response: httpx.Response) -> Exception:
        """What a status that is not 200 comes to, with their own word for it."""
        body = b""
        async for piece in response.aiter_bytes():
            body += piece
            if len(body) > LONGEST_ERROR:
                break
        status = response.status_code
        said = f"ElevenLabs says {status} {_detail(body)}".replace(self._settings.key.get_secret_value(), "***").strip()
        if status == httpx.codes.TOO_MANY_REQUESTS or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            after = response.headers.get("retry-after", "")
            return _NotNow(said, float(after) if after.isdecimal() else 0.0)
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN) and not self._voices:
            return Misconfigured(f"{said}; is CASTLINE_ELEVENLABS_KEY right?")
        return UnitFailed(said)


def _detail(body: bytes) -> str:
    """`invalid_api_key: Invalid API key` out of {"detail": {"status": …, "message": …}}, or what there is."""
    try:
        detail = json.loads(body)["detail"]
        text = f"{detail['status']}: {detail['message']}" if isinstance(detail, dict) else str(detail)
    except (ValueError, KeyError, TypeError, RecursionError):
        text = body.decode(errors="replace")
    return " ".join(text.split())[:LONGEST_MESSAGE]
