"""The same in the command's real processes: supervisor, worker and converter."""

from __future__ import annotations

import errno
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crashing import COMPRESS, left_behind, outcome

from edgeshrink.models.write_faults import VARIABLE

Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = [pytest.mark.heavy, pytest.mark.timeout(900)]

# the worker writes the first, the converter's process the others
ENDED = {
    "prune.keras": "error: SIGKILL ended the process during prune(sparsity=0.5): memory may have",
    "channel.part.tflite": "error: int8: the converter's process was killed by signal 9 while it",
}


def compress(edgeshrink: Run, place: Path, **fault: Any) -> subprocess.CompletedProcess[str]:
    argv = [word.replace("PLACE", str(place)) for word in COMPRESS]
    log = place / "writes.txt"
    log.unlink(missing_ok=True)
    more = {VARIABLE: json.dumps({"log": str(log), **fault})} if fault else {}
    return edgeshrink(*argv, cwd=place, timeout=600, **more)


def number_of(name: str, place: Path) -> int:
    """Return which write of a run was the first of that name."""
    return (place / "writes.txt").read_text().splitlines().index(name) + 1


def goes_on(edgeshrink: Run, place: Path, calm: Path) -> None:
    done = compress(edgeshrink, place)
    assert done.returncode == 0, done.stderr
    assert outcome(place, "x") == outcome(calm, "x")
    assert left_behind(place) == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["prune.keras", "channel.part.tflite"])
def test_a_process_that_is_killed_at_a_write_is_told_and_the_same_command_goes_on(
    edgeshrink: Run, place: Path, materials: Path, tmp_path: Path, name: str
) -> None:
    calm = Path(shutil.copytree(materials, tmp_path / "calm"))
    assert compress(edgeshrink, calm, at=0).returncode == 0
    done = compress(edgeshrink, place, at=number_of(name, calm), moment="middle")
    assert done.returncode == 1, done.stderr
    assert ENDED[name] in done.stderr
    goes_on(edgeshrink, place, calm)


@pytest.mark.slow
def test_a_full_disk_in_the_converter_is_told_and_the_same_command_goes_on(
    edgeshrink: Run, place: Path, materials: Path, tmp_path: Path
) -> None:
    calm = Path(shutil.copytree(materials, tmp_path / "calm"))
    assert compress(edgeshrink, calm, at=0).returncode == 0
    number = number_of("channel.part.tflite", calm)
    done = compress(edgeshrink, place, at=number, moment="middle", error=errno.ENOSPC)
    assert done.returncode == 1, done.stderr
    assert f"error: the disk is full: {place}" in done.stderr
    goes_on(edgeshrink, place, calm)
