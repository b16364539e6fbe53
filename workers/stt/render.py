"""Hearing for the worker shell: a file becomes pieces, a piece becomes one `segment` record with times of the file."""

from __future__ import annotations

import dataclasses
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np

from contracts.errors import BadInput, EngineStopped, UnitFailed
from contracts.jobs import PieceOrder
from contracts.ports import Output
from workers.engine import EngineInfo, Piece, UnitRequest
from workers.stt.codec import MalformedPiece, decode_piece, encode_piece
from workers.stt.cut import Piece as Cut
from workers.stt.cut import cut, speaks
from workers.stt.decode import decode
from workers.stt.engines import make_engine
from workers.stt.hearing import PER_MS, Heard, HearingEngine, HearOptions, Samples, Segment, Task, Word
from workers.stt.tone import ToneEar, make_tone

logger = logging.getLogger(__name__)

SURE = 0.5
"""A language of a higher probability is taken at once."""
TRIES = 3
"""Pieces that are listened to for the language; then the likeliest is taken."""


def build(options: Mapping[str, Any]) -> TranscriptRenderer:
    """What an engine process starts from. options: HearingSettings.options(). Raises Misconfigured."""
    return TranscriptRenderer(
        make_engine(options["engine"], options), options["slots"], options["max_s"], make_tone(options["tone"])
    )


class TranscriptRenderer:
    """workers.engine.Engine around a HearingEngine.

    slots: pieces at once; max_s: longest audio that is cut; tone: what hears the tone of voice, None: nothing does.
    """

    def __init__(self, engine: HearingEngine, slots: int, max_s: float, tone: ToneEar | None = None) -> None:
        self._engine = engine
        self._slots = slots
        self._max_s = max_s
        self._tone = tone

    def load(self) -> EngineInfo:
        """Load the engine, warm it up, measure it. Raises ModelMissing, Misconfigured."""
        self._engine.load()
        if self._tone is not None:
            self._tone.load()
        xrt = self._engine.probe()
        asked, active = self._engine.devices()
        logger.info(
            "hearing engine is ready",
            extra={"engine": self._engine.name, "model": self._engine.model, "device": active, "xrt": round(xrt, 2)},
        )
        return EngineInfo(
            name=self._engine.name, model=self._engine.model, device_asked=asked, device_active=active, voices=(),
            slots=self._slots, probe_xrt=xrt,
        )  # fmt: skip

    def cut(self, path: Path, recipe: Mapping[str, Any], stop: threading.Event) -> Cutting:
        """The pieces of a file, to be taken one by one; recipe: as render takes it.

        Raises BadInput for a language or a task that the model does not know.
        """
        language = _language(recipe)
        self._engine.check(language, _task(recipe))
        return Cutting(self._engine, path, language, self._max_s, stop)

    def render(self, request: UnitRequest, stop: threading.Event) -> Output:
        """One `segment` record, or `skip` for a language or a task the model does not know.

        request.text: a PieceOrder; body: as cut made it, or as it was spoken; recipe: language (or None: as the piece
        says), task, prompt, hotwords, temperature, words. Headers: `i`, `start`, `end` (ms in the file), `t`,
        `language`, `segments` (start, end, t, avg_logprob, no_speech_prob, compression_ratio, temperature), `words`
        where wanted (start, end, t with the space before it, p), `turn` where it is asked for, somebody speaks and the
        engine can tell, `tone` (label, score) where it is sure of it, `g` (ms of engine time), `engine`.
        Raises UnitFailed, EngineStopped.
        """
        started = time.perf_counter()
        piece = PieceOrder.model_validate_json(request.text)
        recipe = request.recipe
        samples = _samples(request.body, piece)
        language = _language(recipe) or piece.language
        try:
            self._engine.check(language or None, _task(recipe))
        except BadInput as exc:  # another attempt would come to the same
            return Output("skip", {"i": request.index, "t": "", "reason": exc.detail})
        fast = piece.spoken is not None and piece.spoken.interim
        options = HearOptions(
            language=language, task=_task(recipe), prompt=recipe.get("prompt") or "",
            hotwords=recipe.get("hotwords") or "", temperature=recipe.get("temperature") or 0.0,
            words=bool(recipe.get("words")) and not fast, fast=fast,
        )  # fmt: skip
        heard = self._hear(samples, options, stop, sure=piece.spoken is None)
        headers = {
            "i": request.index, "start": piece.start, "end": piece.end, "language": heard.language,
            **_in_file(heard, piece.start, piece.end, words=options.words),
            **(self._manner(samples, piece, fast=fast) if heard.text else {}),
            "g": max(1, round(1_000 * (time.perf_counter() - started))), "engine": self._engine.name,
        }  # fmt: skip
        return Output("segment", headers, duration_ms=piece.end - piece.start, gen_ms=headers["g"])

    def _manner(self, samples: Samples, piece: PieceOrder, *, fast: bool) -> dict[str, Any]:
        """`turn` and `tone`, as far as they are wanted and known."""
        found: dict[str, Any] = {}
        if piece.spoken is not None and piece.spoken.turn and (turn := self._engine.turn(samples)) is not None:
            found["turn"] = round(turn, 3)
        if self._tone is not None and not fast and (tone := self._tone.hear(samples)) is not None:
            found["tone"] = {"label": tone[0], "score": round(tone[1], 3)}
        return found

    def _hear(self, samples: Samples, options: HearOptions, stop: threading.Event, *, sure: bool) -> Heard:
        """sure: somebody speaks in it. The front takes noise for speech rather than miss a word; Whisper would, too."""
        if not sure and not speaks(samples, self._engine.activity()):
            return Heard("", options.language, ())
        if not options.language:
            options = dataclasses.replace(options, language=self._engine.detect_language(samples)[0])
        return self._engine.transcribe(samples, options, stop)


