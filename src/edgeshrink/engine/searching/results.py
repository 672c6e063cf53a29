"""What the trials of a search come to: its front, its limits, and the one that is picked."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from edgeshrink.engine.searching.costs import Costs
from edgeshrink.engine.searching.front import knee, on_front
from edgeshrink.engine.searching.goals import most_of, picked_by, value_of
from edgeshrink.engine.searching.planning import (
    PlannedSearch,
    asked,
    with_effort,
)
from edgeshrink.engine.searching.request import Measured
from edgeshrink.recipes import Point
from edgeshrink.results import Figures, Outcome, SearchReport, Trial, allowed, versions
from edgeshrink.texts import typed

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

    from edgeshrink.engine.searching.storage import Board

WORSE = 2.0  # times the first recipe: what counts where the float file does not compile
FORGIVEN = 0.1  # of the score, where anything may be lost


class SearchResults:
    """The trials of a search, read as what they are worth."""

    def __init__(self, planned: PlannedSearch, board: Board) -> None:
        self.planned, self.request, self.board = planned, planned.request, board

    def seen(self, *, least: bool = False) -> dict[Point, tuple[float, ...]]:
        """Return what was measured, `(goals,)` for each point, greater being better.

        What failed gains nothing, and is likely to fail in recipes like it.

        Args:
            least: with the least effort, in place of the most.
        """
        seen: dict[Point, tuple[float, ...]] = {}
        for point, trial in (self.board.taken() if least else self.best()).items():
            if found := self.found(trial):
                seen[point] = self.oriented(found)
            elif "failed" in trial.user_attrs and self.base:
                seen[point] = self.reference
        return seen

    def best(self) -> dict[Point, FrozenTrial]:
        """Return the trial of each point: the one of most effort."""
        best = self.board.taken()
        for point, trial, _ in self.measured():
            best[point] = trial  # what is raised comes later, with more effort each time
        return best

    def measured(self) -> list[tuple[Point, FrozenTrial, Measured]]:
        """Return all that were measured, those of a point with more and more effort."""
        return [
            (point, trial, found)
            for trial in self.board.trials
            if (found := self.found(trial)) is not None
            and (point := self.board.point(trial)) is not None
        ]

    def found(self, trial: FrozenTrial) -> Measured | None:
        """Return what was measured in a trial, or None."""
        kept = trial.user_attrs.get("found")
        return None if kept is None else typed(Measured, kept, "a trial")

    def oriented(self, found: Measured) -> tuple[float, ...]:
        """Return values where greater is better: bytes and milliseconds as logarithms."""
        goals = (value_of(found.found, goal) for goal in self.request.goals)
        return self._oriented(found.score.value, found.score.higher_is_better, goals)

    @property
    def reference(self) -> tuple[float, ...]:
        """The worst that counts: the uncompressed model, and what budgets allow."""
        base = self.base
        if base is None:
            return (-math.inf,) * (1 + len(self.request.goals))
        budgets = self.request.base.budgets
        verdict = base.found.verdicts[""]
        most = allowed(budgets.drop, base.base.value, verdict.guess, share=verdict.share)
        if math.isinf(most):  # anything may be lost: a tenth of it is looked for
            most = FORGIVEN * abs(base.base.value)
        sign = -1 if base.base.higher_is_better else 1
        goals = (
            min(self._before(base, goal), most_of(budgets, goal)) for goal in self.request.goals
        )
        worst = base.base.value + sign * most
        return self._oriented(worst, base.base.higher_is_better, goals)

    @property
    def base(self) -> Measured | None:
        """What was measured first, which tells of the uncompressed model too."""
        every = map(self.found, self.board.taken().values())
        return next((found for found in every if found is not None), None)

    def _before(self, base: Measured, goal: str) -> float:
        """Return a goal of the float file, or where it has none, twice that of the first recipe."""
        before = value_of(base.beside, goal)
        return before if math.isfinite(before) else WORSE * value_of(base.found, goal)

    @property
    def base_score(self) -> float:
        """The score of the uncompressed model, greater being better; infinite while unknown."""
        base = self.base
        if base is None:
            return math.inf
        return self._oriented(base.base.value, base.base.higher_is_better, ())[0]

    def _oriented(self, score: float, higher: bool, goals: Iterable[float]) -> tuple[float, ...]:
        return (score if higher else -score, *(-math.log(max(goal, 1e-9)) for goal in goals))

    def costs(self) -> Costs:
        """Return what tells the seconds of a recipe, by those that were measured so far."""
        every = [
            (found, float(trial.user_attrs.get("seconds", 0.0)))
            for _, trial, found in self.measured()
        ]
        return Costs(self.planned.space, every)

    def seconds(self, point: Point) -> float:
        """Return what all trials of a point took."""
        return sum(
            float(trial.user_attrs.get("seconds", 0.0))
            for trial in self.board.trials
            if self.board.point(trial) == point
        )

    def report(self) -> SearchReport:
        """Return all trials, those on the front, and the one that is picked."""
        import numpy as np

        request, taken = self.request, self.best()
        trials: list[Trial] = []
        values: list[tuple[float, ...] | None] = []
        for point, trial in sorted(taken.items(), key=lambda pair: pair[1].number):
            found, attrs = self.found(trial), trial.user_attrs
            if found is None and not ("refused" in attrs or "failed" in attrs):
                continue
            outcome: Outcome = "failed"
            if found or "refused" in attrs:
                outcome = "measured" if found else "refused"
            trials.append(
                Trial(
                    len(trials),
                    self.planned.space.named(point),
                    outcome,
                    found.score if found else None,
                    self.values(found.found) if found else {},
                    attrs.get("refused", attrs.get("failed", "")),
                    self.seconds(point),
                    sum(seconds > 0 for _, seconds in found.steps) if found else 0,
                    effort=found.effort if found else "",
                    misses=found.misses(request.base.budgets) if found else {},
                    file=self.file(point, found.effort) if found else "",
                )
            )
            values.append(self.oriented(found) if found else None)
        places = [k for k, some in enumerate(values) if some is not None]
        if places:
            best = on_front(np.array([values[k] for k in places]))
            for k, good in zip(places, best, strict=True):
                trials[k] = replace(trials[k], on_front=bool(good))
        picked, failed = self.pick(trials, values)
        base = self.base
        return SearchReport(
            str(request.base.model),
            str(request.base.out),
            request.base.command,
            self.planned.lightest.profile.name,
            request.goals,
            self.limits,
            base.base if base else None,
            self.values(base.beside) if base else {},
            self.planned.space.size,
            self.planned.space.to_toml(),
            tuple(trials),
            picked,
            request.pick,
            failed=failed,
            versions=versions(),
        )

    def file(self, point: Point, effort: str) -> str:
        """Return the file of a point in the run folder."""
        recipe = with_effort(self.planned.space.recipe(point), effort)
        made = asked(self.request, recipe).out
        return str(made.relative_to(self.request.run_folder.resolve()))

    def values(self, figures: Figures) -> dict[str, float]:
        """Return the goals of a file by name."""
        every = {goal: value_of(figures, goal) for goal in self.request.goals}
        return {goal: value for goal, value in every.items() if math.isfinite(value)}

    @property
    def limits(self) -> tuple[str, ...]:
        """The budgets that were given, as flags."""
        budgets = self.request.base.budgets
        size = [f"--max-bytes {budgets.max_bytes}"] if budgets.max_bytes else []
        return tuple(dict.fromkeys((*budgets.compares, *size, *budgets.measures)))

    def pick(
        self, trials: list[Trial], values: list[tuple[float, ...] | None]
    ) -> tuple[int | None, str]:
        """Return the number of the trial that is written, and why it is not what was asked for."""
        import numpy as np

        front = [trial for trial in trials if trial.on_front]
        if not front:
            return None, "nothing was measured"
        kept = [trial for trial in front if not trial.misses]
        if not kept:
            measured = [trial for trial in trials if trial.outcome == "measured"]
            nearest = min(measured, key=lambda trial: max(trial.misses.values()))
            by = ", ".join(f"{name} by {share:.1%}" for name, share in nearest.misses.items())
            return nearest.number, f"no recipe keeps every budget; the nearest misses {by}"
        of = np.array([values[trial.number] for trial in kept])
        if self.request.pick == "knee":
            return kept[knee(of)].number, ""
        column = ("score", *self.request.goals).index(
            picked_by(self.request.pick, self.request.goals)
        )
        return kept[int(of[:, column].argmax())].number, ""
