"""`bench` ended or refused at each of its writes, and sixteen of it at once."""

from __future__ import annotations

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
from crashing import Commands, without_times
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


@pytest.mark.parametrize("every", [1, pytest.param(4, marks=pytest.mark.slow)])
def test_bench_goes_on_from_every_write(
    light: Commands, doublers: Path, tmp_path: Path, every: int
) -> None:
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    calm = Path(shutil.copytree(doublers, tmp_path / "calm"))
    assert light.run(calm, *ARGV, env=cache, at=0) == 0, (calm / "said.txt").read_text()
    writes, wanted = (calm / "writes.txt").read_text().splitlines(), result(calm)
    assert len(writes) >= 6
    kept = tmp_path / "cache" / "edgeshrink" / "sweeps"
    faults = [("before", 0), ("middle", 0), ("after", 0), ("middle", 28)]
    for number in range(1, len(writes) + 1):
        for moment, error in [*faults, *faults][number % 4 :][:every]:
            shutil.rmtree(kept, ignore_errors=True)
            place = tmp_path / "place"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(doublers, place)
            code = light.run(place, *ARGV, env=cache, at=number, moment=moment, error=error)
            said = (place / "said.txt").read_text()
            assert code == (1 if error else -9), said
            assert ("error: the disk is full: " in said) == bool(error)
            assert light.run(place, *ARGV, env=cache) == 0, (place / "said.txt").read_text()
            assert result(place) == wanted, (number, moment, writes[number - 1])
            left = [p.name for p in (*place.iterdir(), *kept.rglob("*")) if ".part" in p.name]
            assert left == []


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
    assert light.run(place, *ARGV, env=cache) == 0, (place / "said.txt").read_text()
    said = (place / "said.txt").read_text()
    assert said.count("was damaged, and is measured again") == (1 if harm == "file" else len(files))


@pytest.mark.command
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
