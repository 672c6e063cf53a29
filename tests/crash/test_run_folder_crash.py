"""The folder of a run that has ended, damaged: the same command makes what it lacks again."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from crashing import COMPRESS, Commands, Lanes, outcome, said


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
    shutil.copytree(calm, place)
    for path in paths:
        damage(place / path, kind)
    for path in outcome(place, "x"):
        (place / path).unlink()
    assert commands.run(place, *COMPRESS) == 0, (paths, kind, said(place))
    assert outcome(place, "x") == outcome(calm, "x"), (paths, kind)
    return said(place)


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
    text = repaired(commands, calm, tmp_path / "place", files, kind)
    if kind != "gone":
        assert text.count("was damaged, and is made again") == len(set(_told(text)))
        assert len(_told(text)) >= 10
        assert any("prune-" in line for line in _told(text))


def _told(said: str) -> list[str]:
    return [line for line in said.splitlines() if "damaged" in line]


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_no_single_file_of_a_run_folder_is_an_obstacle(
    lanes: Lanes, undisturbed: tuple[Path, list[str]]
) -> None:
    calm, _ = undisturbed

    def is_repaired(commands: Commands, place: Path, harm: tuple[Path, str]) -> None:
        path, kind = harm
        repaired(commands, calm, place, [path], kind)

    lanes.each(is_repaired, itertools.product(files_of(calm), KINDS))


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
