"""Measuring files: real files, real LiteRT, and TensorFlow left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import edgeshrink as package

Run = Callable[..., subprocess.CompletedProcess[str]]


pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, digits: Path, digits_model: Path
) -> tuple[Path, Path]:
    """The same network in float and in int8."""
    folder = tmp_path_factory.mktemp("pair")
    options = {"data": str(digits), "preprocess": "scale=1/16", "rules": "smoke"}
    package.compress(digits_model, out=folder / "float.tflite", float=True, **options)
    package.compress(digits_model, out=folder / "int8.tflite", int8=True, **options)
    return folder / "float.tflite", folder / "int8.tflite"


def test_two_files_are_timed_scored_and_compared(pair: tuple[Path, Path], digits: Path) -> None:
    report = package.bench(*pair, rules="smoke", data=str(digits), preprocess="scale=1/16")
    first, second = report.results
    assert not report.failed
    assert not first.measurement.valid  # a moment is under the floors of its own rules
    assert first.measurement.median_ms > 0
    assert first.scores[0].count == 397
    assert second.agreement.top1 > 0.9
    assert 0 <= second.p_value <= 1
    assert first.agreement is None
    assert second.compressed_bytes < first.compressed_bytes


def test_a_file_that_cannot_run_is_a_failure_and_the_others_are_measured(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(pair[0].read_bytes()[:3000])
    report = package.bench(pair[0], broken, rules="smoke")
    assert report.results[0].measurement is not None
    assert report.results[1].failure is not None
    assert report.failed
    assert not report.lost


def test_bench_does_not_import_tensorflow(pair: tuple[Path, Path], digits: Path) -> None:
    code = (
        "import sys, edgeshrink\n"
        f"edgeshrink.bench({str(pair[1])!r}, {str(pair[0])!r}, rules='smoke', data={str(digits)!r},"
        " preprocess='scale=1/16')\n"
        "print([m for m in ('tensorflow', 'keras') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_command_prints_json_and_exit_codes(edgeshrink: Run, pair: tuple[Path, Path]) -> None:
    done = edgeshrink("bench", *pair, "--rules", "smoke", "--json")
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)["results"]
    assert [Path(r["model"]).name for r in results] == ["float.tflite", "int8.tflite"]
    assert len(results[0]["measurement"]["samples_ns"]) > 5
