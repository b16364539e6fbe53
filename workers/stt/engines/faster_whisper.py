"""Whisper on CTranslate2 through faster-whisper: int8 on a CPU, float16 on CUDA. One model, `slots` callers at once."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, TypeVar

import ctranslate2  # type: ignore[import-untyped]
import faster_whisper  # type: ignore[import-untyped]
import numpy as np

from contracts.errors import BadInput, EngineStopped, Misconfigured, ModelMissing
from workers.stt.cut import without_rest
from workers.stt.engines.silero import Silero, load_session
from workers.stt.engines.smart_turn import WINDOW, SmartTurn
from workers.stt.hearing import PER_MS, SAMPLE_RATE, Activity, Heard, HearOptions, Samples, Segment, Task, Word
from workers.stt.phrases import HOLE_MS, phrases

logger = logging.getLogger(__name__)

COMPUTE_TYPES = {"cpu": "int8", "cuda": "float16"}
PROBE_S = 28
"""Seconds of audio the probe stands for: a full piece."""
PROBE_TOKENS = 96
"""What 28 s of read speech come to (3.4 tokens per second)."""
UNHEARD_MS = 2_500
"""A rest that is longer and has no text is heard again: pauses in a piece last up to 3 s, most of them far less."""
TIMED_MS = 10_000
"""A shorter piece is heard with times among the tokens: it is seldom two windows, and base hears single sentences
better so."""
_PARTS = 4
_LADDER = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)

_Timed = TypeVar("_Timed", Segment, Word)


class FasterWhisper:
    """folder: a converted model, its name is the model's; device: cpu, cuda or auto; compute_type: "" is by device.

    threads: cores of one slot; beam: width of the search at temperature 0; turn: Smart Turn's file, if it is wanted.
    """

    name = "faster-whisper"

    def __init__(
        self,
        folder: Path,
        *,
        device: str = "cpu",
        compute_type: str = "",
        slots: int = 1,
        threads: int = 1,
        beam: int = 5,
        turn: Path | None = None,
    ) -> None:
        self.model = folder.name
        self._folder = folder
        self._asked = device
        self._compute_type = compute_type
        self._slots = slots
        self._threads = threads
        self._beam = beam
        self._turn_file = turn
        self._whisper: Any = None
        self._detector: Any = None
        self._turn: SmartTurn | None = None

    def load(self) -> None:
        """As HearingEngine. A GPU that was asked for and is not there is an error, not a CPU."""
        if not (self._folder / "model.bin").is_file():
            raise ModelMissing(f"{self._folder} holds no model; get it with `castline models pull {self.model}`")
        device = self._asked
        if device == "auto":
            device = "cuda" if ctranslate2.get_cuda_device_count() else "cpu"
        compute_type = self._compute_type or COMPUTE_TYPES.get(device, "default")
        try:
            self._whisper = faster_whisper.WhisperModel(
                str(self._folder), device=device, compute_type=compute_type,
                cpu_threads=self._threads, num_workers=2 * self._slots, local_files_only=True,
            )  # fmt: skip
        except (ValueError, RuntimeError) as exc:
            raise Misconfigured(f"{self.model} can not be loaded on {device!r}: {exc}") from exc
        self._detector = load_session()
        if self._turn_file is not None and self._turn_file.is_file():
            self._turn = SmartTurn(self._turn_file)
        else:
            logger.warning("it can not be told whether a speaker has finished: castline models pull smart-turn")
        logger.info("model is loaded", extra={"model": self.model, "compute_type": self._whisper.model.compute_type})

    def devices(self) -> tuple[str, str]:
        """(asked, active)."""
        return self._asked, str(self._whisper.model.device)

    def probe(self) -> float:
        """As HearingEngine: one window of noise and the search for as many tokens as 28 s of speech come to."""
        noise = np.random.default_rng(0).normal(0, 0.01, PROBE_S * SAMPLE_RATE).astype(np.float32)
        self._search(noise, tokens=4)
        started = time.perf_counter()
        self._search(noise, tokens=PROBE_TOKENS)
        return PROBE_S / (time.perf_counter() - started)

    def _search(self, samples: Samples, tokens: int) -> None:
        features = faster_whisper.audio.pad_or_trim(self._whisper.feature_extractor(samples))
        tokenizer = faster_whisper.tokenizer.Tokenizer(
            self._whisper.hf_tokenizer, self._whisper.model.is_multilingual, task="transcribe", language="en"
        )
        prompt = self._whisper.get_prompt(tokenizer, [])
        # Without an end-of-text token to choose, the search goes on to the length that is asked for.
        self._whisper.model.generate(
            self._whisper.encode(features), [prompt], beam_size=self._beam, max_length=len(prompt) + tokens,
            suppress_tokens=[tokenizer.eot],
        )  # fmt: skip

    def check(self, language: str | None, task: Task) -> None:
        """As HearingEngine."""
        if not self._whisper.model.is_multilingual and (language not in (None, "en") or task == "translate"):
            raise BadInput(
                f"Model {self.model} knows English only; it takes language en and task transcribe.",
                field="task" if task == "translate" else "language",
            )
        if language is not None and language not in self._whisper.supported_languages:
            known = ", ".join(self._whisper.supported_languages)
            raise BadInput(
                f"Model {self.model} does not know language {language!r}; it knows {known}.", field="language"
            )

    def activity(self) -> Activity:
        """As HearingEngine: Silero VAD."""
        return Silero(self._detector)

    def turn(self, samples: Samples) -> float | None:
        """As HearingEngine: Smart Turn, on what was said without the silence behind it.

        It takes a long silence for an end whatever is before it, and that silence is known already.
        """
        if self._turn is None:
            return None
        return self._turn(without_rest(samples[-2 * WINDOW :], self.activity()))

    def detect_language(self, samples: Samples) -> tuple[str, float]:
        """As HearingEngine; an English-only model says English."""
        if not self._whisper.model.is_multilingual:
            return "en", 1.0
        language, probability, _ = self._whisper.detect_language(audio=samples)
        return str(language), float(probability)

    def transcribe(self, samples: Samples, options: HearOptions, stop: threading.Event) -> Heard:
        """As HearingEngine. `stop` is seen between windows: a piece has one, seldom two.

        A piece is speech up to its end, but Whisper sometimes ends its text early, at a change of voice or style, or
        leaves out a sentence that was said twice: then the rest is heard by itself, from where words are missing.
        """
        self.check(options.language, options.task)
        heard = Heard("", options.language, ())
        offset_ms = 0
        for left in reversed(range(_PARTS)):
            rest = samples[offset_ms * PER_MS :]
            part = self._hear(rest, options, stop)
            if left and not options.fast:
                part = _before_hole(part)
            heard = _joined(heard, part, offset_ms)
            until_ms = part.segments[-1].end_ms if part.segments else 0
            offset_ms += until_ms
            if options.fast or until_ms == 0 or rest.size // PER_MS - until_ms <= UNHEARD_MS:
                break
        return heard

    def _hear(self, samples: Samples, options: HearOptions, stop: threading.Event) -> Heard:
        # With times among its tokens Whisper ends its text with a sentence, and what is behind that costs another
        # window. Words get their times from the attention, for a twentieth of a window.
        untimed = samples.size > TIMED_MS * PER_MS and not options.fast
        found, _ = self._whisper.transcribe(
            samples, language=options.language, task=options.task, beam_size=1 if options.fast else self._beam,
            initial_prompt=options.prompt or None, hotwords=options.hotwords or None,
            temperature=options.temperature or list(_LADDER[:1] if options.fast else _LADDER),
            without_timestamps=untimed, word_timestamps=options.words or untimed,
            # A piece is cut out already, and what was wrong in one window must not be carried into the next.
            vad_filter=False, condition_on_previous_text=False,
        )  # fmt: skip
        segments: list[Segment] = []
        words: list[Word] = []
        texts: list[str] = []
        for one in found:  # computed as they are taken
            if stop.is_set():
                raise EngineStopped("stopped")
            texts.append(one.text)
            segments.append(_segment(one))
            words += [Word(_ms(w.start), _ms(w.end), w.word, float(w.probability)) for w in one.words or ()]
            if untimed:
                # That was all of the window. Here the library would hear again whatever is behind the last word.
                language = "en" if options.task == "translate" else options.language
                segments = [_phrase(segments[0], part) for part in phrases(words, language)] or segments
                break
        return Heard("".join(texts).strip(), options.language, tuple(segments), tuple(words) if options.words else ())


def _phrase(window: Segment, words: Sequence[Word]) -> Segment:
    """Part of a window, which is what Whisper's probabilities are about."""
    text = "".join(word.word for word in words).strip()
    return dataclasses.replace(window, start_ms=words[0].start_ms, end_ms=words[-1].end_ms, text=text)


