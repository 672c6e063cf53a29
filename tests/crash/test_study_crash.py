"""`study` ended or refused at its writes: the same command gives the tables of an undisturbed one.

The study's own writes are met all of them, and of those of its processes, which are compress's,
each eighth. Slow: every run of a study imports TensorFlow for each of its processes.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from crashing import Commands, left_behind, without_times

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

STUDY = """
title = "Tiny"
rules = "smoke"
[data.blobs]
spec = "d.npz"
[models.net]
file = "net.keras"
data = "blobs"
[recipes]
half = "--prune 0.5 --epochs 1"
[[tables]]
name = "1"
title = "Pruned"
columns = ["accuracy", "sparsity", "ms"]
rows = [
 {label = "base", model = "net"},
 {label = "half", model = "net", recipe = "half"},
]
"""
ARGV = ("study", "PLACE/tiny.toml", "-o", "PLACE")
OWN = ("job.json", "result.json", "times-smoke.json", "tiny.md", "tiny.json", "tiny.html")
CYCLE = [("before", 0), ("middle", 28), ("middle", 0), ("before", 28), ("after", 0)]


def tables(place: Path) -> Any:
    """Return what was found, without times and what they say."""
    found = json.loads((place / "tiny.json").read_text().replace(str(place), "PLACE"))
    return [
        [{key: cell for key, cell in row["cells"].items() if key != "ms"} for row in table["rows"]]
        for table in without_times(found)["tables"]
    ]


def test_a_study_goes_on_from_its_writes(
    commands: Commands, materials: Path, tmp_path: Path
) -> None:
    (materials / "tiny.toml").write_text(STUDY)
    calm = Path(shutil.copytree(materials, tmp_path / "calm"))
    assert commands.run(calm, *ARGV, at=0) == 0, (calm / "said.txt").read_text()
    writes, wanted = (calm / "writes.txt").read_text().splitlines(), tables(calm)
    points = [n for n, name in enumerate(writes, 1) if name in OWN or n % 8 == 0]
    assert len([name for name in writes if name in OWN]) >= 8
    for place_of, number in enumerate(points):
        moment, error = CYCLE[place_of % len(CYCLE)]
        place = tmp_path / "place"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(materials, place)
        where = f"{moment} write {number} of {len(writes)}, {writes[number - 1]}"
        if commands.run(place, *ARGV, at=number, moment=moment, error=error) == 0:
            # a process that had done another job was killed: this one was done in a fresh one
            assert error == 0, where
            assert tables(place) == wanted, where
        said = (place / "said.txt").read_text()
        assert "unexpected" not in said, (where, said)
        assert commands.run(place, *ARGV) == 0, (where, (place / "said.txt").read_text())
        assert tables(place) == wanted, where
        assert left_behind(place) == [], where
