"""What a step was asked for, beside what it did."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeshrink.recipes.asked import Asked
from edgeshrink.testing import tiny_data, tiny_model
from edgeshrink.testing.running import context
from edgeshrink_lowrank import Lowrank


@pytest.mark.parametrize(
    ("wanted", "done", "finest", "missed"),
    [
        (0.5, 0.5, 0.0, ""),
        (0.5, 0.52, 0.0, ""),
        (0.5, 0.48, 0.0, ""),
        (0.5, 0.45, 0.05, ""),
        (0.1, 0.609, 0.01, "x: asked for 10.0% of y, 60.9% removed, 50.9 points more; z"),
        (0.5, 0.472, 0.0, "x: asked for 50.0% of y, 47.2% removed, 2.8 points less; z"),
        (5, 5, 0.0, ""),
        (5, 2, 0.0, "x: asked for 5 y, 2 removed; z"),
        (5, 6, 0.0, "x: asked for 5 y, 6 removed; z"),
    ],
)
def test_too_much_is_missed_as_too_little_is(
    wanted: float, done: float, finest: float, missed: str
) -> None:
    assert Asked("x", wanted, "y", done, finest=finest, why="z").missed == missed


def test_a_bound_is_met_by_less() -> None:
    assert Asked("x", 16, "y", 14, bound=True).missed == ""
    assert Asked("x", 16, "y", 17, bound=True).missed == "x: asked for 16 y, 17 removed"


def test_each_thing_that_was_asked_for_is_a_fact(tmp_path: Path) -> None:
    step = Lowrank.of({"ratio": 0.5})
    lent = context(step, tiny_model(), tiny_model(), tiny_data(), tmp_path)
    Asked("x", 0.5, "y", 0.4, finest=0.01).tell(lent)
    Asked("x", 3, "z", 2).tell(lent)
    Asked("x", 3, "w", 3).tell(lent)
    assert lent.facts["asked"] == {
        "y": {"asked": 0.5, "done": 0.4, "finest": 0.01},
        "z": {"asked": 3, "done": 2, "finest": 0.0},
        "w": {"asked": 3, "done": 3, "finest": 0.0},
    }
    assert lent.facts["unmet"] == (
        "x: asked for 50.0% of y, 40.0% removed, 10.0 points less; x: asked for 3 z, 2 removed"
    )
