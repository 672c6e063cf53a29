"""What a search found: the recipes that it tried, the front, and the one that it picked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from edgeshrink.results.metric import Score
from edgeshrink.results.report import Report

SEARCH_SCHEMA = 1
USUAL_TRIALS = 40  # where neither they nor a time are given
Outcome = Literal["measured", "refused", "failed"]


@dataclass(frozen=True)
class Trial:
    """One recipe that was looked at.

    Attributes:
        number: from 0, in the order in which they began.
        steps: at each place the step in words, or `none`.
        outcome: `measured`; `refused` by arithmetic, before any work; or `failed`.
        score: on the validation samples; None where it was not measured.
        values: of what is searched for, by name: `bytes`, `ms`, `arena`, `flash`, and `cycles`,
            which are a compiler's estimate.
        said: why it was refused, or how it failed; else empty.
        seconds: that it took.
        made: steps that were run for it; the others were there from earlier trials.
        effort: with which it was trained; empty where nothing was, or the epochs were given.
        on_front: no other one is as good in everything and better in something.
        misses: by how much it misses each budget, as a share of it; empty where it keeps all.
        file: in the run folder; its report and its recipe lie beside it. Empty where there is none.
    """

    number: int
    steps: Mapping[str, str]
    outcome: Outcome
    score: Score | None = None
    values: Mapping[str, float] = field(default_factory=dict)
    said: str = ""
    seconds: float = 0.0
    made: int = 0
    effort: str = ""
    on_front: bool = False
    misses: Mapping[str, float] = field(default_factory=dict)
    file: str = ""

    @property
    def words(self) -> str:
        """Its steps, without those that are left out, and the effort of its training."""
        steps = ", ".join(step for step in self.steps.values() if step != "none")
        return f"{steps} ({self.effort})" if self.effort else steps


@dataclass(frozen=True)
class SearchReport:
    """What a search found.

    Attributes:
        model: as it was named.
        output: the file that was written.
        command: what was typed.
        device: that files were timed on.
        goals: what counts, beside the score: of those of a trial.
        budgets: that were given, as flags.
        base: the score of the uncompressed model on the validation samples; None where nothing was
            measured.
        before: the goals of the uncompressed model as a float file.
        size: recipes in the space.
        space: as TOML.
        trials: in their order.
        picked: the number of the one that was written; None where none was measured.
        rule: by which it was picked.
        result: its report, on the test samples; None where none was measured.
        failed: why it is not what was asked for; empty where it is.
        notes: sentences on the whole.
        versions: of what took part, by distribution.
        schema: of this document.
    """

    model: str
    output: str
    command: str
    device: str
    goals: tuple[str, ...]
    budgets: tuple[str, ...]
    base: Score | None
    before: Mapping[str, float]
    size: int
    space: str
    trials: tuple[Trial, ...]
    picked: int | None = None
    rule: str = "knee"
    result: Report | None = None
    failed: str = ""
    notes: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    schema: int = SEARCH_SCHEMA

    @staticmethod
    def head(goal: str) -> str:
        """Return what stands over the values of a goal: an estimate is called one."""
        return "est. cycles" if goal == "cycles" else goal

    @property
    def front(self) -> tuple[Trial, ...]:
        """Those on the front, the best in the first goal first."""
        first = self.goals[0]
        return tuple(sorted((t for t in self.trials if t.on_front), key=lambda t: t.values[first]))

    @property
    def measured(self) -> tuple[Trial, ...]:
        """Those that were measured."""
        return tuple(trial for trial in self.trials if trial.outcome == "measured")

    def as_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        result = self.result.as_dict() if self.result else None
        return {**asdict(self), "result": result}
