"""Phonemes for Kokoro: its alphabet, its punctuation, and what numbers, titles and signs become."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contracts.errors import UnitFailed
from workers.tts.g2p import KOKORO_LANGUAGES, phonemes

pytest.importorskip("espeakng_loader", reason="eSpeak NG is not here: pip install castline[embedded]")

ALPHABET = set(
    ';:,.!?—…"()“” \u0303ʣʥʦʨᵝꭧAIOQSTWYᵊabcdefhijklmnopqrstuvwxyzɑɐɒæβɔɕçɖðʤəɚɛɜɟɡɥɨɪʝɯɰŋɳɲɴøɸθœɹɾɻʁɽʂʃ'
    "ʈʧʊʋʌɣɤχʎʒʔˈˌːʰʲ↓→↗↘ᵻ"
)
"""The model's own: see vocab.json beside it."""


@pytest.mark.parametrize(
    ("text", "spelled"),
    [
        ("Hello, world! How are you?", "həlˈO, wˈɜɹld! hˈW ɑɹ ju?"),
        ("The judge chose a boy.", "ðə ʤˈʌʤ ʧˈOz ə bˈY."),
        ("a little button", "ə lˈɪTᵊl bˈʌtᵊn"),
        ('Is it "yes" ? ( no )', "ɪz ɪt “jˈɛs”? (nˈO)"),
        ("well-known - yes", "wˈɛlnˈOn — jˈɛs"),
        ("Wait... what?!", "wˈAt… wˌʌt?!"),
    ],
)
def test_american(text: str, spelled: str) -> None:
    assert phonemes(text, "en-US") == spelled


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("Mr. Smith", "mister Smith"),
        ("$5", "five dollars"),
        ("$1 and $5.25", "one dollar and five dollars and twenty five"),
        ("$2.5 million", "two point five million dollars"),
        ("£1,000", "one thousand pounds"),
        ("3.14", "three point one four"),
        ("1,000,000 people", "one million people"),
        ("in 1999", "in nineteen ninety nine"),
        ("in 2024", "in twenty twenty four"),
        ("-5 degrees", "minus five degrees"),
        ("#1", "number one"),
        ("*bold* _words_", "bold words"),
        ("50%", "fifty percent"),
        ("line\nbreak", "line break"),
    ],
)
def test_is_read_as(text: str, same_as: str) -> None:
    assert phonemes(text, "en-US").replace("ˈ", "").replace("ˌ", "") == phonemes(same_as, "en-US").replace(
        "ˈ", ""
    ).replace("ˌ", "")


@pytest.mark.parametrize(
    ("text", "marks"),
    [
        ("It is 3.14, at 10:30.", ",."),
        ("Dr. Who lives in the U.S. now.", "."),
        ("J. K. Rowling.", "."),
        ("one;two", ";"),
    ],
)
def test_marks_that_separate(text: str, marks: str) -> None:
    assert "".join(c for c in phonemes(text, "en-US") if c in ";:,.!?") == marks


@pytest.mark.parametrize("text", ["", "  ", "...", "“?!”", "—", "\n\n", "( )", "***", "\0"])
def test_nothing_to_speak(text: str) -> None:
    assert phonemes(text, "en-US") == ""


def test_emoji_are_named() -> None:
    assert phonemes("🙂", "en-US") == phonemes("slightly smiling face", "en-US")


def test_british_is_not_american() -> None:
    assert phonemes("a hot bird, going home", "en-GB") == "ɐ hˈɒt bˈɜːd, ɡˌQɪŋ hˈQm".replace("ɐ", "ə")


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("es-ES", "¿Cómo está usted? ¡Muy bien!"),
        ("fr-FR", "Bonjour, le weekend est « beau »."),
        ("hi-IN", "नमस्ते। आप कैसे हैं?"),
        ("it-IT", "Ciao, come stai?"),
        ("pt-BR", "Olá, não sei."),
    ],
)
def test_other_languages_stay_in_the_alphabet(language: str, text: str) -> None:
    spelled = phonemes(text, language)
    assert len(spelled) > 8
    assert not set(spelled) - ALPHABET


@pytest.mark.parametrize("language", ["ja-JP", "zh-CN", "xx", ""])
def test_languages_it_can_not(language: str) -> None:
    with pytest.raises(UnitFailed, match="en-US"):
        phonemes("text", language)


def test_threads_do_not_mix_languages() -> None:
    jobs = [(text, language) for _ in range(30) for text in ("one house", "due case") for language in KOKORO_LANGUAGES]
    alone = {job: phonemes(*job) for job in set(jobs)}
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda job: phonemes(*job), jobs))
    assert results == [alone[job] for job in jobs]


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.sampled_from(KOKORO_LANGUAGES))
def test_any_text_gives_tidy_phonemes(text: str, language: str) -> None:
    spelled = phonemes(text, language)
    assert spelled == spelled.strip()
    assert "  " not in spelled
    assert "^" not in spelled