def _before_hole(heard: Heard) -> Heard:
    for n, (segment, following) in enumerate(pairwise(heard.segments), 1):
        if following.start_ms - segment.end_ms > HOLE_MS:
            kept = heard.segments[:n]
            words = tuple(word for word in heard.words if word.end_ms <= segment.end_ms)
            return Heard(" ".join(part.text for part in kept), heard.language, kept, words)
    return heard


def _segment(one: Any) -> Segment:  # noqa: ANN401  the library has no types
    return Segment(
        start_ms=_ms(one.start),
        end_ms=_ms(one.end),
        text=one.text.strip(),
        avg_logprob=float(one.avg_logprob),
        no_speech_prob=float(one.no_speech_prob),
        compression_ratio=float(one.compression_ratio),
        temperature=float(one.temperature or 0.0),
    )


def _joined(heard: Heard, more: Heard, offset_ms: int) -> Heard:
    def later(part: _Timed) -> _Timed:
        return dataclasses.replace(part, start_ms=part.start_ms + offset_ms, end_ms=part.end_ms + offset_ms)

    return Heard(
        text=f"{heard.text} {more.text}".strip(),
        language=more.language,
        segments=heard.segments + tuple(later(s) for s in more.segments),
        words=heard.words + tuple(later(w) for w in more.words),
    )


def _ms(seconds: float) -> int:
    return round(1_000 * float(seconds))
