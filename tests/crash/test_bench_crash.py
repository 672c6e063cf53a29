"""`bench` ended or refused at each of its writes, and sixteen of it at once."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from crashing import Commands, Lanes, said, without_times
from paths import ROOT

DOUBLER = ROOT / "src" / "edgeshrink" / "cli" / "commands" / "doubler.tflite"
ARGV = ("bench", "PLACE/doubler.tflite", "PLACE/doubler.esz", "--data", "PLACE/d.npz")
ARGV += ("--rules", "smoke", "--resume", "-o", "PLACE/said.json")


@pytest.fixture(scope="module")
def doublers(light: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model that adds its input to itself, packed too, and data for it."""
    folder = tmp_path_factory.mktemp("doublers")
    shutil.copyfile(DOUBLER, folder / "doubler.tflite")
    assert light.run(folder, "pack", "PLACE/doubler.tflite", "-o", "PLACE/doubler.esz") == 0
    x = np.random.default_rng(0).random(20).astype("float32")
    np.savez(folder / "d.npz", x_test=x, y_test=2 * x)
    return folder


def result(place: Path) -> Any:
    text = (place / "said.json").read_text().replace(str(place), "PLACE")
    found = without_times(json.loads(text))
    for one in found["results"]:
        del one["measurement"], one["notes"]
    return found


FAULTS = [("before", 0), ("middle", 0), ("after", 0), ("middle", errno.ENOSPC)]


@pytest.mark.heavy
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("every", [1, pytest.param(len(FAULTS), marks=pytest.mark.slow)])
def test_bench_goes_on_from_every_write(
    light: Commands, light_lanes: Lanes, doublers: Path, tmp_path: Path, every: int
) -> None:
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    calm = Path(shutil.copytree(doublers, tmp_path / "calm"))
    assert light.run(calm, *ARGV, env=cache, at=0) == 0, said(calm)
    writes, wanted = (calm / "writes.txt").read_text().splitlines(), result(calm)
    assert len(writes) >= 6

    def goes_on(light: Commands, place: Path, fault: tuple[int, str, int]) -> None:
        number, moment, error = fault
        shutil.copytree(doublers, place)
        cache = {"XDG_CACHE_HOME": str(place.with_name("cache"))}
        code = light.run(place, *ARGV, env=cache, at=number, moment=moment, error=error)
        assert code == (1 if error else -9), said(place)
        assert ("error: the disk is full: " in said(place)) == bool(error)
        assert light.run(place, *ARGV, env=cache) == 0, said(place)
        assert result(place) == wanted, (number, moment, writes[number - 1])
        left = [p.name for p in place.parent.rglob("*") if ".part" in p.name]
        assert left == []

    light_lanes.each(
        goes_on,
        [
            (number, *fault)
            for number in range(1, len(writes) + 1)
            for fault in [*FAULTS, *FAULTS][number % 4 :][:every]
        ],
    )


@pytest.mark.heavy
@pytest.mark.parametrize(
    "harm",
    ["flipped", "file", *(pytest.param(h, marks=pytest.mark.slow) for h in ("junk", "folder"))],
)
def test_a_damaged_sweep_is_measured_again(
    light: Commands, doublers: Path, tmp_path: Path, harm: str
) -> None:
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    place = Path(shutil.copytree(doublers, tmp_path / "place"))
    last = 6  # before the report
    assert light.run(place, *ARGV, env=cache, at=last, moment="after") == -9
    sweep = next((tmp_path / "cache" / "edgeshrink" / "sweeps").glob("*-0"))
    files = [p for p in sweep.rglob("*") if p.is_file()]
    assert len(files) >= 4
    if harm == "file":
        shutil.rmtree(sweep)
        sweep.write_text("in the way")
    for path in files if harm != "file" else []:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.unlink()
        if harm == "folder":
            path.mkdir()
        else:
            path.write_bytes(data if harm == "flipped" else b"[]")
    assert light.run(place, *ARGV, env=cache) == 0, said(place)
    assert said(place).count("was damaged, and is measured again") == (
        1 if harm == "file" else len(files)
    )


@pytest.mark.heavy
def test_sixteen_benches_at_once_give_sixteen_results(doublers: Path, tmp_path: Path) -> None:
    def run(number: int) -> subprocess.CompletedProcess[str]:
        argv = ["bench", "doubler.tflite", "doubler.esz", "--data", "d.npz", "--rules", "smoke"]
        return subprocess.run(
            [sys.executable, "-m", "edgeshrink.cli", *argv, "--json"],
            cwd=doublers,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
        )

    with ThreadPoolExecutor(16) as pool:
        done = list(pool.map(run, range(16)))
    assert [one.returncode for one in done] == [0] * 16, [one.stderr for one in done]
    assert {len(json.loads(one.stdout)["results"]) for one in done} == {2}
    sweeps = tmp_path / "cache" / "edgeshrink" / "sweeps"
    assert [p for p in sweeps.iterdir() if p.is_dir()] == []
