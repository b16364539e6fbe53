"""Texts that come piece by piece: the pieces do not matter, and the units are those of the whole text."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from unit.test_text import LANGUAGES, TEXTS

from contracts.text import IncrementalSplitter, normalise, speakable, split_units
from contracts.text.normal_stream import NormalStream
from contracts.text.weight import HARD, weigh

DOCS = sorted(Path(__file__).parents[2].glob("*.md"))
SENTENCES = st.sampled_from(
    [
        "The keeper lit the lamp.", "Nobody came!", "Would anyone come now, after all these years of waiting alone?",
        "Dr. Smith met J. R. R. Tolkien in the U.S. and paid $3.14 for it.", '"Stop!" he cried.', "He waited...",
        "Wait… what?", "(He meant it. Really.)", "“I went. I saw.” she said.", "He said: “No. Not yet. Never.”",
        "It is e.g. this one.", "In approx. five days, he knew; then, on Monday, May 5, 2020, it was over and done.",
        "Use `a.b()` or **bold** text.", "No.", "😀 Yes!", "See https://a.b/c.html?x=1.y now.", "— he went on.",
        "When the mayor came to him that day with a broken watch, he did not know what he was going to say to him.",
    ]
)  # fmt: skip
JOINTS = st.sampled_from([" ", " ", " ", "\n", "\n\n", "\n- ", "\n1. ", "\r\n", "  "])
PROSE = st.lists(st.tuples(SENTENCES, JOINTS), max_size=20).map(lambda parts: "".join(s + j for s, j in parts))


def pieces(text: str, cuts: list[int]) -> list[str]:
    edges = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in pairwise(edges)]


def streamed(text: str, cuts: list[int] | None = None, language: str = "en-US") -> list[str]:
    """Units of a text that comes in these pieces; one by one without."""
    splitter = IncrementalSplitter(language)
    found = [unit for piece in (text if cuts is None else pieces(text, cuts)) for unit in splitter.feed(piece)]
    return found + splitter.close()


def heard_before_the_end(text: str) -> list[str]:
    splitter = IncrementalSplitter("en-US")
    return [unit.strip() for character in text for unit in splitter.feed(character)]


@given(st.one_of(TEXTS, PROSE), LANGUAGES, st.lists(st.integers(0, 10_000), max_size=30))
@settings(max_examples=400, deadline=None)
def test_the_pieces_do_not_matter(text: str, language: str, cuts: list[int]) -> None:
    whole = streamed(text, [], language)
    assert streamed(text, cuts, language) == whole
    assert streamed(text, None, language) == whole


@given(st.one_of(TEXTS, PROSE), st.lists(st.integers(0, 10_000), max_size=30))
@settings(max_examples=400, deadline=None)
@example("a \ufffd b", [2])
@example("x \x00y", [2])
@example("Buy:\n- milk\n- eggs", [5, 6, 7])
@example("a dash\n- not a list", [7, 8])
@example("今日は\nいい天気", [3, 4])
def test_the_normal_form_is_that_of_the_whole_text(text: str, cuts: list[int]) -> None:
    stream = NormalStream()
    assert "".join(map(stream.feed, pieces(text, cuts))) + stream.close() == normalise(text)


@given(st.one_of(TEXTS, PROSE), LANGUAGES)
@settings(max_examples=400, deadline=None)
@example(". a aa d " + "a " * 31 + "a" + "d" * 34 + "n" * 34 + " nadnn " + "adn " * 25, "en-US")
def test_units_joined_are_the_text_and_none_is_empty_or_too_long(text: str, language: str) -> None:
    normal, found = normalise(text), streamed(text, [], language)
    assert "".join(found) == (normal if speakable(normal) or found else "")
    assert all(unit.strip() for unit in found)
    assert all(weigh(unit) <= HARD for unit in found)


@given(PROSE)
@settings(max_examples=400, deadline=None)
def test_units_of_prose_are_those_of_the_whole_text(text: str) -> None:
    assert streamed(text) == split_units(normalise(text), "en-US")


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_units_of_documents_are_those_of_the_whole_text(path: Path) -> None:
    text = "\n".join(line for line in path.read_text().splitlines() if not line.startswith("|"))
    assert streamed(text) == split_units(normalise(text), "en-US")


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("今天天气很好！“是吗？”他说。我们一起去公园散步吧，然后再去吃饭，好不好？再见。", "zh-CN"),
        ("吾輩は猫である。名前はまだ無い。「どこで生れたか。」とんと見当がつかぬ。", "ja-JP"),
        ("Bonjour. Mme. Durand est là. J. Chirac parle avec M. Dupont. « Oui. Non. » dit-il. Oui.", "fr-FR"),
        ("Ja. Das war Dr. Müller am 3. Oktober, d. h. gestern. „Ach. So.“ Nein.", "de"),
        ("हाँ। दूसरा वाक्य। तीसरा।", "hi-IN"),
        ("안녕하세요 오늘은 날씨가 정말 좋습니다. 그래서 우리는 공원에 갔습니다. 네.", "ko"),
    ],
)
def test_units_of_other_languages_are_those_of_the_whole_text(text: str, language: str) -> None:
    assert streamed(text, None, language) == split_units(normalise(text), language)


@pytest.mark.parametrize(
    ("text", "heard"),
    [
        ("The keeper lit the lamp. Nobody ", ["The keeper lit the lamp."]),
        ("The keeper lit the lamp. Nobody", []),
        ("He met Dr. Smith and ", []),
        ("It is 3.14 or ", []),
        ("Hello. “Yes. No. And ", ["Hello."]),
        ("Hello. “Yes. No.” she said. Then ", ["Hello.", "“Yes. No.” she said."]),
        ("Hello. (Yes. No. Then he ", ["Hello."]),
        ("The old keeper of the lighthouse climbed the stairs every night for ", ["The old keeper"]),
        ("好的。今天", ["好的。"]),
        ("# Title\n\nIt was ", ["# Title"]),
    ],
)
def test_a_unit_is_there_one_word_after_its_end(text: str, heard: list[str]) -> None:
    assert heard_before_the_end(text + "x") == heard


def test_an_opening_does_not_wait_for_the_end_of_its_sentence() -> None:
    text = "The old clockmaker had never believed in it at all, but when the mayor came to him that day with a broken"
    heard = heard_before_the_end(f"{text} watch in his hand ")
    assert heard == ["The old clockmaker", "had never believed in it at all,"]
    splitter = IncrementalSplitter("en-US", opening=False)
    assert splitter.feed(text) == []
    assert splitter.close() == [text]


def test_a_sentence_that_does_not_end_is_cut_while_it_comes() -> None:
    text = "and then he said that it was " * 400
    splitter = IncrementalSplitter("en-US")
    found: list[str] = []
    for n, character in enumerate(text):
        found += splitter.feed(character)
        assert n - sum(map(len, found)) <= 700
    assert "".join(found + splitter.close()) == text.strip()


@pytest.mark.parametrize("text", ["", " \n", "...", "***\n\n---", "“”"])
def test_nothing_to_speak_is_no_unit(text: str) -> None:
    assert streamed(text) == []