class Cutting:
    """An iterator over the pieces of one file. The language is detected once, on the first pieces, unless given.

    Raises BadAudio, EngineStopped and OSError as it goes. duration_ms: of the whole file, once it is through.
    """

    def __init__(
        self, engine: HearingEngine, path: Path, language: str | None, max_s: float, stop: threading.Event
    ) -> None:
        self.duration_ms = 0
        self.language = language
        """None until it is known; and to the end where nobody speaks."""
        self._engine = engine
        self._stop = stop
        self._samples = 0
        self._pieces = self._encoded(cut(self._counted(decode(path, max_s)), engine.activity()))

    def __iter__(self) -> Self:
        """Itself: it goes once."""
        return self

    def __next__(self) -> Piece:
        """The next piece."""
        return next(self._pieces)

    def _counted(self, blocks: Iterator[Samples]) -> Iterator[Samples]:
        for block in blocks:
            if self._stop.is_set():
                raise EngineStopped("stopped")
            self._samples += block.size
            self.duration_ms = self._samples // PER_MS
            yield block

    def _encoded(self, pieces: Iterator[Cut]) -> Iterator[Piece]:
        for piece, language in self._in_language(pieces):
            yield Piece(piece.start_ms, piece.end_ms, language, encode_piece(piece.samples))

    def _in_language(self, pieces: Iterator[Cut]) -> Iterator[tuple[Cut, str]]:
        waiting: list[Cut] = []
        guesses: dict[str, float] = {}
        for piece in pieces:
            waiting.append(piece)
            if self.language is None:
                language, probability = self._engine.detect_language(piece.samples)
                guesses[language] = guesses.get(language, 0.0) + probability
                if probability < SURE and len(waiting) < TRIES:
                    continue
                self.language = language if probability >= SURE else max(guesses, key=lambda name: guesses[name])
            yield from ((held, self.language) for held in waiting)
            waiting.clear()
        if waiting:
            self.language = max(guesses, key=lambda name: guesses[name])
            yield from ((held, self.language) for held in waiting)


def _language(recipe: Mapping[str, Any]) -> str | None:
    """`en-GB` is en; nothing is None."""
    language = recipe.get("language")
    return str(language).partition("-")[0].lower() if language else None


def _task(recipe: Mapping[str, Any]) -> Task:
    match recipe.get("task") or "transcribe":
        case "transcribe":
            return "transcribe"
        case "translate":
            return "translate"
        case other:
            raise BadInput(f"There is no task {other!r}; known: transcribe, translate.", field="task")


def _samples(body: bytes, piece: PieceOrder) -> Samples:
    if piece.spoken is not None:
        pcm = np.frombuffer(body[: 2 * PER_MS * (piece.end - piece.start)], "<i2")
        return pcm.astype(np.float32) / np.float32(32_768)
    try:
        return decode_piece(body)
    except MalformedPiece as exc:
        raise UnitFailed(str(exc)) from exc


def _in_file(heard: Heard, start: int, end: int, *, words: bool) -> dict[str, Any]:
    """Text and times of the file: Whisper may give a time after the end of what it heard."""

    def times(part: Segment | Word) -> dict[str, int]:
        return {"start": min(start + part.start_ms, end), "end": min(start + part.end_ms, end)}

    said: dict[str, Any] = {
        "t": heard.text,
        "segments": [
            {
                **times(s), "t": s.text, "avg_logprob": round(s.avg_logprob, 4),
                "no_speech_prob": round(s.no_speech_prob, 4), "compression_ratio": round(s.compression_ratio, 3),
                "temperature": s.temperature,
            }
            for s in heard.segments
        ],
    }  # fmt: skip
    if words:
        said["words"] = [{**times(w), "t": w.word, "p": round(w.probability, 3)} for w in heard.words]
    return said
