"""`clean` shows and removes what is ours, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import filelock
import pytest

from edgeshrink.cli import run
from edgeshrink.cli.commands.clean import tell_size
from edgeshrink.engine.kept_places import LARGE_BYTES
from edgeshrink.models import cache_folder, make_ours


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a run folder, a folder of somebody's own, a link, and a cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    here = tmp_path / "here"
    for folder in (here / "k.run", cache_folder("wheels")):
        make_ours(folder)
        (folder / "file").write_bytes(bytes(1000))
    (here / "mine.run").mkdir()
    (here / "mine.run" / "letter.txt").write_text("dear")
    make_ours(here / "mine.run")
    (tmp_path / "away").mkdir()
    make_ours(tmp_path / "away")
    (here / "link.run").symlink_to(tmp_path / "away")
    (here / "k.tflite").write_text("the result")
    monkeypatch.chdir(here)
    return here


def places(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, bool]:
    """Return what is told of each folder, by its name: whether it was removed."""
    assert run(["clean", "--json", *argv]) == 0
    found = json.loads(capsys.readouterr().out)["places"]
    assert all(1000 < place["bytes"] < 1200 for place in found)
    return {Path(place["folder"]).name: place["removed"] for place in found}


def test_it_shows_what_is_ours_and_its_size(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["clean"]) == 0
    said = capsys.readouterr()
    assert "1.08 kB  k.run\n" in said.out
    assert "2.15 kB  in all\n" in said.out
    assert said.err == "hint:  --yes removes them\n"
    assert places(capsys) == {"k.run": False, "wheels": False}
    assert places(capsys, "--dry-run", "--yes") == {"k.run": False, "wheels": False}
    assert (place / "k.run" / "file").exists()


def test_it_removes_what_bears_the_mark_and_nothing_else(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert places(capsys, "--yes") == {"k.run": True, "wheels": True}
    assert sorted(p.name for p in place.iterdir()) == ["k.tflite", "link.run", "mine.run"]
    assert (place / "mine.run" / "letter.txt").exists()
    assert (place.parent / "away").is_dir()
    assert not cache_folder("wheels").exists()
    assert places(capsys, "--yes") == {}


def test_it_keeps_to_the_folders_that_are_named(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert places(capsys, "k.run", "--yes") == {"k.run": True}
    assert cache_folder("wheels").exists()
    assert run(["clean", "nowhere"]) == 2


@pytest.mark.parametrize("lock", ["lock", "abc-0.lock"])
def test_what_a_process_works_in_stays(
    place: Path, capsys: pytest.CaptureFixture[str], lock: str
) -> None:
    with filelock.FileLock(place / "k.run" / lock):
        assert places(capsys, "--yes") == {"k.run": False, "wheels": True}
        assert run(["clean"]) == 0
    assert "k.run, in use" in capsys.readouterr().out


def test_a_large_run_folder_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tell_size(tmp_path)
    with (tmp_path / "file").open("wb") as stream:
        stream.truncate(LARGE_BYTES)
    tell_size(tmp_path)
    assert capsys.readouterr().err == (
        f"hint:  {tmp_path} keeps 100 MB; `edgeshrink clean` removes it\n"
    )
