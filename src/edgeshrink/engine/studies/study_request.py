"""What a study is asked, and the runs that it makes of that."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple


@dataclass(frozen=True)
class StudyRequest:
    """A study, as it was asked for.

    Attributes:
        file: the study.
        root: where its paths begin; None for the file's folder.
        out: the folder for tables and figures; made where its parent is there.
        run: the folder of all runs; None puts it beside the tables.
        jobs: runs side by side; None for one, and with a scheduler for as many as it takes. Timing
            is done by one at a time, after them.
        scheduler: the address of a Dask cluster that does the runs; empty for this machine.
        only: patterns `TABLE` or `TABLE/ROW` of what is run; empty for all.
    """

    file: Path
    root: Path | None = None
    out: Path = Path()
    run: Path | None = None
    jobs: int | None = None
    scheduler: str = ""
    only: tuple[str, ...] = ()

    @property
    def run_folder(self) -> Path:
        """Where every run is kept, as a whole path."""
        return (self.run or self.out / f"{self.file.stem}.run").resolve()

    @property
    def stages(self) -> Path:
        """Where the stages of all runs are kept."""
        return self.run_folder / "stages"

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
