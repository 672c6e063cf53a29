"""A run folder: what one run keeps to go on from, never an obstacle; its log, notes and report.

What is read back is compared with the digest that was written with it. What is damaged counts as
missing: it is made again, and that is said.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from edgeshrink.engine.running.stage_store import OUTPUTS, StageStore
from edgeshrink.errors import UsageError
from edgeshrink.models import (
    PREFIX,
    is_sealed,
    make_ours,
    marked,
    mend,
    read_sealed,
    remove,
    write_sealed,
)

SCRATCH, DEVICES = ".edgeshrink-scratch", "devices"
# Where a folder of such a name stands in a run folder of ours, it stands in the way of the file.
FILES = ("lock", "run.log", "recipe.toml", "report.json", "unfinished.json")
CACHES = (OUTPUTS, DEVICES)
TIMES = re.compile(r"time-[0-9a-f]{16}\.json")


class RunFolder:
    """The folder of one run; one process at a time works in it.

    Args:
        folder: it is made when it is locked.
        told: called with what was damaged, in a sentence.
        stages: a folder that holds the stages of several runs; None keeps them in this one.
    """

    def __init__(
        self, folder: Path, told: Callable[[str], Any], stages: Path | None = None
    ) -> None:
        self.folder, self._told = folder, told
        self.log, self.devices = folder / "run.log", folder / DEVICES
        self.store, self._shared = StageStore(stages or folder, told), stages is not None

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

    def relative(self, file: Path) -> str:
        """Return the path from this folder to a file of a stage, wherever stages are kept."""
        return os.path.relpath(file.resolve(), self.folder.resolve())

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
            elif TIMES.fullmatch(path.name) and not is_sealed(path):
                remove(path)
                self._made_again(path)
        mend(self.devices, self._made_again)
        if not self._shared:
            self.store.mend()

    def _made_again(self, path: Path) -> None:
        self._told(f"{path.relative_to(self.folder.parent)} was damaged, and is made again")
