"""No kind of model that people have meets a fault: a few cells, and all of them (slow)."""

from __future__ import annotations

from pathlib import Path

import cells
import kinds
import pytest

FAULTLESS = (cells.RIGHT, cells.WORSE, cells.REFUSED)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("strangers")


@pytest.mark.heavy
@pytest.mark.parametrize(("name", "recipe"), cells.quick())
def test_a_usual_recipe_is_right_or_told(folder: Path, name: str, recipe: str) -> None:
    cell = cells.tried(name, recipe, folder)
    assert cell.mark in FAULTLESS, f"{name}, {recipe}: {cell.said}"


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", kinds.KINDS)
def test_every_recipe_is_right_or_told(folder: Path, name: str) -> None:
    made = [cells.tried(name, recipe, folder) for recipe in cells.recipes()]
    assert [c for c in made if c.mark not in FAULTLESS] == []


def test_every_installed_method_is_in_the_table() -> None:
    steps = {line.split()[0] for lines in cells.recipes().values() for line in lines}
    assert steps >= set(cells.installed().methods)
