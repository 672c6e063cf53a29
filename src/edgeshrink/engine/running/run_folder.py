"""A run folder: each stage's file, written whole or not at all, found again by its key."""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from edgeshrink.errors import UsageError
from edgeshrink.models import Artifact, Kind, content_digest, write_text

DONE = "done.json"


@dataclass(frozen=True)
class Stage:
    """A finished step, as it lies in the run folder."""

    artifact: Artifact
    seconds: float
    notes: tuple[str, ...]
    reused: bool = False


class RunFolder:
    """The folder of one run; one process at a time works in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log = folder / "run.log"

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process.

        Raises:
            UsageError: another process holds it.
        """
        import filelock

        self.folder.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(self.folder / "lock", timeout=0)
        try:
            lock.acquire()
        except filelock.Timeout:
            raise UsageError(
                f"another process works in {self.folder}", hint="wait for it, or name another --run"
            ) from None
        try:
            yield
        finally:
            lock.release()

    def keep(self, name: str, numbers: Mapping[int, int]) -> None:
        """Keep some numbers by number, for later runs."""
        write_text(self.folder / f"{name}.json", json.dumps(dict(numbers)))

    def kept(self, name: str) -> dict[int, int] | None:
        """Return what was kept, or None where there is nothing that can be read."""
        try:
            found = json.loads((self.folder / f"{name}.json").read_text(encoding="utf-8"))
            return {int(place): int(number) for place, number in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return None

    def find(self, name: str, key: str, parent: Artifact) -> Stage | None:
        """Return the finished stage with this key, or None if it is missing or damaged."""
        folder = self.stage_folder(name, key)
        try:
            done = json.loads((folder / DONE).read_text(encoding="utf-8"))
            artifact = Artifact(
                folder / done["file"],
                Kind(done["kind"]),
                done["made_by"],
                parent,
                done["facts"],
                folder / done["state"] if done["state"] else None,
                tuple(done["companions"]),
            )
            whole = content_digest(artifact.path) == done["sha256"] and all(
                (folder / companion).is_file() for companion in artifact.companions
            )
        except (OSError, ValueError, KeyError):
            return None
        return Stage(artifact, done["seconds"], tuple(done["notes"]), True) if whole else None

    def begin(self, name: str, key: str) -> Path:
        """Return an empty folder for a stage; what an interrupted run left there is removed."""
        folder = self.stage_folder(name, key)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return folder

    def finish(self, stage: Stage) -> None:
        """Mark a stage as whole: its description is written last."""
        artifact = stage.artifact
        folder = artifact.path.parent
        kept = {artifact.path.name, *artifact.companions, DONE}
        kept |= {artifact.state.name} if artifact.state else set()
        for leftover in folder.iterdir():
            if leftover.name not in kept:
                shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        write_text(
            folder / DONE,
            json.dumps(
                {
                    "file": artifact.path.name,
                    "kind": artifact.kind,
                    "made_by": artifact.made_by,
                    "facts": dict(artifact.facts),
                    "state": artifact.state.name if artifact.state else "",
                    "companions": artifact.companions,
                    "sha256": content_digest(artifact.path),
                    "seconds": stage.seconds,
                    "notes": stage.notes,
                },
                indent=1,
            ),
        )

    def stage_folder(self, name: str, key: str) -> Path:
        """Return where the stage with this key lies, whether it is there or not."""
        return self.folder / f"{name}-{key[:16]}"
