"""The example is installed as a stranger's package would be, and run through the real program."""

from __future__ import annotations

import importlib.metadata
import json
import os
import runpy
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from paths import ROOT

EXAMPLE = ROOT / "examples" / "plugin"
# Keras's own saving does this with newer versions of NumPy
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a program that finds the installed example."""
    source = tmp_path_factory.mktemp("source") / "plugin"
    shutil.copytree(EXAMPLE, source)
    target = tmp_path_factory.mktemp("site")
    if {"setuptools", "pip"} <= {found.name for found in importlib.metadata.distributions()}:
        argv = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        argv += ["--no-build-isolation", "--target", str(target), str(source)]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    else:  # nothing here can build a package: lay it out as pip would
        _lay_out(source, target)
    return {**os.environ, "PYTHONPATH": str(target), "COLUMNS": "100", "NO_COLOR": "1"}


def _lay_out(source: Path, target: Path) -> None:
    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    info = target / "edgeshrink_round-1.0.dist-info"
    info.mkdir()
    shutil.copy(source / "edgeshrink_round.py", target)
    head = f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    (info / "METADATA").write_text(head)
    entries = project["entry-points"]["edgeshrink"].items()
    (info / "entry_points.txt").write_text(
        "[edgeshrink]\n" + "".join(f"{name} = {value}\n" for name, value in entries)
    )


def run(env: dict[str, str], folder: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "edgeshrink.cli", *argv],
        capture_output=True,
        text=True,
        env=env,
        cwd=folder,
        check=False,
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgeshrink.testing import tiny_model

    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    tiny_model().save(path)
    return path


def test_the_example_is_listed_with_what_it_adds(installed: dict[str, str], tmp_path: Path) -> None:
    done = run(installed, tmp_path, "plugins", "--json")
    (entry,) = (one for one in json.loads(done.stdout) if one["name"] == "round")
    assert entry["distribution"] == "edgeshrink-round"
    assert entry["adds"] == ["round"]
    assert entry["heavy"] == []
    assert done.stderr == ""


def test_its_flags_are_in_help(installed: dict[str, str], tmp_path: Path) -> None:
    said = run(installed, tmp_path, "compress", "--help").stdout
    for part in ("Rounding", "--round-biases", "Significant bits that each weight keeps."):
        assert part in said


def test_its_step_is_planned_between_pruning_and_the_precision(
    installed: dict[str, str], tmp_path: Path, model: Path
) -> None:
    argv = ["compress", str(model), "--prune", "0.5", "--round", "4", "--int8", "--dry-run"]
    done = run(installed, tmp_path, *argv, "--json")
    assert done.returncode == 0, done.stderr
    steps = [one["step"] for one in json.loads(done.stdout)["steps"]]
    assert steps == ["prune(sparsity=0.5)", "round(bits=4)", "int8", "strip"]


@pytest.mark.parametrize("flags", [["--round", "99"], ["--step", "round bits=99"]])
def test_a_value_out_of_bounds_is_refused_in_one_sentence(
    installed: dict[str, str], tmp_path: Path, model: Path, flags: list[str]
) -> None:
    done = run(installed, tmp_path, "compress", str(model), *flags)
    rule = "error: round: bits must be a whole number at least 1 and at most 24; received 99\n"
    assert (done.returncode, done.stderr) == (2, rule)


@pytest.mark.heavy
def test_it_joins_the_methods_that_change_single_layers(
    installed: dict[str, str], tmp_path: Path, model: Path
) -> None:
    done = run(installed, tmp_path, "sensitivity", str(model), "--method", "round", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["methods"]["round"]["values"] == [8, 4, 2]
    assert {layer["layer"] for layer in found["layers"]} == {"conv", "hidden", "classes"}
    for layer in found["layers"]:
        moved = [effect["divergence"] for effect in layer["effects"]]
        assert 0 < moved[0] < moved[1] < moved[2]


@pytest.mark.slow
def test_a_model_is_rounded_and_the_recipe_makes_it_again(
    installed: dict[str, str], tmp_path: Path, model: Path
) -> None:
    done = run(installed, tmp_path, "compress", str(model), "--round", "3", "-o", "small.tflite")
    assert done.returncode in (0, 4), done.stderr  # 4: an untrained model may well disagree
    rows = json.loads((tmp_path / "small.report.json").read_text())["ledger"]["rows"]
    rounded = next(row for row in rows if row["step"] == "round(bits=3)")
    assert rounded["facts"]["significant_bits"] == 3
    argv = ["--recipe", "small.recipe.toml", "-o", "again.tflite"]
    run(installed, tmp_path, "compress", str(model), *argv)
    again, first = tmp_path / "again.tflite", tmp_path / "small.tflite"
    assert again.read_bytes() == first.read_bytes()


def test_the_examples_own_tests_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLE)
    tests = runpy.run_path(str(EXAMPLE / "test_edgeshrink_round.py"))
    found = [test for name, test in tests.items() if name.startswith("test_")]
    assert len(found) == 3
    for test in found:
        test()
