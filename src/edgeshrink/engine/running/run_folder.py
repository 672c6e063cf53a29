"""A run folder: a cache of stages and answers, found again by their keys, never an obstacle.

What is read back is compared with the digest that was written with it. What is damaged counts as
missing: it is made again, and that is said.
"""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeshrink.errors import EdgeshrinkError, UsageError
from edgeshrink.models import (
    PREFIX,
    Artifact,
    Kind,
    file_digest,
    is_sealed,
    make_ours,
    marked,
    mend,
    read_sealed,
    remove,
    unchanged,
    write_sealed,
)
from edgeshrink.texts import typed

DONE, SCRATCH = "done.json", ".edgeshrink-scratch"
CACHES = ("outputs", "devices")
# Where a folder of such a name stands in a run folder of ours, it stands in the way of the file.
FILES = ("lock", "run.log", "recipe.toml", "report.json", "unfinished.json")
READ_BACK = re.compile(r"answers-[0-9a-f]{16}\.npz|time-[0-9a-f]{16}\.json")


@dataclass(frozen=True)
class Stage:
    """A finished step, as it lies in the run folder."""

    artifact: Artifact
    seconds: float
    notes: tuple[str, ...]
    reused: bool = False


@dataclass(frozen=True)
class Done:
    """What is written of a finished stage; files by their names in its folder."""

    file: str
    kind: str
    made_by: str
    facts: Mapping[str, Any]
    state: str
    companions: tuple[str, ...]
    files: Mapping[str, str]
    seconds: float
    notes: tuple[str, ...]

    @classmethod
    def read(cls, folder: Path) -> Done | None:
        """Return what is written in a stage's folder, or None where it or a file is damaged."""
        try:
            done = typed(cls, read_sealed(folder / DONE), "a finished stage")
        except EdgeshrinkError:
            return None
        named = {done.file, *done.companions, *filter(None, [done.state])}
        whole = named == set(done.files) and done.kind in list(Kind)
        return done if whole and unchanged(folder, done.files) else None


class RunFolder:
    """The folder of one run; one process at a time works in it.

    Args:
        folder: it is made when it is locked.
        told: called with what was damaged, in a sentence.
    """

    def __init__(self, folder: Path, told: Callable[[str], Any]) -> None:
        self.folder, self._told = folder, told
        self.log, self.outputs = folder / "run.log", folder / "outputs"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process, without what is damaged or was left by a killed one.

        Raises:
            UsageError: another process holds it, or it cannot be a run folder.
        """
        import filelock

        try:
            make_ours(self.folder)
        except (FileExistsError, NotADirectoryError):
            raise UsageError(
                f"{self.folder} is a file, not a folder", hint="name another --run"
            ) from None
        self._clear_the_way()
        lock = filelock.FileLock(self.folder / "lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise UsageError(
                f"another process works in {self.folder}", hint="wait for it, or name another --run"
            ) from None
        try:
            self._mend()
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def scratch(self) -> Iterator[Path]:
        """Yield an empty folder for files that go with the run; it is removed afterwards."""
        folder = self.folder / SCRATCH
        remove(folder)
        folder.mkdir()
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def keep(self, name: str, numbers: Mapping[int, int]) -> None:
        """Keep some numbers by number, for later runs."""
        write_sealed(self.folder / f"{name}.json", {str(k): v for k, v in numbers.items()})

    def kept(self, name: str) -> dict[int, int] | None:
        """Return what was kept, or None where there is nothing that is whole."""
        found = read_sealed(self.folder / f"{name}.json")
        return None if found is None else {int(place): n for place, n in found.items()}

    def find(self, name: str, key: str, parent: Artifact) -> Stage | None:
        """Return the finished stage with this key, or None if it is missing or damaged."""
        folder = self.stage_folder(name, key)
        if not (folder / DONE).exists() and not folder.is_file():
            return None
        done = Done.read(folder)
        if done is None:
            self._made_again(folder)
            return None
        artifact = Artifact(
            folder / done.file,
            Kind(done.kind),
            done.made_by,
            parent,
            done.facts,
            folder / done.state if done.state else None,
            done.companions,
        )
        return Stage(artifact, done.seconds, done.notes, reused=True)

    def begin(self, name: str, key: str) -> Path:
        """Return an empty folder for a stage; what an interrupted run left there is removed."""
        folder = self.stage_folder(name, key)
        remove(folder)
        folder.mkdir(parents=True)
        return folder

    def finish(self, stage: Stage) -> None:
        """Mark a stage as whole: its description is written last, with digests of its files."""
        artifact = stage.artifact
        folder = artifact.path.parent
        state = artifact.state.name if artifact.state else ""
        files = {artifact.path.name, *artifact.companions, *filter(None, [state])}
        for leftover in folder.iterdir():
            if leftover.name not in files:
                remove(leftover)
        write_sealed(
            folder / DONE,
            {
                "file": artifact.path.name,
                "kind": artifact.kind,
                "made_by": artifact.made_by,
                "facts": dict(artifact.facts),
                "state": state,
                "companions": artifact.companions,
                "files": {name: file_digest(folder / name) for name in sorted(files)},
                "seconds": stage.seconds,
                "notes": stage.notes,
            },
        )

    def stage_folder(self, name: str, key: str) -> Path:
        """Return where the stage with this key lies, whether it is there or not."""
        return self.folder / f"{name}-{key[:16]}"

    def _clear_the_way(self) -> None:
        """Remove what is of another kind than what a run folder has by that name.

        Raises:
            UsageError: the folder is not ours, so nothing in it is removed.
        """
        wrong = [path for name in FILES if (path := self.folder / name).is_dir()]
        wrong += [path for name in CACHES if (path := self.folder / name).is_file()]
        for path in wrong:
            if not marked(self.folder):
                what = "a folder" if path.is_dir() else "a file"
                raise UsageError(
                    f"{self.folder} is no run folder: {path.name} in it is {what}",
                    hint="name another --run",
                )
            remove(path)
            self._made_again(path)

    def _mend(self) -> None:
        """Remove what a killed run began to write, and what is read back and is not whole."""
        for path in self.folder.iterdir():
            if path.name.startswith(PREFIX):
                remove(path)
            elif READ_BACK.fullmatch(path.name) and not is_sealed(path):
                remove(path)
                self._made_again(path)
        for name in CACHES:
            mend(self.folder / name, self._made_again)

    def _made_again(self, path: Path) -> None:
        self._told(f"{path.relative_to(self.folder.parent)} was damaged, and is made again")
