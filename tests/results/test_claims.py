"""Where ours goes another way than a publication claims."""

from __future__ import annotations

import pytest

from edgeshrink.recipes import Claim, Column
from edgeshrink.results import Cell, RowFound, Value, held


def rows(measure, published, ours):
    column = Column(measure, "desktop", measure)
    cells = zip(("before", "after"), published, ours, strict=True)
    return [column], [
        RowFound(label, "", (Cell(None if o is None else Value(o), p),)) for label, p, o in cells
    ]


@pytest.mark.parametrize(
    ("measure", "published", "ours", "differs"),
    [
        ("accuracy", (90, 92), (80, 81), False),
        ("accuracy", (90, 92), (80, 79), True),
        ("accuracy", (90, 90.1), (80, 78), True),  # kept, and lost
        ("accuracy", (90, 90.1), (80, 79.8), False),  # both kept
        ("accuracy", (90, 90.4), (80, 80.2), False),  # beside one another
        ("accuracy", (78, 62), (60, 58), True),  # both lose, one by far more
        ("ms", (1.0, 0.5), (1.0, 4.0), True),
        ("ms", (1.0, 0.5), (0.1, 0.04), False),
        ("ms", (1.0, 0.5), (1.0, 0.97), True),
        ("ms", (1.0, 0.9), (1.0, 0.25), True),  # both faster, one by far more
        ("size_kib", (100, 25), (90, 24), False),
    ],
)
def test_a_change_is_held_against_the_published_one(measure, published, ours, differs):
    columns, found = rows(measure, published, ours)
    claim = held(Claim("before", why="because"), columns, found)
    assert [change.label for change in claim.changes] == ["after"]
    assert bool(claim.differing) == differs


def test_a_claim_in_words_needs_no_figures():
    columns, found = rows("accuracy", (None, None), (80, 80.1))
    assert held(Claim("before", says="up"), columns, found).differing
    assert not held(Claim("before", says="kept"), columns, found).differing
    assert held(Claim("before"), columns, found).changes == ()


def test_a_table_of_changes_needs_no_row_beside():
    columns, found = rows("accuracy_gain", (1.0, 0.5), (0.8, -0.5))
    claim = held(Claim(), columns, found)
    assert [change.differs for change in claim.changes] == [False, True]


def test_what_was_not_measured_is_not_held():
    columns, found = rows("accuracy", (90, 80), (None, 70))
    assert held(Claim("before"), columns, found).changes == ()
