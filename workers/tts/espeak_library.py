"""eSpeak NG behind ctypes: phonemes and formant speech. The library comes from the package espeakng-loader.

It is GPL-3 software, so it is no part of castline: it is looked for at run time, when something first asks for it.
It keeps its state in globals and is not thread-safe: one handle, one lock, for the whole process.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import threading
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from contracts.errors import EngineError, ModelMissing, UnitFailed

ESPEAK_RATE = 22_050
"""Samples per second it speaks at."""
ESPEAK_VOICES = {
    "en-US": "en-us", "en-GB": "en", "es-ES": "es", "fr-FR": "fr", "de-DE": "de", "it-IT": "it", "pt-BR": "pt-br",
    "hi-IN": "hi",
}  # fmt: skip
"""Its voice for each BCP 47 tag."""
TIE = "^"
"""Stands between the parts of a diphthong or affricate in phonemes()."""

# Names and values of its speak_lib.h.
_AUDIO_OUTPUT_SYNCHRONOUS = 2
_INITIALIZE_DONT_EXIT = 0x8000
_CHARS_UTF8 = 1
_PHONEMES_IPA = 0x02
_PHONEMES_TIE = 0x80
_TIE_SHIFT = 8
_RATE = 1
_END_PAUSE = 0x1000
_NORMAL_WORDS_PER_MINUTE = 175
_SLOWEST, _FASTEST = 80, 450
_BUFFER_MS = 60
"""How much it speaks between two questions whether to stop."""

_NO_MORE_EVENTS, _WORD_EVENT = 0, 1


class _Event(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_int), ("identifier", ctypes.c_uint), ("text_position", ctypes.c_int),
        ("length", ctypes.c_int), ("audio_position", ctypes.c_int), ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p), ("id", ctypes.c_char * 8),
    )  # fmt: skip


_SynthCallback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))


class EspeakLibrary:
    """The loaded library. Get it from espeak(); every method takes the lock."""

    def __init__(self, library: ctypes.CDLL, data_path: str) -> None:
        self._lib = library
        self._lock = threading.Lock()
        self._voice = ""
        library.espeak_TextToPhonemes.restype = ctypes.c_char_p
        library.espeak_TextToPhonemes.argtypes = [ctypes.POINTER(ctypes.c_char_p), ctypes.c_int, ctypes.c_int]
        library.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
        library.espeak_Initialize.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_char_p, ctypes.c_int]
        library.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
            ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        rate = library.espeak_Initialize(
            _AUDIO_OUTPUT_SYNCHRONOUS, _BUFFER_MS, data_path.encode(), _INITIALIZE_DONT_EXIT
        )
        if rate != ESPEAK_RATE:
            raise EngineError(f"eSpeak NG does not start with the data in {data_path} (it answers {rate})")
        # It keeps the pointer; so must we.
        self._callback = _SynthCallback(self._on_samples)
        self._sink: Callable[[NDArray[np.int16], Iterable[tuple[int, int, int]]], bool] | None = None
        library.espeak_SetSynthCallback(self._callback)

    def phonemes(self, text: str, language: str) -> str:
        """IPA with stress marks, ties as TIE; punctuation is lost and clauses are joined by a space. Raises UnitFailed.

        language: a key of ESPEAK_VOICES.
        """
        mode = _PHONEMES_IPA | _PHONEMES_TIE | (ord(TIE) << _TIE_SHIFT)
        clauses: list[str] = []
        with self._lock:
            self._speak_as(language)
            buffer = ctypes.create_string_buffer(text.replace("\0", " ").encode())
            rest = ctypes.c_char_p(ctypes.addressof(buffer))
            while rest.value is not None:  # one clause per call, then it moves the pointer, at last to NULL
                clause: bytes | None = self._lib.espeak_TextToPhonemes(ctypes.byref(rest), _CHARS_UTF8, mode)
                clauses.append((clause or b"").decode())
        return " ".join(clause.strip() for clause in clauses if clause.strip())

    def speak(
        self, text: str, language: str, speed: float, stop: threading.Event
    ) -> tuple[NDArray[np.int16], list[tuple[int, int, int]]]:
        """Formant speech at ESPEAK_RATE, shape (n,), what there is so far once `stop` is set; and its words.

        speed: 1 is 175 words a minute; the library takes 0.46 to 2.57, what lies outside is brought to that.
        Words: where in the text they begin and end, and when they begin, ms. Raises UnitFailed.
        """
        parts: list[NDArray[np.int16]] = []
        words: list[tuple[int, int, int]] = []

        def sink(samples: NDArray[np.int16], begun: Iterable[tuple[int, int, int]]) -> bool:
            parts.append(samples)
            words.extend(begun)
            return stop.is_set()

        data = text.replace("\0", " ").encode()
        with self._lock:
            self._speak_as(language)
            rate = min(max(round(_NORMAL_WORDS_PER_MINUTE * speed), _SLOWEST), _FASTEST)
            self._lib.espeak_SetParameter(_RATE, rate, 0)
            self._sink = sink
            try:
                code = self._lib.espeak_Synth(data, len(data) + 1, 0, 0, 0, _CHARS_UTF8 | _END_PAUSE, None, None)
            finally:
                self._sink = None
        if code != 0:
            raise UnitFailed(f"eSpeak NG answers {code}")
        return np.concatenate(parts) if parts else np.empty(0, np.int16), words

    def _on_samples(self, samples: ctypes._Pointer[ctypes.c_short], count: int, events: ctypes._Pointer[_Event]) -> int:
        """Called by the library in the thread that speaks; 1 tells it to stop."""
        if self._sink is None:
            return 0
        heard = np.ctypeslib.as_array(samples, (count,)).copy() if count > 0 else np.empty(0, np.int16)
        return int(self._sink(heard, _words(events)))

    def _speak_as(self, language: str) -> None:
        name = ESPEAK_VOICES.get(language)
        if name is None:
            raise UnitFailed(f"eSpeak NG is not used for {language}; known: {', '.join(ESPEAK_VOICES)}")
        if name != self._voice:
            if self._lib.espeak_SetVoiceByName(name.encode()) != 0:
                raise UnitFailed(f"eSpeak NG has no voice {name!r}")
            self._voice = name


def _words(events: ctypes._Pointer[_Event]) -> Iterator[tuple[int, int, int]]:
    """(begin, end, ms) of the words among events; text positions count from 1."""
    at = 0
    while (event := events[at]).type != _NO_MORE_EVENTS:
        if event.type == _WORD_EVENT:
            yield event.text_position - 1, event.text_position - 1 + event.length, event.audio_position
        at += 1


_loading = threading.Lock()


@functools.cache
def _load() -> EspeakLibrary:
    try:
        loader = importlib.import_module("espeakng_loader")
    except ImportError as exc:
        raise ModelMissing('eSpeak NG is not here: pip install "castline[embedded]"') from exc
    try:
        library = ctypes.CDLL(loader.get_library_path())
    except OSError as exc:
        raise ModelMissing(f"eSpeak NG does not load: {exc}") from exc
    return EspeakLibrary(library, str(loader.get_data_path()))


def espeak() -> EspeakLibrary:
    """The library of this process, loaded at the first call. Raises ModelMissing or EngineError."""
    with _loading:  # cache alone would let two threads initialise it twice
        return _load()
