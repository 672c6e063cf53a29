"""The tables of what programs refuse say what the programs do, for files of every method."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from paths import ROOT

from edgeshrink.models import cache_folder
from edgeshrink.plugins import installed

SHARED = ROOT.parent / "shared"
RESULT = ROOT / "benchmarks" / "results" / "readers.json"
PROGRAMS = {"litert", "tflite-runtime", "tflm", "ethosu", "openvino"}


@pytest.fixture
def readers(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The benchmark that makes and tries the files."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    return importlib.import_module("readers")


def measured() -> dict[str, Any]:
    files: dict[str, Any] = json.loads(RESULT.read_text())["files"]
    return files


@pytest.mark.parametrize("file", sorted(measured()))
def test_a_table_says_what_its_program_said(readers: ModuleType, file: str) -> None:
    assert readers.differing(measured()[file], installed()) == []


def test_every_program_was_given_thirty_files_and_refused_some() -> None:
    files = measured()
    assert len(files) >= 30
    for program in PROGRAMS:
        answers = [bool(row["said"][program]) for row in files.values()]
        assert 0 < sum(answers) < len(answers), program


def test_files_of_all_recipes_were_tried(readers: ModuleType) -> None:
    assert {f"{model}-{recipe}" for model, recipe in readers.cases()} == set(measured())


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder of shared models and data")
@pytest.mark.parametrize("file", sorted(measured()))
def test_programs_still_say_it(
    readers: ModuleType, file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are installed here, or named by the variables that the benchmark names."""
    folder = cache_folder("readers-of-tests")  # files are made once
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    readers.profiles(tmp_path)
    row = readers.row_of(readers.made(SHARED, *file.split("-"), folder), installed())
    assert row["uses"] == measured()[file]["uses"]
    assert "litert" in row["said"]
    assert readers.differing(row, installed()) == []
