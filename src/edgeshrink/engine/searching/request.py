"""What a search is asked, and what is known of a recipe that it tried."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from edgeshrink import words
from edgeshrink.engine.planning.request import Request
from edgeshrink.engine.searching.goals import value_of
from edgeshrink.results import Budgets, Figures, Report, Score, rules_of


@dataclass(frozen=True)
class SearchRequest:
    """A search, as it was asked for.

    Attributes:
        base: the model, its data, devices and budgets, and the file to write; its recipe says
            training and seed alone.
        space: a file that says what may be tried; None for what the methods say.
        sensitivity: a file with what the layers bear, by which the space gets steps that spare the
            others; None for none.
        goals: what counts beside the score, of `GOALS`; empty for what is usual on the device.
        trials: recipes that are measured, at most; None for no end but the time and the space.
        seconds: after which no further trial begins; None for no end.
        pick: which of the front is written: `knee`, `smallest`, `fastest` or `best`.
        sampler: what chooses the next recipe.
        storage: where trials are kept that other processes can see, as SQLAlchemy writes a place;
            empty for a file in the run folder.
        name: of the search in that place; empty for the model's.
        jobs: trials side by side; None for one, and with a scheduler one a worker.
        scheduler: the address of a Dask cluster that makes the trials; empty for this machine.
        worker: help a search that another process began, and write no result.
    """

    base: Request
    space: Path | None = None
    sensitivity: Path | None = None
    goals: tuple[str, ...] = ()
    trials: int | None = None
    seconds: float | None = None
    pick: str = "knee"
    sampler: str = "guided"
    storage: str = ""
    name: str = ""
    jobs: int | None = None
    scheduler: str = ""
    worker: bool = False

    @property
    def run_folder(self) -> Path:
        """Where all trials are kept."""
        return self.base.run or self.base.out.with_suffix(".search")

    @property
    def read(self) -> tuple[Path, ...]:
        """What a trial reads of the file system, as whole paths."""
        base = self.base
        named = (str(base.model), base.data, *base.devices, *map(str, base.connection.values()))
        return tuple(path.resolve() for name in named if (path := Path(name)).exists())

    @property
    def study(self) -> str:
        """The name of the search where trials are kept."""
        return self.name or self.base.model.stem


@dataclass(frozen=True)
class Measured:
    """What is known of one recipe.

    Attributes:
        score: on the validation samples.
        base: the score of the uncompressed model there.
        found: the figures of its file.
        beside: those of the uncompressed model as a float file.
        steps: each with the seconds that it took, 0 where it was there.
        effort: with which it was trained; empty where nothing was, or the epochs were given.
    """

    score: Score
    base: Score
    found: Figures
    beside: Figures
    steps: tuple[tuple[str, float], ...] = ()
    effort: str = ""

    @classmethod
    def of(cls, report: Report, effort: str) -> Measured:
        """Return what a report says of its result."""
        ledger = report.ledger
        assert ledger.final.score is not None
        assert ledger.base.score is not None
        steps = [one for one in ledger.rows[1:] if one is not ledger.uncompressed]
        return cls(
            ledger.final.score,
            ledger.base.score,
            *report.figures(),
            tuple((one.step, 0.0 if one.reused else one.seconds) for one in steps),
            effort,
        )

    def __str__(self) -> str:
        """Return it as it is told."""
        said = [words.score(self.score), f"{self.found.size_bytes:,} bytes"]
        if math.isfinite(ms := value_of(self.found, "ms")):
            said.append(words.milliseconds(ms))
        if math.isfinite(cycles := value_of(self.found, "cycles")):
            said.append(f"{cycles:,.0f} cycles estimated")
        return ", ".join(said)

    def lacking(self, goals: tuple[str, ...]) -> str:
        """Return why the score, the base's score or a goal has no value, or nothing."""
        for one in (self.score, self.base):
            if not math.isfinite(one.value):
                return f"its {one.metric} is {one.value}, and no number to compare by"
        for goal in goals:
            if not math.isfinite(value_of(self.found, goal)):
                on = self.found.on[0] if self.found.on else None
                why = on.failure or on.emulated if on else "no device measured it"
                return f"{self.found.name} has no {goal}" + (f": {why}" if why else "")
        return ""

    def misses(self, budgets: Budgets) -> dict[str, float]:
        """Return by how much it misses each budget, as a share of what is allowed.

        What cannot be judged counts as missed wholly. Where nothing is said of what may be lost,
        that is what `compress` allows.
        """
        rules = rules_of(budgets, self.found, self.beside)
        missed: dict[str, float] = {}
        for rule in rules:
            if not rule.kept:
                miss = 1.0 if rule.miss is None else rule.miss
                missed[rule.asked] = max(miss, missed.get(rule.asked, 0.0))
        verdict = self.found.verdicts[""]
        if budgets.drop is None and verdict.failure:
            excess = abs(verdict.before - verdict.after) - verdict.allowed
            missed["score"] = excess / (verdict.allowed or 1.0)
        return missed
