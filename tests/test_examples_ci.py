"""The workflow in examples/ci: its commands run as they stand there, and fail where they must."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from paths import ROOT

WORKFLOW = ROOT / "examples" / "ci" / "edgeshrink.yml"
Run = Callable[[str], "subprocess.CompletedProcess[str]"]


def commands() -> dict[str, str]:
    """Return what the workflow runs, by the first words of each step but the installation."""
    (job,) = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))["jobs"].values()
    steps = [step["run"] for step in job["steps"] if "run" in step]
    assert steps.pop(0) == "pip install edgeshrink"
    return {" ".join(step.split()[:2]): step for step in steps}


@pytest.fixture(scope="module")
def repository(
    tmp_path_factory: pytest.TempPathFactory, digits: Path, digits_model: Path
) -> tuple[Path, Run]:
    """A folder with what the workflow expects, and how its commands are run there."""
    folder = tmp_path_factory.mktemp("repository")
    shutil.copy(digits_model, folder / "model.keras")
    shutil.copy(digits, folder / "data.npz")
    program = folder / "bin" / "edgeshrink"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m edgeshrink.cli "$@"\n')
    program.chmod(0o755)
    settings = {
        **os.environ,
        "PATH": f"{program.parent}{os.pathsep}{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
    }

    def run(command: str) -> subprocess.CompletedProcess[str]:
        argv = ["bash", "-e", "-o", "pipefail", "-c", command]  # as GitHub runs them
        return subprocess.run(
            argv, cwd=folder, env=settings, capture_output=True, text=True, timeout=240
        )

    made = run(commands()["edgeshrink compress"])
    assert made.returncode == 0, made.stderr
    (folder / "baseline").mkdir()
    for name in ("model.tflite", "model.report.json"):
        shutil.copy(folder / name, folder / "baseline" / name)
    return folder, run


def test_the_workflow_has_the_commands_that_are_run_here() -> None:
    assert list(commands()) == ["edgeshrink compress", "edgeshrink check", "edgeshrink bench"]


@pytest.mark.heavy
def test_a_result_like_the_accepted_one_passes(repository: tuple[Path, Run]) -> None:
    folder, run = repository
    done = run(commands()["edgeshrink check"])
    assert (done.returncode, done.stderr) == (0, "")
    assert (folder / "summary.md").read_text().startswith("**kept: 3 rules: model.report.json**")
    assert 'failures="0"' in (folder / "check.xml").read_text()


@pytest.mark.heavy
def test_both_files_are_timed_and_held(repository: tuple[Path, Run]) -> None:
    _, run = repository
    done = run(commands()["edgeshrink bench"])
    assert "kept: --no-slower" in done.stdout.partition("\n")[0]  # or NOT: no time is asserted
    assert done.returncode == (4 if done.stdout.startswith("NOT") else 0), done.stderr


def less_right(document: dict[str, Any]) -> None:
    document["verdict"]["after"] -= 0.05


def larger(document: dict[str, Any]) -> None:
    document["ledger"]["rows"][-1]["size_bytes"] += 1000


def slower(document: dict[str, Any]) -> None:
    document["ledger"]["rows"][-1]["on"][0]["latency"]["p90_ms"] = 31.25


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("regression", "sentence"),
    [
        (less_right, "the result lost 5.00 points, where at most 1.00 points may be lost"),
        (larger, "the result is larger than the baseline: "),
        (slower, "takes 31.2 ms (p90), where at most 25.0 ms are allowed"),
    ],
)
def test_a_made_regression_fails_the_check_with_its_sentence(
    repository: tuple[Path, Run], regression: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    folder, run = repository
    report = folder / "model.report.json"
    document = json.loads((folder / "baseline" / report.name).read_text())
    regression(document)
    report.write_text(json.dumps(document))
    (folder / "summary.md").unlink(missing_ok=True)
    assert run(commands()["edgeshrink check"]).returncode == 4
    first, _, second, *rest = (folder / "summary.md").read_text().splitlines()
    assert first.startswith("**NOT kept: 1 of 3 rules: ")
    assert sentence in second
    assert len(rest) == 2
    assert 'failures="1"' in (folder / "check.xml").read_text()


@pytest.mark.heavy
def test_a_run_that_misses_its_own_budgets_fails_and_keeps_its_files(
    repository: tuple[Path, Run],
) -> None:
    folder, run = repository
    command = commands()["edgeshrink compress"].replace("100kB", "1kB")
    done = run(f"{command.strip()} -o missed.tflite")
    assert done.returncode == 4
    assert "error: the result has " in done.stderr
    assert "bytes, where at most 1,000 are allowed" in done.stderr
    assert (folder / "missed.tflite").is_file()
    told = run("edgeshrink report missed.tflite").stdout
    assert "NOT kept: --max-bytes 1kB: the result has " in told
    assert "kept: --max-drop 1%: the result lost" in told
