"""A job: what one process does in a folder of its own, and what it wrote there of its end."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from edgeshrink.engine.jobs.tasks import Build, Compress, task_of
from edgeshrink.errors import EdgeshrinkError
from edgeshrink.models import held, read_sealed, remove, unchanged, write_sealed, write_text
from edgeshrink.recipes import Methods
from edgeshrink.results import Report, json_text
from edgeshrink.texts import typed

JOB, RESULT, LOG, LOCK = "job.json", "result.json", "job.log", "lock"
# What a process tells after an error that nobody foresaw: it may have left anything behind.
UNFORESEEN = 70


@dataclass(frozen=True)
class Ended:
    """What is written of a job beside its report.

    Attributes:
        seconds: that it took.
        code: the exit code of what happened.
        error: why it failed; empty where it went well.
        hint: what can be done about that.
        made: the day.
        used: the digest of the sources that it used.
        run: the run folder; files of the report's ledger are named from there.
        files: digests of what it made, by the names in its folder.
        kept: the folder of the stages; empty for the run folder.
        stages: their digests by name in that folder.
        layers: for each row of the ledger, weights and multiply-accumulates by layer.
    """

    seconds: float
    code: int
    error: str = ""
    hint: str = ""
    made: str = ""
    used: str | Mapping[str, Any] | None = None
    run: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    kept: str = ""
    stages: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[Mapping[str, tuple[int, int]], ...] = ()


@dataclass(frozen=True)
class Job:
    """What one process does, in a folder that is named by all that decides the result.

    Attributes:
        name: in words.
        folder: of its own, a whole path.
        key: a digest of what decides the result; a result with another one is none of it.
        task: what is done.
    """

    name: str
    folder: Path
    key: str
    task: Build | Compress

    def result(self) -> dict[str, Any] | None:
        """Return what the job found or how it failed; None if it was never ended, or is damaged.

        Returns:
            The fields of `Ended`, and of a `Compress` that went well also `report`, which
            `Report.from_dict` reads. With an `error` it failed.
        """
        found = read_sealed(self.folder / RESULT)
        if found is None or found.get("key") != self.key:
            return None
        try:
            typed(Ended, found, "the result")
            if "report" in found:
                Report.from_dict(found["report"])
        except EdgeshrinkError:  # of another version
            return None
        return found

    @property
    def done(self) -> bool:
        """Whether it has gone well before; what failed is tried again."""
        found = self.result()
        return found is not None and "error" not in found

    def begin(self) -> None:
        """Write down what is to be done, in a folder that is held."""
        for name in (RESULT, LOG):
            remove(self.folder / name)
        write_text(self.folder / JOB, json_text(self.as_dict()) + "\n")

    @contextlib.contextmanager
    def held(self, waiting: Callable[[], Any]) -> Iterator[None]:
        """Let no other process do it meanwhile; what one has done is there then.

        Args:
            waiting: called every few seconds while another process does it.
        """
        if not self.folder.is_dir():
            remove(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        with held(self.folder / LOCK, waiting):
            yield

    def as_dict(self) -> dict[str, Any]:
        """Return it as JSON values."""
        said = {"name": self.name, "folder": str(self.folder), "key": self.key}
        return {**said, "task": self.task.as_dict()}

    @classmethod
    def from_dict(cls, said: Mapping[str, Any], methods: Methods) -> Self:
        """Return the job that `as_dict` told."""
        task = task_of(said["task"], methods)
        return cls(said["name"], Path(said["folder"]), said["key"], task)

    def fail(self, error: str) -> None:
        """Write down that its process ended without a word."""
        document = {"key": self.key, "error": error, "hint": "", "code": 1, "seconds": 0.0}
        write_sealed(self.folder / RESULT, {**document, "files": {}})


def is_whole(result: Path) -> bool:
    """Tell whether a result, and every file that it stands on, is as it was written."""
    try:
        found = typed(Ended, read_sealed(result), "the result")
    except EdgeshrinkError:
        return False
    kept = Path(found.kept or found.run)
    return unchanged(result.parent, found.files) and unchanged(kept, found.stages)
