"""Voices, mixes and ids: one spelling per mix, one id per recipe."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import BadInput, MalformedMessage, UnknownVoice
from contracts.ids import JOB_ID, log_id
from contracts.jobs import SpeechRecipe
from contracts.units import Unit
from contracts.voices import VOICES, canonical_voice, parse_mix, resolve

KOKORO = sorted(v.id for v in VOICES.values() if v.model == "kokoro")


@pytest.mark.parametrize(
    ("mix", "canonical"),
    [
        ("af_heart", "af_heart"),
        ("af_heart(7)", "af_heart"),
        (" af_sky(1) + af_bella(2) ", "af_bella(2)+af_sky(1)"),
        ("af_bella(0.5)+af_sky(0.25)", "af_bella(2)+af_sky(1)"),
        ("af_bella+af_bella+af_sky", "af_bella(2)+af_sky(1)"),
    ],
)
def test_a_mix_has_one_spelling(mix: str, canonical: str) -> None:
    assert canonical_voice(mix) == canonical


@given(st.dictionaries(st.sampled_from(KOKORO), st.integers(1, 9999), min_size=1, max_size=8))
def test_weights_sum_to_one_and_the_canonical_form_is_a_fixed_point(weights: dict[str, int]) -> None:
    mix = "+".join(f"{v}({w})" for v, w in weights.items())
    assert sum(w for _, w in parse_mix(mix)) == Fraction(1)
    once = canonical_voice(mix)
    assert canonical_voice(once) == once
    assert dict(parse_mix(once)) == dict(parse_mix(mix))


@pytest.mark.parametrize(
    "mix", ["", "+", "nobody", "af_heart()", "af_heart(-1)", "af_heart(0)", "a" * 2000, "af_sky+tone"]
)
def test_a_bad_mix_is_refused(mix: str) -> None:
    with pytest.raises(UnknownVoice):
        parse_mix(mix)


def test_the_voice_decides_model_and_language() -> None:
    assert resolve(None, None, None)[1:] == ("af_heart", "en-US")
    assert resolve(None, "bf_emma", None)[2] == "en-GB"
    assert resolve(None, "bf_emma", "en")[2] == "en-US"
    assert resolve(None, "jf_alpha", "en_us")[2] == "en-US"
    assert resolve("espeak", None, "de")[1:] == ("espeak-en-us", "de-DE")
    for bad in ((None, "jf_alpha", None), (None, None, "tlh"), ("nothing", None, None), ("tone", "af_heart", None)):
        with pytest.raises(BadInput):
            resolve(*bad)


def recipe(**changes: object) -> SpeechRecipe:
    fields = {"model": "kokoro", "model_version": "1", "voice": "af_heart", "language": "en-US", "speed": 1.0}
    return SpeechRecipe.model_validate({**fields, "normaliser": 1, **changes})


def test_an_id_names_the_whole_recipe_the_tenant_and_the_secret() -> None:
    ids = {
        log_id(b"secret", "", recipe(), "Hello."),
        log_id(b"other", "", recipe(), "Hello."),
        log_id(b"secret", "tenant", recipe(), "Hello."),
        log_id(b"secret", "", recipe(), "Hello!"),
        *(log_id(b"secret", "", recipe(**{k: v}), "Hello.") for k, v in
          {"model": "m", "model_version": "2", "voice": "af_sky", "language": "en-GB", "speed": 1.1,
           "normaliser": 2}.items()),
    }  # fmt: skip
    assert len(ids) == 10
    assert all(JOB_ID.fullmatch(i) for i in ids)
    assert log_id(b"secret", "", recipe(), "Hello.") in ids


@pytest.mark.parametrize(
    "text", ["", "a:b", "a:e1:-1", "a:e1:01", "a b:e1:1", "a:xyz:1", "a:e1:1:2", "a" * 65 + ":e1:1"]
)
def test_a_malformed_unit_is_refused(text: str) -> None:
    with pytest.raises(MalformedMessage):
        Unit.parse(text)


def test_a_unit_survives_its_spelling() -> None:
    unit = Unit("A-_z" * 4, "00ff", 12)
    assert Unit.parse(str(unit)) == unit
