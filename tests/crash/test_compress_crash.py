"""`compress` ended or refused at its writes: the same command gives what an undisturbed one gives.

Its writes are those of prune, int8, strip and pack, of the judging and timing, and of the report.
Here some of them are met, in one run that is ended and started again, each time three writes later,
until it is through, and all files are damaged at once; test_every_write.py meets each, and is slow.
"""

from __future__ import annotations

import errno
import itertools
import shutil
from pathlib import Path

import pytest
from crashing import COMPRESS, FULL, MOMENTS, Commands, check_told, left_behind, outcome, said
from damage import KINDS, files_of, repaired

pytestmark = [pytest.mark.heavy, pytest.mark.timeout(1800)]  # on a machine that others use


def test_a_run_that_is_ended_again_and_again_gets_there(
    commands: Commands, place: Path, undisturbed: tuple[Path, list[str]]
) -> None:
    calm, writes = undisturbed
    faults = [{}, FULL, {}, {"error": errno.EIO}]
    for number, moment, fault in zip(
        itertools.count(2, 3), itertools.cycle(MOMENTS), itertools.cycle(faults), strict=False
    ):
        code = commands.run(place, *COMPRESS, at=number, moment=moment, **fault)
        if code == 0:
            break
        check_told(place, code, fault)
    assert number > 10
    assert len(writes) > 40
    assert outcome(place, "x") == outcome(calm, "x")
    assert left_behind(place) == []


@pytest.mark.parametrize(
    ("name", "moment"),
    [("x.esz", "after"), pytest.param("report.json", "after", marks=pytest.mark.slow)],
)
def test_a_run_that_is_killed_in_its_report_goes_on(
    commands: Commands, tmp_path: Path, undisturbed: tuple[Path, list[str]], name: str, moment: str
) -> None:
    calm, _ = undisturbed
    place = Path(shutil.copytree(calm, tmp_path / "place"))
    assert commands.run(place, *COMPRESS, "--force", at=0) == 0
    number = (place / "writes.txt").read_text().splitlines().index(name) + 1
    assert commands.run(place, *COMPRESS) == 2  # it is finished, and not overwritten
    assert commands.run(place, *COMPRESS, "--force", at=number, moment=moment) == -9
    made = (place / "x.esz").read_bytes()
    (place / "x.esz").write_bytes(b"another's")
    assert commands.run(place, *COMPRESS) == 2  # nor is what is not its own
    (place / "x.esz").write_bytes(made)
    assert commands.run(place, *COMPRESS) == 0, said(place)
    assert outcome(place, "x") == outcome(calm, "x")


@pytest.mark.parametrize(
    "kind",
    [
        kind if kind in ("flipped", "folder") else pytest.param(kind, marks=pytest.mark.slow)
        for kind in KINDS
    ],
)
def test_a_run_folder_that_is_damaged_all_over_is_no_obstacle(
    commands: Commands, tmp_path: Path, undisturbed: tuple[Path, list[str]], kind: str
) -> None:
    calm, _ = undisturbed
    files = files_of(calm)
    assert len(files) > 20
    text = repaired(commands, calm, tmp_path / "place", files, kind)
    if kind != "gone":
        assert text.count("was damaged, and is made again") == len(set(_told(text)))
        assert len(_told(text)) >= 10
        assert any("prune-" in line for line in _told(text))


def _told(said: str) -> list[str]:
    return [line for line in said.splitlines() if "damaged" in line]


def test_a_file_in_place_of_each_folder_is_no_obstacle(
    commands: Commands, tmp_path: Path, undisturbed: tuple[Path, list[str]]
) -> None:
    calm, _ = undisturbed
    place = Path(shutil.copytree(calm, tmp_path / "place"))
    for folder in [p for p in (place / "x.run").iterdir() if p.is_dir()]:
        shutil.rmtree(folder)
        folder.write_text("in the way")
    (place / "x.run" / "devices").unlink(missing_ok=True)
    (place / "x.run" / "devices").write_text("in the way")
    assert commands.run(place, *COMPRESS, "--force") == 0, said(place)
    assert (place / "x.esz").read_bytes() == (calm / "x.esz").read_bytes()
