"""`compress` ended or refused at each of its writes, and each file of its folder damaged."""

from __future__ import annotations

import itertools
import shutil
import signal
from pathlib import Path

import pytest
from crashing import (
    COMPRESS,
    FULL,
    MOMENTS,
    Commands,
    Lanes,
    check_told,
    digest,
    left_behind,
    names,
    outcome,
    said,
)
from damage import KINDS, files_of, repaired

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]


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


def test_no_single_file_of_a_run_folder_is_an_obstacle(
    lanes: Lanes, undisturbed: tuple[Path, list[str]]
) -> None:
    calm, _ = undisturbed

    def is_repaired(commands: Commands, place: Path, harm: tuple[Path, str]) -> None:
        path, kind = harm
        repaired(commands, calm, place, [path], kind)

    lanes.each(is_repaired, itertools.product(files_of(calm), KINDS))
