"""The whole way on ARM64: set up, push, run, score and compare on a Cortex-A72 and a Cortex-A76."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import edgeshrink as package

pytestmark = [
    pytest.mark.device,
    pytest.mark.timeout(900),
    pytest.mark.skipif(
        shutil.which("qemu-system-aarch64") is None or shutil.which("apt-get") is None,
        reason="needs qemu-system-aarch64 and apt-get (Debian: qemu-system-arm)",
    ),
]

Run = Callable[..., subprocess.CompletedProcess[str]]
PIS = ("emulated-rpi4", "emulated-rpi5")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory, digits: Path, digits_model: Path) -> Path:
    """A float, an int8 and a pruned int8 file of the same network."""
    folder = tmp_path_factory.mktemp("files")
    options = {"data": str(digits), "preprocess": "scale=1/16", "rules": "smoke"}
    package.compress(digits_model, output=folder / "float.tflite", float=True, **options)
    package.compress(digits_model, output=folder / "int8.tflite", int8=True, **options)
    package.compress(
        digits_model, output=folder / "pruned.tflite", prune=0.6, int8=True,
        epochs=1, **options,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def pis() -> tuple[str, ...]:
    """Both machines, made and with the runtime in them."""
    command = [sys.executable, "-m", "edgeshrink.cli", "devices", "setup"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    setups = {name: subprocess.Popen([*command, name], **pipes) for name in PIS}
    said = {name: process.communicate(timeout=600)[1] for name, process in setups.items()}
    for name, process in setups.items():
        if process.returncode:
            pytest.skip(f"{name} cannot be made here: {said[name].strip().splitlines()[-2:]}")
    return PIS


def test_both_pis_give_the_accuracy_of_this_machine(
    edgeshrink: Run, pis: tuple[str, ...], files: Path, digits: Path, tmp_path: Path
) -> None:
    names = ("float", "int8", "pruned")
    done = edgeshrink(
        "bench", *(files / f"{name}.tflite" for name in names),
        *(part for name in ("desktop", *pis) for part in ("--device", name)),
        "--data", digits, "--preprocess", "scale=1/16", "--rules", "smoke", "-o", "all.json",
        timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "all.json").read_text())["results"]
    assert [r["device"] for r in results] == [d for d in ("desktop", *pis) for _ in names]
    here = {Path(r["model"]).stem: r for r in results[:3]}
    for result in results[3:]:
        measured = result["measurement"]
        assert result["scores"] == here[Path(result["model"]).stem]["scores"]
        assert result["host_error"] < 0.1
        assert "qemu" in measured["device"]["emulated"]
        assert measured["median_ms"] is None
        assert 5e6 < measured["peak_memory_bytes"] < 2e8
        assert measured["device"]["machine"] == "aarch64"
    cpus = {r["device"]: r["measurement"]["device"]["cpu"] for r in results[3:]}
    assert "A72" in cpus["emulated-rpi4"]
    assert "A76" in cpus["emulated-rpi5"]
    table = done.stdout
    assert "emulated" in table
    assert "EMULATED" in table


@pytest.mark.slow
def test_one_command_compresses_for_a_pi_with_one_ledger(
    edgeshrink: Run, pis: tuple[str, ...], digits: Path, digits_model: Path, tmp_path: Path
) -> None:
    done = edgeshrink(
        "compress", digits_model, "--prune", "0.6", "--int8", "--data", digits, "--preprocess",
        "scale=1/16", "--epochs", "1", "--device", pis[0], "-o", "small.tflite", timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "small.report.json").read_text())
    final = report["ledger"]["rows"][-1]
    (pi,) = final["on"]
    assert pi["device"] == pis[0]
    assert pi["latency"] is None
    assert pi["emulated"]
    assert pi["score"]["value"] == final["scores"][0]["value"]
    assert pi["memory_bytes"] > 5e6
    assert "aarch64" in json.dumps(report["devices"])
