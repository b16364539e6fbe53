from __future__ import annotations

import pytest
import regex
from hypothesis import example, given, settings
from hypothesis import strategies as st

from contracts.text import estimate_ms, normalise, speakable, split_units
from contracts.text.weight import HARD, SOFT, weigh

ANY_CHARACTER = st.characters(categories=None)
TRICKY = st.sampled_from(
    [
        "\ufffd", "\u180b", "\u0653", *"abcABC123.,;:!?…—-–'\"“”‘’()[]«»*#/@&%$ \n\t\r\0ßéा์กนี好，。、「」カはんة",
        ". ", "! ", "... ", "\n\n", " and ", "Dr. ", "e.g. ", "3.14", "\r\n", "\u2028", "\u2029", "\u0301", "\u0323",
        "\u200b", "\u200c", "\u200d", "\ufe0f", "\u202e", "\u00ad", "\ufeff", "\ud83d", "\ude00", "\U0001f1e9",
        "\U0001f3f4\U000e0067\U000e007f", "😀", "👩\u200d🚀", "🏽", "क्\u200dष", "\u0600", "\u1100", "\u1161", "https://a.b/c?d=1",
    ]
)  # fmt: skip
WORDS = st.sampled_from("the keeper, lit and lamp. of 1984 Dr. years; was (old) nobody! years — that 3.14 X".split())
TEXTS = st.one_of(
    st.text(ANY_CHARACTER),
    st.lists(TRICKY, max_size=80).map("".join),
    st.lists(WORDS, max_size=200).map(" ".join),
    st.tuples(TRICKY, st.integers(0, 3000)).map(lambda pair: pair[0] * pair[1]),
    st.lists(st.tuples(TRICKY, st.integers(1, 400)), max_size=6).map(lambda runs: "".join(c * n for c, n in runs)),
)
LANGUAGES = st.sampled_from(
    ["en-US", "en-GB", "es-ES", "fr-FR", "hi-IN", "it-IT", "ja-JP", "pt-BR", "zh-CN", "de", "", "?"]
)


def units(text: str, language: str = "en-US") -> list[str]:
    return split_units(normalise(text), language)


@given(TEXTS)
@example("a\u0301\u0323\u200b\u0300")
@example("\u180b\u200c")
@example("\ufffd\ufe0f")
@example("\u0344\u0344\xad\u0f73\u200d-")
@example("\u0915\u0344\u180e\u0344\u094d\u200dK")
@example("=\u200e\u0338\u200c\u0628")
@example("😀\u200d↔\u200d\u0338")
def test_a_normal_text_stays_as_it_is(text: str) -> None:
    normal = normalise(text)
    assert normalise(normal) == normal
    assert normal == normal.strip()
    assert not regex.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff\u2028\u2029]|(?<!\n)\n(?!\n)|\n{3}|  ", normal)


@given(TEXTS, LANGUAGES)
@settings(max_examples=300)
def test_units_joined_are_the_text_and_none_is_empty_or_too_long(text: str, language: str) -> None:
    normal = normalise(text)
    found = split_units(normal, language)
    assert "".join(found) == normal
    assert all(unit.strip() for unit in found)
    assert all(len(unit) <= 300 and weigh(unit) <= HARD for unit in found)
    assert all(estimate_ms(unit, language, 1.0) >= 1 for unit in found)
    if found and speakable(normal) and weigh(normal) <= SOFT:
        assert all(speakable(unit) for unit in found)


@given(st.text(ANY_CHARACTER), LANGUAGES)
def test_texts_that_are_not_normal_are_split_without_loss(text: str, language: str) -> None:
    assert "".join(split_units(text, language)) == text


@given(TEXTS)
def test_no_grapheme_cluster_is_cut(text: str) -> None:
    normal = normalise(text)
    boundaries = {0} | {m.end() for m in regex.finditer(r"\X", normal)}
    heavy = any(weigh(cluster) > HARD for cluster in regex.findall(r"\X", normal))
    at = 0
    for unit in split_units(normal, "en-US"):
        at += len(unit)
        assert at in boundaries or heavy


