"""What a study is asked, and the jobs that its processes do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from edgeshrink.engine.studies.worker import JOB, RESULT
from edgeshrink.errors import EdgeshrinkError
from edgeshrink.models import is_sealed, read_sealed, remove, unchanged, write_sealed, write_text
from edgeshrink.results import Report, json_text
from edgeshrink.texts import typed


@dataclass(frozen=True)
class StudyRequest:
    """A study, as it was asked for.

    Attributes:
        file: the study.
        root: where its paths begin; None for the file's folder.
        out: the folder for tables and figures; made where its parent is there.
        run: the folder of all runs; None puts it beside the tables.
        jobs: runs side by side, at least 1; timing is done by one at a time, after them.
        only: patterns `TABLE` or `TABLE/ROW` of what is run; empty for all.
    """

    file: Path
    root: Path | None = None
    out: Path = Path()
    run: Path | None = None
    jobs: int = 1
    only: tuple[str, ...] = ()

    @property
    def run_folder(self) -> Path:
        """Where every run is kept, as a whole path."""
        return (self.run or self.out / f"{self.file.stem}.run").resolve()

    def tables(self, suffix: str) -> Path:
        """Return where the tables go that a reporter with such files writes."""
        return self.out / f"{self.file.stem}{suffix}"

    @property
    def command(self) -> str:
        """What does it again, without the places of this machine."""
        return f"edgeshrink study {self.file.name}{' --root ROOT' if self.root else ''}"

    def placeless(self, text: str) -> str:
        """Return a text without the places of this machine."""
        return text.replace(str(self.run_folder), "RUN").replace(str(self.root_folder), "ROOT")

    @property
    def root_folder(self) -> Path:
        """Where the study's paths begin, as a whole path."""
        return (self.root or self.file.parent).resolve()


class Run(NamedTuple):
    """One recipe on one model with one seed; without a recipe the model is only converted."""

    model: str
    recipe: str
    seed: int

    def __str__(self) -> str:
        return f"{self.model}, {self.recipe or 'as it is'}, seed {self.seed}"


@dataclass(frozen=True)
class Ended:
    """What is written of a job beside its report."""

    seconds: float
    code: int
    error: str = ""
    hint: str = ""
    made: str = ""
    used: str | Mapping[str, Any] | None = None
    run: str = ""
    files: Mapping[str, str] = field(default_factory=dict)
    stages: Mapping[str, str] = field(default_factory=dict)
    layers: tuple[Mapping[str, tuple[int, int]], ...] = ()


@dataclass(frozen=True)
class Job:
    """What one process does, in a folder that is named by all that decides the result.

    Attributes:
        name: in words.
        lane: jobs of one lane share stages, and are done one after another.
    """

    name: str
    folder: Path
    spec: Mapping[str, Any]
    lane: str

    def result(self) -> dict[str, Any] | None:
        """Return what the job found or how it failed; None if it was never ended, or is damaged."""
        found = read_sealed(self.folder / RESULT)
        if found is None or found.get("key") != self.spec["key"]:
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
        """Make the folder and write down what is to be done."""
        if not self.folder.is_dir():
            remove(self.folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        for name in (RESULT, "job.log"):
            remove(self.folder / name)
        write_text(self.folder / JOB, json_text(self.spec) + "\n")

    def fail(self, error: str) -> None:
        """Write down that its process ended without a word."""
        document = {"key": self.spec["key"], "error": error, "hint": "", "code": 1, "seconds": 0.0}
        write_sealed(self.folder / RESULT, {**document, "files": {}})


def mend_results(run_folder: Path, told: Callable[[str], Any]) -> None:
    """Remove what jobs found where it, or a file that they made, is not as it was written.

    Args:
        run_folder: of the study.
        told: called with a sentence for each.
    """
    results = run_folder / "results"
    if results.is_file():
        remove(results)
    for place in results.glob(f"*/{RESULT}"):
        if not _whole(place):
            remove(place)
            told(f"{place.parent.relative_to(run_folder.parent)} was damaged, and is made again")
    for place in run_folder.glob("times-*.json"):
        if not is_sealed(place):
            remove(place)
            told(f"{place.relative_to(run_folder.parent)} was damaged, and is measured again")


def _whole(place: Path) -> bool:
    try:
        found = typed(Ended, read_sealed(place), "the result")
    except EdgeshrinkError:
        return False
    return unchanged(place.parent, found.files) and unchanged(Path(found.run), found.stages)
