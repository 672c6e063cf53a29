"""The page of all sentences: none is left out, none is there that is not said or not tested."""

from __future__ import annotations

import ast
from collections import Counter
from functools import cache
from pathlib import Path

import pytest
from paths import ROOT
from sentences import Source, nodes, text_of

PAGE = ROOT / "docs" / "explanation" / "verdicts.md"
HEAD = ["sentence", "when", "test"]
WORDS, LETTERS = 3, 10  # a text of fewer is a part of a sentence, or a key


@cache
def said() -> dict[str, str]:
    return Source().texts()


@cache
def rows() -> dict[str, list[str]]:
    """Return the tests of each sentence that the page lists."""
    lines = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line[:2] == "| "]
    cells = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    found = [row for row in cells if row != HEAD and row[0] != "---"]
    assert {len(row) for row in found} == {3}
    assert [s for s, count in Counter(row[0] for row in found).items() if count > 1] == []
    return {sentence: named.replace("`", "").split(", ") for sentence, _, named in found}


@cache
def functions_of(path: str) -> dict[str, ast.FunctionDef]:
    functions = ast.parse((ROOT / path).read_text(encoding="utf-8")).body
    return {one.name: one for one in functions if isinstance(one, ast.FunctionDef)}


@cache
def texts_in(test: ast.FunctionDef) -> str:
    """Return the texts within a test, its decorators too."""
    return " ".join(" ".join(filter(None, map(text_of, nodes(test)))).split())


def whole(text: str) -> bool:
    """Return whether a text is long enough to be a sentence, or tells something by name."""
    long = len(text.split()) >= WORDS and sum(map(str.isalpha, text)) >= LETTERS
    return long or ": …" in text


def shows(texts: str, sentence: str) -> bool:
    """Return whether a test's texts have three words in a row of a sentence.

    Where no piece between the variable parts has three, it is the longest piece.
    """
    pieces = [piece.strip(" ;:,.()") for piece in sentence.split("…")]
    split = [piece.split() for piece in pieces]
    runs = [words[n : n + 3] for words in split for n in range(len(words) - 2)]
    return any(" ".join(run) in texts for run in runs or [[max(pieces, key=len)]])


def test_every_sentence_of_the_source_is_on_the_page() -> None:
    left_out = {text: place for text, place in said().items() if whole(text) and text not in rows()}
    assert left_out == {}


def test_every_sentence_of_the_page_is_in_the_source() -> None:
    assert [sentence for sentence in rows() if sentence not in said()] == []


def test_every_sentence_of_the_page_is_shown_by_the_tests_that_it_names() -> None:
    for sentence, named in rows().items():
        for name in named:
            path, _, test = name.partition("::")
            assert Path(ROOT, path).is_file(), name
            assert test in functions_of(path), name
            assert shows(texts_in(functions_of(path)[test]), sentence), (sentence, name)


@pytest.mark.parametrize(
    ("texts", "sentence", "shown"),
    [
        ("a lost more than chance", "… lost more than chance would", True),
        ("a lost more", "… lost more than chance would", False),
        ("no more were", "widths: …", False),
        ("widths: a", "widths: …", True),
    ],
)
def test_a_sentence_is_shown_by_three_of_its_words(texts: str, sentence: str, shown: bool) -> None:
    assert shows(texts, sentence) is shown


def test_sentences_are_followed_through_names_calls_and_modules() -> None:
    places = said()
    assert places["the device said of itself: …"] == "edgeshrink_litert.disturbance"  # returned
    assert places["… made it slower: …"] == "edgeshrink.results.ledger_sentences"  # by a face
    assert places["… stay dense: no more than … inputs"] == "edgeshrink_prune.magnitude"  # yielded