@given(st.lists(st.sampled_from("the keeper lit and lamp of years was old in".split()), min_size=9, max_size=60))
def test_the_first_unit_of_a_long_sentence_has_three_to_eight_words(words: list[str]) -> None:
    first, *rest = units(" ".join(words) + ".")
    assert 3 <= len(first.split()) <= 8
    assert len("".join(rest).split()) >= 3


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("", ""),
        (" \n\t \r\n", ""),
        ("a  b\tc\xa0d", "a b c d"),
        ("hard\nwrapped\r\ntext\rhere", "hard wrapped text here"),
        ("one\n\n\n\ntwo\n \nthree\u2029four", "one\n\ntwo\n\nthree\n\nfour"),
        ("Buy:\n- milk\n- eggs", "Buy:\n\n- milk\n\n- eggs"),
        ("1. one\n2. two", "1. one\n\n2. two"),
        ("a dash\n- not a list", "a dash - not a list"),
        ("今日は\nいい天気", "今日はいい天気"),
        ("Nul \x00 and bell \x07.", "Nul and bell ."),
        ("a\ud800b", "a b"),
        ("\ud83d\ude00", "😀"),
        ("co\u00adop\u200berate\ufeff", "cooperate"),
        ("\u202eRight\u202c", "Right"),
        ("e\u0301", "é"),
        ("👩\u200d🚀 ❤\ufe0f x\u200dy", "👩\u200d🚀 ❤\ufe0f xy"),
        ("می\u200cخواهم क्\u200dष", "می\u200cخواهم क्\u200dष"),
    ],
)
def test_normal_forms(text: str, normal: str) -> None:
    assert normalise(text) == normal


@pytest.mark.parametrize("text", ["a", "7", "好", "é", "😀", "$", "%", "&", "©", "... x", "♪"])
def test_speakable(text: str) -> None:
    assert speakable(text)


@pytest.mark.parametrize("text", ["", " ", "...", "?!... --- !!", "***", "“”", "\n\n", "=====", "—", "│──│", "¡¿"])
def test_silent(text: str) -> None:
    assert not speakable(text)


