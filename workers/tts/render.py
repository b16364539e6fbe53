"""Speech for the worker shell: a unit's text becomes one chunk of the canonical codec, trimmed, paused and checked."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from contracts.codec import CANONICAL_RATE, encode_chunk
from contracts.errors import EngineError, UnitFailed
from contracts.ports import Output
from contracts.text.markup import MAX_PAUSE_S, Pause, parse, shown
from contracts.voices import MODELS, VOICES
from workers.engine import EngineInfo, UnitRequest
from workers.tts.engines import make_engine
from workers.tts.speech import SAMPLE_RATE, Speech, SpeechEngine, join, silence
from workers.tts.trim import pause_after, trim

logger = logging.getLogger(__name__)

PROBE = "The quick brown fox jumps over the lazy dog."
PROBE_SECONDS = {"kokoro": 2.83, "espeak": 2.89, "tone": 2.92}
"""What the probe lasts with each model's default voice, trimmed."""
REMOTE_XRT = 5.0
"""Taken for the speed of one slot of a remote engine; the shell corrects it with every unit."""
PROBE_TOLERANCE = 0.2
"""Builds of CUDA libraries that do not fit the device have made speech 27 % too short, without any error."""
SILENT_UNIT_S = 0.2


def build(options: Mapping[str, Any]) -> SpeechRenderer:
    """What an engine process starts from. options: SpeechSettings.options(). Raises Misconfigured."""
    return SpeechRenderer(make_engine(options["engine"], options), slots=options["slots"])


class SpeechRenderer:
    """workers.engine.Engine around a SpeechEngine.

    slots: units at once; the shell never has more in work.
    """

    def __init__(self, engine: SpeechEngine, slots: int) -> None:
        self._engine = engine
        self._slots = slots
        self._whole = threading.Lock()
        """Held while a unit has every core; a unit that has not begins after it."""

    def load(self) -> EngineInfo:
        """Load the engine; speak the probe to warm up, and again to measure. Raises ModelMissing or EngineError.

        A remote engine speaks for nobody but a listener: it is not measured.
        """
        self._engine.load()
        voices = self._engine.voices()
        if not voices:
            raise EngineError(f"engine {self._engine.name} is loaded but has no voice")
        xrt = REMOTE_XRT if self._engine.remote else self._measure(voices)
        asked, active = self._engine.devices()
        logger.info(
            "speech engine is ready", extra={"engine": self._engine.name, "device": active, "xrt": round(xrt, 2)}
        )
        return EngineInfo(
            name=self._engine.name, model=self._engine.model, device_asked=asked, device_active=active, voices=voices,
            slots=self._slots, probe_xrt=xrt,
        )  # fmt: skip

    def _measure(self, voices: Sequence[str]) -> float:
        """Real-time factor of the probe. Raises EngineError if it does not last as long as it should."""
        voice = MODELS[self._engine.model].default_voice
        if voice not in voices:
            voice = voices[0]
        self._probe(voice)
        started = time.perf_counter()
        seconds = self._probe(voice).samples.size / CANONICAL_RATE
        xrt = seconds / max(time.perf_counter() - started, 1e-6)
        self._check_probe(voice, seconds)
        return xrt

    def render(self, request: UnitRequest, stop: threading.Event) -> Output:
        """One audio record without the headers `a` and `w`: the shell has them. Raises UnitFailed, EngineStopped.

        A unit that is alone gets every core, where the engine can make use of them, and the units behind it wait:
        somebody waits for this one, and nobody can hear the next one before it.
        """
        with self._whole if self._engine.quickens else contextlib.nullcontext():
            if request.alone:
                return self._render(request, stop)
        return self._render(request, stop)

    def _render(self, request: UnitRequest, stop: threading.Event) -> Output:
        started = time.perf_counter()
        recipe = request.recipe
        speech = self._speak(
            request.text, recipe["voice"], recipe["language"], recipe["speed"], quick=request.alone, stop=stop
        )
        samples = speech.samples
        body = encode_chunk(samples)
        duration_ms = round(1000 * samples.size / CANONICAL_RATE)
        gen_ms = max(1, round(1000 * (time.perf_counter() - started)))
        headers = {
            "i": request.index, "d": duration_ms, "t": shown(request.text).rstrip(), "n": samples.size, "g": gen_ms,
            "engine": self._engine.name,
        }  # fmt: skip
        if speech.words:
            headers["words"] = [{"w": w.text, "s": _ms(w.start), "e": _ms(w.end)} for w in speech.words]
        return Output("audio", headers, body, duration_ms=duration_ms, gen_ms=gen_ms)

    def _speak(
        self, text: str, voice: str, language: str, speed: float, *, quick: bool, stop: threading.Event
    ) -> Speech:
        """Between its pauses, one part after the other."""
        spoken: list[Speech] = []
        for said, asked_s in _between_pauses(text):
            raw = self._engine.speak(said, voice=voice, language=language, speed=speed, quick=quick, stop=stop)
            if raw.samples.size == 0:
                spoken.append(silence(asked_s or 0.0))
                continue
            if not np.isfinite(raw.samples).all():
                raise UnitFailed("the model made NaN or infinity")
            if not raw.samples.any():
                raise UnitFailed("the model made nothing but zeros")
            spoken.append(trim(raw, pause_after(said) / speed if asked_s is None else asked_s))
        speech = join(spoken)
        return speech if speech.samples.size else silence(SILENT_UNIT_S)

    def _probe(self, voice: str) -> Speech:
        language = VOICES[voice].language
        return self._speak(PROBE, voice, language, 1.0, quick=False, stop=threading.Event())

    def _check_probe(self, voice: str, seconds: float) -> None:
        """Raises EngineError. A voice that is not the default one has a tempo of its own: only nonsense is caught."""
        wanted = PROBE_SECONDS[self._engine.model]
        tolerance = PROBE_TOLERANCE if voice == MODELS[self._engine.model].default_voice else 0.6
        if not abs(seconds - wanted) <= tolerance * wanted:
            raise EngineError(
                f"engine {self._engine.name}, voice {voice}: the probe lasts {seconds:.2f} s, it should last"
                f" {wanted:.2f} s; the model or its libraries do not fit this machine"
            )


def _between_pauses(text: str) -> Iterator[tuple[str, float | None]]:
    """(text, seconds of silence that are asked for behind it), "" first if it begins with a pause."""
    said, left_s = "", MAX_PAUSE_S
    for part, original in parse(text):
        if isinstance(part, Pause):
            yield said, min(part.seconds, left_s)
            said, left_s = "", max(0.0, left_s - part.seconds)
        else:
            said += original
    if said.strip():
        yield said, None


def _ms(samples: int) -> int:
    return round(1000 * samples / SAMPLE_RATE)
