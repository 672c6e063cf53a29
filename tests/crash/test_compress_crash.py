"""`compress` ended or refused at its writes: the same command gives what an undisturbed one gives.

Its writes are those of prune, int8, strip and pack, of the judging and timing, and of the report:
about 45. The slow tests meet all of them; the others some, in one run that is ended and started
again, each time three writes later, until it is through.
"""

from __future__ import annotations

import errno
import itertools
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from crashing import COMPRESS, Commands, Lanes, digest, left_behind, names, outcome, said

MOMENTS = ("before", "middle", "after")
FULL = {"error": errno.ENOSPC}


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


def check_told(place: Path, code: int, fault: dict[str, Any]) -> None:
    """A refused write is one sentence; a killed process cannot say any."""
    text = said(place)
    if not fault:
        assert code != 0
        return
    assert code == 1, text
    (told,) = (line for line in text.splitlines() if line.startswith("error: "))
    assert "unexpected" not in told
    wanted = "the disk is full: " if fault == FULL else "the disk could not be read or written: "
    assert told.startswith(f"error: {wanted}{place}"), told


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_the_same_command_goes_on_from_what_a_kill_leaves_at_every_moment(
    lanes: Lanes, copies: Path, undisturbed: tuple[Path, list[str]]
) -> None:
    calm, writes = undisturbed
    states = sorted(copies.iterdir())
    assert len(states) == len(MOMENTS) * len(writes)
    # after a write may be as before the next
    different = {digest(state): state for state in states}
    assert len(different) > len(writes)

    def goes_on(commands: Commands, place: Path, state: Path) -> None:
        shutil.copytree(state, place)
        assert commands.run(place, *COMPRESS) == 0, (state.name, said(place))
        assert outcome(place, "x") == outcome(calm, "x"), state.name
        assert left_behind(place) == [], state.name

    lanes.each(goes_on, different.values())


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_kill_at_every_write_leaves_what_was_copied_there(
    lanes: Lanes, materials: Path, copies: Path, undisturbed: tuple[Path, list[str]]
) -> None:
    _, writes = undisturbed

    def is_killed(commands: Commands, place: Path, number: int) -> None:
        moment = MOMENTS[number % 3]
        shutil.copytree(materials, place)
        assert commands.run(place, *COMPRESS, at=number, moment=moment) == -signal.SIGKILL
        for name in ("said.txt", "writes.txt"):
            (place / name).unlink()
        assert names(place) == names(copies / f"{number:03}-{moment}")

    lanes.each(is_killed, range(1, len(writes) + 1))


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_full_disk_at_every_write_is_a_sentence_and_the_same_command_goes_on(
    lanes: Lanes, materials: Path, undisturbed: tuple[Path, list[str]]
) -> None:
    calm, writes = undisturbed

    def is_told(commands: Commands, place: Path, number: int) -> None:
        where = f"write {number} of {len(writes)}, {writes[number - 1]}"
        shutil.copytree(materials, place)
        code = commands.run(place, *COMPRESS, at=number, moment="middle", **FULL)
        check_told(place, code, FULL)
        assert commands.run(place, *COMPRESS) == 0, (where, said(place))
        assert outcome(place, "x") == outcome(calm, "x"), where
        assert left_behind(place) == [], where

    lanes.each(is_told, range(1, len(writes) + 1))