@pytest.mark.parametrize(
    "text",
    [
        "Ok.|“Really?” she asked.|He left.",
        "Ok.|Dr. Smith met J. R. R. Tolkien.|He paid $1.50 for 3.14 pies.",
        "Ok.|It is e.g. this one.|He lives in the U.S. now.",
        'Ok.|"Stop!" he cried.|(He meant it.)|Then "Go!"|She left.',
        "Ok.|See https://a.b/c.html?x=1.y now.|Next.",
        "Ok.|She left...|He stayed.|Wait… what?",
        "Ok.|It was May.|“Hello,” he said.",
        "Ok.|1. First things.|2. Then others.",
        "# Title.|## 1. Intro.",
        "안녕하세요 오늘은 날씨가 정말 좋습니다.|그래서 우리는 공원에 갔습니다.",
        "Ok.|No. 5 is best.|No.|It is not.",
        "好的。|今天天气很好！|“是吗？”|他说。",
        "Ok.|Hello 👩\u200d🚀!|Yes.",
        "Ok.|It took approx. five days.|5 dogs came.",
        "Ok.|Use Node.JS or obj.Method() now.|’Tis true.",
        "I. Introduction.|II. Methods.",
        "好的。|见 A.B公司。|再见。",
    ],
)
def test_one_sentence_is_one_unit(text: str) -> None:
    expected = text.split("|")
    joined = "".join(expected) if "。" in text else " ".join(expected)
    assert [unit.strip() for unit in units(joined, "zh-CN" if "。" in text else "en-US")] == expected


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("en-US", "The keeper lit the lamp."),
        ("en-US", "The old keeper|of the lighthouse climbed the stairs every night."),
        ("en-US", "After forty years,|nobody thanked him for it at all."),
        ("en-US", "He went home|because it rained."),
        ("en-US", "On Monday, May 5, 2020 the committee|of George W. Bush decided that nothing was wrong."),
        ("en-US", "Tesla sold $5 million cars yesterday,|according to the report from Mr. Jones."),
        ("en-US", "Machine learning models trained|on synthetic data generalise surprisingly well."),
        (
            "en-US",
            "The old clockmaker|had never believed in it at all,|but when the mayor came to him that day, so.",
        ),
        ("en-US", "It was a bright cold day|in April, and the clocks were striking thirteen."),
        ("en-US", "word word word word word|word word word word word word word word word word word word word word."),
        ("fr-FR", "Le vieux gardien montait|dans la tour chaque soir depuis quarante ans."),
        ("zh-CN", "今天天气很好，|我们一起去公园散步吧，然后再去吃饭，好不好？"),
        ("ja-JP", "吾輩は猫である。"),
    ],
)
def test_openings(language: str, text: str) -> None:
    expected = text.split("|")
    joined = (" " if " " in text else "").join(expected)
    assert [unit.strip() for unit in units(joined, language)] == expected


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("fr-FR", "Bonjour.|Mme. Durand est là.|J. Chirac parle avec M. Dupont.|Oui."),
        ("de", "Ja.|Das war Dr. Müller am 3. Oktober, d. h. gestern.|Nein."),
        ("es-ES", "Hola.|¿Y el Sr. García?|¡Bien!"),
        ("hi-IN", "हाँ।|दूसरा वाक्य।"),
    ],
)
def test_sentences_of_other_languages(language: str, text: str) -> None:
    assert [unit.strip() for unit in units(text.replace("|", " "), language)] == text.split("|")


@pytest.mark.parametrize("run", ["\u0301\u0316", "\u0301\u200b\u0316", "\u0344"])
def test_marks_on_one_character_are_bounded(run: str) -> None:
    # unbounded, putting a million of them in order would stop the front for half an hour
    normal = normalise("a" + run * 300_000 + "b")
    assert len(normal) < 20
    assert (normal[0], normal[-1]) == (normalise("a" + run)[0], "b")


def test_silent_lines_join_a_neighbour() -> None:
    assert units("***\n\nOne.\n\n***\n\nTwo.\n\n--") == ["***\n\nOne.\n\n***\n\n", "Two.\n\n--"]


@pytest.mark.parametrize("piece", ["word ", "word, and ", "x", "7", "好", "好，", "😀", ".", "( ", "“a. ", "a\u0301"])
def test_a_sentence_of_ten_thousand_characters(piece: str) -> None:
    text = normalise(piece * (10_000 // len(piece)))
    found = split_units(text, "en-US")
    assert "".join(found) == text
    assert all(0 < weigh(unit) <= HARD for unit in found)
    assert all(weigh(unit) > SOFT // 4 for unit in found[1:]) or piece in "“a. word, and "


def test_long_sentences_are_cut_at_clauses() -> None:
    clause = "the keeper of the lamp went up the long and winding stairs to the very top of the tower"
    found = units(f"Look: {clause}; {clause}, {clause}; {clause}.")
    assert found[0] == "Look: the keeper "
    assert all(unit.rstrip()[-1] in ";,." for unit in found[1:])
    assert all(len(unit) <= 220 for unit in found)


def test_estimates() -> None:
    assert estimate_ms("", "en-US", 1.0) >= 1
    assert estimate_ms("word " * 20, "en-US", 1.0) == pytest.approx(6_500, rel=0.1)
    assert estimate_ms("好" * 10, "zh-CN", 1.0) == pytest.approx(2_300, rel=0.2)
    assert estimate_ms("a word", "en-US", 2.0) < estimate_ms("a word", "en-US", 1.0)
