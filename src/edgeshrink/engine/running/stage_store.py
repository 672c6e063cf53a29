"""A folder of finished stages, found again by their keys; several runs may use one at once.

What is read back is compared with the digest that was written with it. What is damaged counts as
missing: it is made again, and that is said.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgeshrink.errors import EdgeshrinkError
from edgeshrink.models import (
    PREFIX,
    Artifact,
    Kind,
    file_digest,
    held,
    is_sealed,
    mend,
    read_sealed,
    remove,
    unchanged,
    write_sealed,
)
from edgeshrink.texts import typed

DONE, LOCK, OUTPUTS = "done.json", "lock", "outputs"
ANSWERS = re.compile(r"answers-[0-9a-f]{16}\.npz")


@dataclass(frozen=True)
class Stage:
    """A finished step, as it lies in its folder."""

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


class StageStore:
    """Stages by their keys, and what models answered samples, by digests of both.

    Args:
        folder: of one run, or of several, whose processes may work at the same time.
        told: called with what was damaged, in a sentence.
    """

    def __init__(self, folder: Path, told: Callable[[str], Any]) -> None:
        self.folder, self._told = folder, told
        self.outputs = folder / OUTPUTS

    def find(self, name: str, key: str, parent: Artifact) -> Stage | None:
        """Return the finished stage with this key, or None if it is missing or damaged."""
        folder = self._folder(name, key)
        done = Done.read(folder)
        if done is None:
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

    @contextlib.contextmanager
    def held(self, name: str, key: str, waiting: Callable[[], Any]) -> Iterator[Path]:
        """Yield a stage's folder, while no other process may make that stage.

        The lock lies in the folder until the stage is whole: whoever has got it looks for the
        stage again first. A process that is killed holds it no longer.

        Args:
            name: of the step.
            key: of the stage.
            waiting: called every few seconds while another process holds it.
        """
        folder = self._folder(name, key)
        if folder.is_file():
            self._made_again(folder)
            remove(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with held(folder / LOCK, waiting):
            try:
                yield folder
            finally:
                if (folder / DONE).exists():
                    with contextlib.suppress(OSError):  # where what is open cannot be removed
                        remove(folder / LOCK)

    def begin(self, folder: Path) -> None:
        """Empty a stage's folder that is held: what is there is damaged, or was never finished."""
        if (folder / DONE).exists():
            self._made_again(folder)
        for leftover in folder.iterdir():
            if leftover.name != LOCK:
                remove(leftover)

    def finish(self, stage: Stage) -> None:
        """Mark a stage as whole: its description is written last, with digests of its files."""
        artifact = stage.artifact
        folder = artifact.path.parent
        state = artifact.state.name if artifact.state else ""
        files = {artifact.path.name, *artifact.companions, *filter(None, [state])}
        for leftover in folder.iterdir():
            if leftover.name not in {*files, LOCK}:
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

    def mend(self) -> None:
        """Remove what killed runs began to write, and what is read back and is not whole.

        For whoever keeps the folder, as long as no run uses it.
        """
        if not self.folder.is_dir():
            return
        for path in self.folder.iterdir():
            if path.name.startswith(PREFIX):
                remove(path)
            elif ANSWERS.fullmatch(path.name) and not is_sealed(path):
                remove(path)
                self._made_again(path)
        mend(self.outputs, self._made_again)

    def _folder(self, name: str, key: str) -> Path:
        return self.folder / f"{name}-{key[:16]}"

    def _made_again(self, path: Path) -> None:
        self._told(f"{path.relative_to(self.folder.parent)} was damaged, and is made again")
