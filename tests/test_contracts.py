"""Who may import whom, what the public surface is, and that docstrings' examples are true."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

from edgeshrink import api

ROOT = Path(__file__).parents[1]


def test_import_contracts_hold() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([str(lint)], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert "0 broken" in done.stdout


def test_the_public_surface_is_what_it_declares() -> None:
    modules = {"annotations", "pluggy"}
    public = {name for name in vars(api) if not name.startswith("_")} - modules
    assert sorted(public) == sorted(api.__all__)


@pytest.mark.parametrize(
    "name",
    [
        "edgeshrink.cli.display.words",
        "edgeshrink.errors",
        "edgeshrink.devices.measurement",
        "edgeshrink.samples.preprocess",
        "edgeshrink_cluster.kmeans",
        "edgeshrink_litert.failures",
        "edgeshrink_lowrank.budget",
        "edgeshrink_lowrank.kinds",
        "edgeshrink_prune.masks",
        "edgeshrink_prune.pattern",
    ],
)
def test_examples_in_docstrings_are_true(name: str) -> None:
    results = doctest.testmod(importlib.import_module(name))
    assert results.attempted > 0
    assert results.failed == 0
