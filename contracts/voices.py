"""The voices a client may name, and mixes of them. Static: it is part of the agreement, not of a worker's disk.

Kokoro v1.0 voices by hexgrad (Apache-2.0); the first letter is the language, the second f(emale) or m(ale).
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from fractions import Fraction

from contracts.errors import BadInput, UnknownVoice

KOKORO_LANGUAGES = {
    "a": "en-US", "b": "en-GB", "e": "es-ES", "f": "fr-FR", "h": "hi-IN",
    "i": "it-IT", "j": "ja-JP", "p": "pt-BR", "z": "zh-CN",
}  # fmt: skip
"""Kokoro's letters -> BCP 47."""
_KOKORO = """
af_alloy af_aoede af_bella af_heart af_jessica af_kore af_nicole af_nova af_river af_sarah af_sky
am_adam am_echo am_eric am_fenrir am_liam am_michael am_onyx am_puck am_santa
bf_alice bf_emma bf_isabella bf_lily bm_daniel bm_fable bm_george bm_lewis
ef_dora em_alex em_santa ff_siwis hf_alpha hf_beta hm_omega hm_psi if_sara im_nicola pf_dora pm_alex pm_santa
jf_alpha jf_gongitsune jf_nezumi jf_tebukuro jm_kumo
zf_xiaobei zf_xiaoni zf_xiaoxiao zf_xiaoyi zm_yunjian zm_yunxi zm_yunxia zm_yunyang
""".split()


# Premade voices of ElevenLabs. Every one of them speaks all the languages; this is where it comes from.
_ELEVEN = {
    "en-US": (
        "rachel sarah laura jessica matilda", "roger liam will eric chris brian bill adam", "river",
    ),
    "en-GB": ("alice lily", "george daniel", ""),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Voice:
    """One voice. language: BCP 47 tag it speaks by default; gender: female, male or neutral."""

    id: str
    model: str
    language: str
    gender: str


@dataclass(frozen=True, slots=True)
class SpeechModel:
    """A speech model of the agreement. version is part of a cast's id: other weights make other casts."""

    id: str
    version: str
    default_voice: str
    mixes: bool
    description: str


MODELS: dict[str, SpeechModel] = {
    m.id: m
    for m in (
        SpeechModel("kokoro", "1.0", "af_heart", True, "Kokoro-82M, neural, natural; the default"),
        SpeechModel("elevenlabs", "1", "eleven-sarah", False, "ElevenLabs: speech of its cloud, for money"),
        SpeechModel("espeak", "1", "espeak-en-us", False, "eSpeak NG formant synthesis: tiny, robotic, instant"),
        SpeechModel("tone", "1", "tone", False, "Test signal: a tone as long as the text would take; no speech"),
    )
}


def _catalogue() -> dict[str, Voice]:
    voices = [Voice(v, "kokoro", KOKORO_LANGUAGES[v[0]], "female" if v[1] == "f" else "male") for v in _KOKORO]
    voices += [
        Voice(f"espeak-{tag.lower()}", "espeak", tag, "neutral")
        for tag in ("en-US", "en-GB", "es-ES", "fr-FR", "de-DE", "it-IT", "pt-BR", "hi-IN")
    ]
    voices += [
        Voice(f"eleven-{name}", "elevenlabs", tag, gender)
        for tag, names in _ELEVEN.items()
        for gender, some in zip(("female", "male", "neutral"), names, strict=True)
        for name in some.split()
    ]
    voices.append(Voice("tone", "tone", "en-US", "neutral"))
    return {v.id: v for v in voices}


VOICES: dict[str, Voice] = _catalogue()
LANGUAGES: tuple[str, ...] = tuple(dict.fromkeys(v.language for v in VOICES.values()))
"""BCP 47 tags, the one meant by a bare language first."""

NOT_SPELLED: frozenset[str] = frozenset({"ja-JP", "zh-CN"})
"""Languages no engine has phonemes for yet: their voices speak other languages, with an accent."""

_TERM = re.compile(r"\s*([A-Za-z0-9_-]{1,64})\s*(?:\(\s*([0-9]{1,4}(?:\.[0-9]{1,4})?)\s*\))?\s*")
MAX_TERMS = 8


def parse_mix(mix: str) -> list[tuple[Voice, Fraction]]:
    """`af_bella(2)+af_sky(1)` -> [(af_bella, 2/3), (af_sky, 1/3)]; weights sum to 1, order kept, doubles added up.

    Raises UnknownVoice.
    """
    if len(mix) > 1024:
        raise UnknownVoice(mix[:40] + "…", "longer than 1,024 characters")
    weights: dict[str, Fraction] = {}
    for term in mix.split("+"):
        match = _TERM.fullmatch(term)
        if match is None:
            raise UnknownVoice(mix, "a mix looks like af_bella(2)+af_sky(1)")
        if match[1] not in VOICES:
            raise UnknownVoice(match[1], "no such voice; GET /v1/voices lists them")
        weight = Fraction(match[2] or "1")
        if weight == 0:
            raise UnknownVoice(mix, "a weight of 0")
        weights[match[1]] = weights.get(match[1], Fraction(0)) + weight
    if len(weights) > MAX_TERMS:
        raise UnknownVoice(mix, f"more than {MAX_TERMS} voices in one mix")
    models = {VOICES[v].model for v in weights}
    if len(models) > 1 or (len(weights) > 1 and not MODELS[models.pop()].mixes):
        raise UnknownVoice(mix, "these voices can not be mixed")
    total = sum(weights.values())
    return [(VOICES[v], w / total) for v, w in weights.items()]


def canonical_voice(mix: str) -> str:
    """One spelling per mix: sorted, weights the smallest integers. `b(1)+a(2.0)` -> `a(2)+b(1)`; `a(3)` -> `a`."""
    terms = sorted((voice.id, weight) for voice, weight in parse_mix(mix))
    if len(terms) == 1:
        return terms[0][0]
    scale = math.lcm(*(w.denominator for _, w in terms))
    return "+".join(f"{v}({int(w * scale)})" for v, w in terms)


def resolve(model: str | None, voice: str | None, language: str | None) -> tuple[SpeechModel, str, str]:
    """(model, canonical voice, language) for what a client gave. The voice decides the model where none is given.

    Raises UnknownVoice or BadInput.
    """
    if model is not None and model not in MODELS:
        raise BadInput(f"There is no model {model!r}; known: {', '.join(MODELS)}.", field="model")
    mix = voice if voice is not None else MODELS[model or "kokoro"].default_voice
    parts = parse_mix(mix)
    first = parts[0][0]
    if model is not None and first.model != model:
        raise UnknownVoice(mix, f"it belongs to model {first.model!r}, not {model!r}")
    tag = first.language if language is None else _language(language)
    if tag in NOT_SPELLED:
        raise BadInput(f"No engine can read {tag} yet; give another `language`, like en-US.", field="language")
    return MODELS[first.model], canonical_voice(mix), tag


def _language(tag: str) -> str:
    for known in LANGUAGES:
        if tag.lower().replace("_", "-") in (known.lower(), known.lower().split("-")[0]):
            return known
    raise BadInput(f"There is no language {tag[:40]!r}; known: {', '.join(LANGUAGES)}.", field="language")
