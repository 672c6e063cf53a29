"""`compress` ended or refused at its writes: the same command gives what an undisturbed one gives.

Its writes are those of prune, int8, strip and pack, of the judging and timing, and of the report:
about 45. The slow tests meet all of them; the others some, in one run that is ended and started
again, each time three writes later, until it is through.
"""

from __future__ import annotations

import errno
import itertools
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from crashing import Commands, left_behind, outcome

ARGV = ("compress", "PLACE/net.keras", "--prune", "0.5", "--int8", "--pack", "--data")
ARGV += ("PLACE/d.npz", "--epochs", "1", "--rules", "smoke", "-o", "PLACE/x.esz")
MOMENTS = ("before", "middle", "after")
FULL = {"error": errno.ENOSPC}


@pytest.fixture(scope="session")
def undisturbed(
    commands: Commands, materials: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """A folder where the command ran in peace, and the names of what it wrote, in order."""
    place = Path(shutil.copytree(materials, tmp_path_factory.mktemp("calm") / "place"))
    assert commands.run(place, *ARGV, at=0) == 0, (place / "said.txt").read_text()
    return place, (place / "writes.txt").read_text().splitlines()


def test_a_run_that_is_ended_again_and_again_gets_there(
    commands: Commands, place: Path, undisturbed: tuple[Path, list[str]]
) -> None:
    calm, writes = undisturbed
    faults = [{}, FULL, {}, {"error": errno.EIO}]
    for number, moment, fault in zip(
        itertools.count(2, 3), itertools.cycle(MOMENTS), itertools.cycle(faults), strict=False
    ):
        code = commands.run(place, *ARGV, at=number, moment=moment, **fault)
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
    assert commands.run(place, *ARGV, "--force", at=0) == 0
    number = (place / "writes.txt").read_text().splitlines().index(name) + 1
    assert commands.run(place, *ARGV) == 2  # it is finished, and not overwritten
    assert commands.run(place, *ARGV, "--force", at=number, moment=moment) == -9
    made = (place / "x.esz").read_bytes()
    (place / "x.esz").write_bytes(b"another's")
    assert commands.run(place, *ARGV) == 2  # nor is what is not its own
    (place / "x.esz").write_bytes(made)
    assert commands.run(place, *ARGV) == 0, (place / "said.txt").read_text()
    assert outcome(place, "x") == outcome(calm, "x")


def check_told(place: Path, code: int, fault: dict[str, Any]) -> None:
    """A refused write is one sentence; a killed process cannot say any."""
    said = (place / "said.txt").read_text()
    if not fault:
        assert code != 0
        return
    assert code == 1, said
    (told,) = (line for line in said.splitlines() if line.startswith("error: "))
    assert "unexpected" not in told
    wanted = "the disk is full: " if fault == FULL else "the disk could not be read or written: "
    assert told.startswith(f"error: {wanted}{place}"), told


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("fault", [{}, FULL], ids=["killed", "full"])
def test_the_same_command_goes_on_from_every_write(
    commands: Commands,
    materials: Path,
    tmp_path: Path,
    undisturbed: tuple[Path, list[str]],
    fault: dict[str, Any],
) -> None:
    calm, writes = undisturbed
    wanted = outcome(calm, "x")
    for number in range(1, len(writes) + 1):
        for moment in MOMENTS if not fault else ("middle",):
            place = tmp_path / "place"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(materials, place)
            check_told(place, commands.run(place, *ARGV, at=number, moment=moment, **fault), fault)
            where = f"{moment} write {number} of {len(writes)}, {writes[number - 1]}"
            assert commands.run(place, *ARGV) == 0, (where, (place / "said.txt").read_text())
            assert outcome(place, "x") == wanted, where
            assert left_behind(place) == [], where


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :] if data else b"x"


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "flipped": flipped,
    "cut": lambda data: data[: len(data) // 2],
    "empty": lambda data: b"",
    "junk": lambda data: bytes(range(256)) * 4,
    "list": lambda data: b"[1, 2]",
    "object": lambda data: b"{}",
}
KINDS = [*DAMAGES, "folder", "gone"]


def damage(path: Path, kind: str) -> None:
    if kind in DAMAGES:
        path.write_bytes(DAMAGES[kind](path.read_bytes()))
        return
    path.unlink()
    if kind == "folder":
        path.mkdir()
        (path / "inside").write_text("junk")


def repaired(commands: Commands, calm: Path, place: Path, paths: list[Path], kind: str) -> str:
    """Damage files of a finished run's folder, run the command again; return what it said."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(calm, place)
    for path in paths:
        damage(place / path, kind)
    for path in outcome(place, "x"):
        (place / path).unlink()
    assert commands.run(place, *ARGV) == 0, (paths, kind, (place / "said.txt").read_text())
    assert outcome(place, "x") == outcome(calm, "x"), (paths, kind)
    return (place / "said.txt").read_text()


def files_of(calm: Path) -> list[Path]:
    return sorted(p.relative_to(calm) for p in (calm / "x.run").rglob("*") if p.is_file())


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
    said = repaired(commands, calm, tmp_path / "place", files, kind)
    if kind != "gone":
        assert said.count("was damaged, and is made again") == len(set(_told(said)))
        assert len(_told(said)) >= 10
        assert any("prune-" in line for line in _told(said))


def _told(said: str) -> list[str]:
    return [line for line in said.splitlines() if "damaged" in line]


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_no_single_file_of_a_run_folder_is_an_obstacle(
    commands: Commands, tmp_path: Path, undisturbed: tuple[Path, list[str]]
) -> None:
    calm, _ = undisturbed
    for path in files_of(calm):
        for kind in KINDS:
            repaired(commands, calm, tmp_path / "place", [path], kind)


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
    assert commands.run(place, *ARGV, "--force") == 0, (place / "said.txt").read_text()
    assert (place / "x.esz").read_bytes() == (calm / "x.esz").read_bytes()
