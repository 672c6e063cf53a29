"""The block of `bench --block`: whole, and without anybody in it."""

from __future__ import annotations

import hashlib
import shutil
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tiny_models import converted
from typer.testing import CliRunner

from edgeshrink.cli.app import app
from edgeshrink.cli.display.board_block import board_block
from edgeshrink.devices import (
    BenchPlan,
    DeviceInfo,
    DeviceProfile,
    Estimate,
    Failure,
    Measurement,
)
from edgeshrink.engine import BenchReport, BenchResult
from edgeshrink.plugins import installed
from edgeshrink.results import Score

PI = DeviceInfo(
    "annas-pi",
    cpu="Cortex-A72",
    machine="aarch64",
    cores=4,
    memory_bytes=4 << 30,
    system="Debian GNU/Linux 12 (bookworm)",
    python="3.11.2",
    runtime="ai-edge-litert",
    runtime_version="2.3.0",
    numpy="2.2.6",
    extra={"board": "Raspberry Pi 4 Model B", "kernel": "6.6.31+rpt-anna", "host": "anna"},
)
OWN = DeviceProfile(
    "annas-pi", based_on="rpi4", target="ssh", address="ssh://anna@anna.local", runtime="litert"
)


def measured(model: Path, **changes: Any) -> BenchResult:
    told = {
        "before": {"load_average": 0.1},
        "after": {"load_average": 0.2, "governor": "anna", "temperature_celsius": 51.0},
    }
    timed = Measurement(
        str(model),
        "digest",
        PI,
        BenchPlan(),
        tuple(range(1_000_000, 1_100_000, 1_000)),
        3.0,
        2.0,
        4,
        "xnnpack",
        model_memory_bytes=7_000_000,
        conditions=told,
        notes=("/home/anna is full",),
    )
    result = BenchResult(str(model), "annas-pi", 5000, 3000, timed, None, host_error=1e-6)
    return replace(result, **changes)


def block(*results: BenchResult, device: DeviceProfile = OWN) -> tuple[dict[str, Any], str]:
    report = BenchReport(
        results,
        ("notes of anna",),
        "edgeshrink bench /home/anna/faces.tflite --at ssh://anna@anna.local",
        {"name": "/home/anna/faces.npz"},
        {"edgeshrink": "0.1.0"},
    )
    text = board_block(report, [device], installed())
    return tomllib.loads(text), text


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    folder = tmp_path / "anna"
    folder.mkdir()
    return Path(shutil.copy(converted() / "int8.tflite", folder / "annas_faces.tflite"))


def test_a_row_has_the_board_the_file_and_what_was_measured(faces: Path) -> None:
    score = Score("top1", 0.875, 0.8, 0.95, 64, True)
    found, _ = block(measured(faces, scores=(score,)))
    (board,) = found["board"]
    assert board["profile"] == "rpi4"
    assert board["board"] == "Raspberry Pi 4 Model B"
    assert (board["kernel"], board["runtime_version"]) == ("6.6.31", "2.3.0")
    (file,) = board["file"]
    assert file["sha256"] == hashlib.sha256(faces.read_bytes()).hexdigest()
    assert (file["bytes"], file["deflated"], file["threads"]) == (5000, 3000, 4)
    assert "int8" in file["weights"]
    assert file["median_ms"] == pytest.approx(1.0495)
    assert file["model_memory_bytes"] == 7_000_000
    assert file["conditions"] == {"load_average": 0.2, "temperature_celsius": 51.0}
    assert file["score"] == {"metric": "top1", "value": 0.875, "samples": 64}
    assert file["differs_from_host"] == 1e-6


def test_nobody_is_named(faces: Path) -> None:
    failed = Failure(str(faces), "annas-pi", "ssh anna@anna.local: no such host")
    lost = measured(faces, measurement=None, failure=failed)
    found, text = block(measured(faces), lost)
    assert "anna" not in text
    assert str(faces.parent.parent) not in text
    assert found["board"][0]["file"][1]["failed"] is True


@pytest.mark.parametrize(
    ("device", "told"),
    [
        (OWN, "rpi4"),
        (replace(OWN, based_on="annas-other-pi"), "own"),
        (replace(OWN, based_on=""), "own"),
    ],
)
def test_only_profiles_that_all_have_are_named(
    faces: Path, device: DeviceProfile, told: str
) -> None:
    found, text = block(measured(faces), device=device)
    assert found["board"][0]["profile"] == told
    assert "anna" not in text


def test_times_that_are_not_the_device_s_own_are_left_out(faces: Path) -> None:
    result = measured(faces)
    emulated = replace(PI, emulated="qemu on anna")
    found, text = block(replace(result, measurement=replace(result.measurement, device=emulated)))
    assert found["board"][0]["emulated"] is True
    assert not {"median_ms", "p90_ms", "first_ms", "runs"} & found["board"][0]["file"][0].keys()
    assert "anna" not in text


def test_the_machine_of_a_compiler_is_none_of_the_board(faces: Path) -> None:
    result = measured(faces)
    guess = Estimate("Vela 5.2.0", 15, 2, 1000, 2000, 0.004, 800, 900, 700)
    found, text = block(replace(result, measurement=replace(result.measurement, estimate=guess)))
    (board,) = found["board"]
    assert not {"board", "cpu", "cores", "memory_bytes", "kernel"} & board.keys()
    assert "Cortex-A72" not in text
    assert board["file"][0]["estimate"]["cycles"] == 2000
    assert "median_ms" not in board["file"][0]


def run(*words: str | Path) -> Any:
    return CliRunner().invoke(app, list(map(str, words)))


def test_json_and_block_are_not_printed_together(faces: Path) -> None:
    done = run("bench", faces, "--json", "--block")
    assert done.exception
    assert "two ways to print" in str(done.exception)


@pytest.mark.parametrize("flag", ["--profile", "--robustness"])
def test_what_a_block_does_not_tell_is_not_measured_for_nothing(faces: Path, flag: str) -> None:
    done = run("bench", faces, "--block", flag)
    assert f"a block does not tell what {flag} finds" in str(done.exception)


@pytest.mark.heavy
def test_the_command_prints_the_block_alone(faces: Path, tmp_path: Path) -> None:
    done = run("bench", faces, converted() / "float.tflite", "--block", "--rules", "smoke")
    found = tomllib.loads(done.stdout)
    assert found["board"][0]["profile"] == "desktop"
    assert len(found["board"][0]["file"]) == 2
    assert str(tmp_path) not in done.stdout
    assert "faces" not in done.stdout
