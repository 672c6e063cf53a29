"""Measuring files: real files, real LiteRT, and TensorFlow left alone."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import edgeshrink as package
from edgeshrink.errors import UsageError

Run = Callable[..., subprocess.CompletedProcess[str]]


pytestmark = pytest.mark.heavy


@pytest.fixture(scope="module")
def pair(
    tmp_path_factory: pytest.TempPathFactory, digits: Path, digits_model: Path
) -> tuple[Path, Path]:
    """The same network in float and in int8."""
    folder = tmp_path_factory.mktemp("pair")
    options = {"data": str(digits), "preprocess": "scale=1/16", "rules": "smoke"}
    package.compress(digits_model, output=folder / "float.tflite", float=True, **options)
    package.compress(digits_model, output=folder / "int8.tflite", int8=True, **options)
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


def test_kernels_are_those_that_were_asked_for(
    pair: tuple[Path, Path], digits: Path, edgeshrink: Run, tmp_path: Path
) -> None:
    data = ("--data", str(digits), "--preprocess", "scale=1/16", "--rules", "smoke")
    done = edgeshrink("bench", *pair, *data, "--kernels", "reference", "-o", "bench.json")
    assert done.returncode == 0, done.stderr
    assert "threads: 1, kernels: reference, rules: smoke" in " ".join(done.stdout.split())
    first, second = json.loads((tmp_path / "bench.json").read_text())["results"]
    assert first["measurement"]["kernels"] == second["measurement"]["kernels"] == "reference"
    assert first["host_error"] is not None  # this machine's outputs are XNNPACK's


@pytest.mark.parametrize(
    ("device", "kernels", "said"),
    [
        ("tflm", "builtin", "the runtime of tflm, tflm, gives no choice of kernels"),
        ("ethos-u55-128", "builtin", "gives no choice of kernels"),
        ("desktop", "fast", "kernels must be one of xnnpack, builtin, reference"),
    ],
)
def test_kernels_that_a_runtime_does_not_have_are_refused(
    pair: tuple[Path, Path], device: str, kernels: str, said: str
) -> None:
    with pytest.raises(UsageError, match=said) as caught:
        package.bench(pair[0], device=(device,), kernels=kernels, rules="smoke")
    assert device == "desktop" or caught.value.hint == "these do: benchmark_model, litert"


def test_the_scores_of_microcontrollers_and_npus_are_by_their_own_kernels(
    pair: tuple[Path, Path], digits: Path
) -> None:
    pytest.importorskip("tflite_micro")
    pytest.importorskip("ethosu")
    devices = ("desktop", "tflm", "ethos-u55-128")
    report = package.bench(
        pair[1], rules="smoke", data=str(digits), preprocess="scale=1/16", device=devices
    )
    desktop, micro, npu = report.results
    by = [one.measurement.kernels for one in report.results]
    assert by == ["xnnpack", "those of TensorFlow Lite Micro", "reference"]
    assert micro.host_error == npu.host_error  # both differ from XNNPACK's outputs, and alike
    assert desktop.host_error is None
    assert micro.scores == npu.scores


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


def test_budgets_are_for_the_files_behind_the_first(
    edgeshrink: Run, pair: tuple[Path, Path], digits: Path, tmp_path: Path
) -> None:
    data = ("--data", digits, "--preprocess", "scale=1/16", "--max-drop", "20%")
    size = pair[1].stat().st_size
    assert pair[0].stat().st_size > size
    budgets = ("--max-bytes", str(size), "--no-larger", "--max-arena", "1GB", "-o", "bench.json")
    done = edgeshrink("bench", *pair, "--rules", "smoke", *data, *budgets)
    assert done.returncode == 4
    assert done.stderr.count("error: ") == 1
    assert "--max-arena 1GB cannot be judged for int8.tflite on desktop" in done.stderr
    assert [line.partition(":")[0] for line in done.stdout.splitlines()[:2]] == ["kept", "kept"]
    again = edgeshrink("check", "bench.json", "--max-bytes", str(size), "--no-larger")
    assert (again.returncode, again.stderr) == (0, "")
    short = edgeshrink("check", "bench.json", "--max-ms", "1000")
    assert short.returncode == 4
    assert "on desktop is not valid: there were too few runs" in " ".join(short.stdout.split())


def test_budgets_that_nothing_could_be_held_to_are_told_before_any_work(
    pair: tuple[Path, Path],
) -> None:
    with pytest.raises(UsageError, match="slower=False compares with the first model"):
        package.bench(pair[0], slower=False)
    with pytest.raises(UsageError, match="max_drop=1 needs scores"):
        package.bench(*pair, max_drop=1)
    report = package.bench(pair[0], rules="smoke", max_drop="none", max_bytes=10)
    assert "bytes, where at most 10 are allowed" in report.unmet


def test_copies_of_a_file_are_timed_once_and_keep_their_names(
    pair: tuple[Path, Path], tmp_path: Path
) -> None:
    copy = tmp_path / "copy.tflite"
    copy.write_bytes(pair[1].read_bytes())
    report = package.bench(pair[1], copy, rules="demo", slower=False)
    first, second = report.results
    assert [first.model, second.model] == [str(pair[1]), str(copy)]
    assert second.measurement.model == str(copy)
    assert first.measurement.samples_ns == second.measurement.samples_ns
    (rule,) = report.rules
    assert rule.kept
    assert rule.text.startswith("copy.tflite on desktop is no slower than int8.tflite: ")
