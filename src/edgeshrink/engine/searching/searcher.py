"""A thread of a search: it tries one recipe after another, as long as there is reason to."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from edgeshrink import words
from edgeshrink.engine.jobs.cluster import Cluster
from edgeshrink.engine.jobs.crew import Crew
from edgeshrink.engine.jobs.job import Job
from edgeshrink.engine.jobs.tasks import Compress
from edgeshrink.engine.searching.arithmetic import too_large
from edgeshrink.engine.searching.choosing import Chooser
from edgeshrink.engine.searching.goals import value_of
from edgeshrink.engine.searching.planning import PlannedSearch, asked, efforts, with_effort
from edgeshrink.engine.searching.raising import Raise, raises, regained
from edgeshrink.engine.searching.request import Measured
from edgeshrink.engine.searching.results import SearchResults
from edgeshrink.errors import EdgeshrinkError, TargetError
from edgeshrink.plugins import Plugins
from edgeshrink.recipes import Point, digest_of
from edgeshrink.results import Report

if TYPE_CHECKING:
    import optuna

    from edgeshrink.engine.searching.storage import Board

WAITS = (10.0, 30.0, 60.0, 120.0, 300.0)  # seconds, for a device that was lost
AGAIN = "the same command goes on from the last whole trial"


class _RecipeError(EdgeshrinkError):
    """A recipe failed, and would fail again."""


class Searcher:
    """One thread's part in a search: recipe after recipe.

    Args:
        planned: the search.
        plugins: are told how far it is.
        crew: makes the recipes.
        stop: ends it, where it is set.
    """

    def __init__(
        self,
        planned: PlannedSearch,
        plugins: Plugins,
        crew: Crew | Cluster,
        stop: threading.Event,
    ) -> None:
        from edgeshrink.engine.searching.storage import Board

        self.planned, self.plugins, self.request = planned, plugins, planned.request
        self.crew, self.stop = crew, stop
        request = self.request
        self.began = time.monotonic()
        self.spent: list[float] = []
        self.paused = 0.0  # seconds of this trial
        self.board: Board = Board(
            request.storage or request.run_folder / "trials.sqlite",
            request.study,
            planned.space,
            ("score", *request.goals),
            planned.key,
            request.sampler,
            request.base.recipe.seed,
            self.choose,
            join=request.worker,
        )
        self.results = SearchResults(planned, self.board)

    def tried(self) -> None:
        """Try recipes, and the best third with more effort, until nothing is left, or no time."""
        most = self.request.trials
        while not self.stop.is_set() and self.fits(self.usual):
            self.board.free_the_dead()
            room = self.board.has_room(most)
            if raised := self.raised(room=room):
                self.board.run(self.make, raised=raised)
            elif room:
                self.board.run(self.make, most)
            elif self.board.busy():  # another process may die, and leave its recipe to us
                self.stop.wait(1)
            else:
                break

    def raised(self, *, room: bool) -> tuple[Point, str] | None:
        """Return a point to make once more, and the effort, or None where a new one is worth more.

        Args:
            room: a new one may be tried.
        """
        every = raises(self.results, last=not room and not self.board.busy())
        every = [one for one in every if self.fits(one.seconds[0])]
        if not every:
            return None
        if room and self.request.sampler == "guided":
            chosen = self.weighed(self.board, every)
        else:
            chosen = every[0]
        return (chosen.point, chosen.effort) if isinstance(chosen, Raise) else None

    @property
    def usual(self) -> float:
        """Seconds of a trial."""
        return sum(self.spent) / len(self.spent) if self.spent else 0.0

    @property
    def left(self) -> float:
        """Seconds that are left, infinite where there is no end."""
        most = self.request.seconds
        return math.inf if most is None else most - (time.monotonic() - self.began)

    def fits(self, seconds: float) -> bool:
        """Return whether what takes so long would end in time."""
        return seconds <= self.left

    def choose(self, board: Board) -> Point | None:
        """Return the point to try next, or None where none is left: at random for Optuna's."""
        taken = board.taken()
        if self.request.sampler == "grid":
            return next((p for p in self.planned.space.points() if p not in taken), None)
        if self.request.sampler != "guided":
            return self.chooser.free(taken)
        chosen = self.weighed(board, ())
        assert not isinstance(chosen, Raise)  # none was given
        return chosen

    @property
    def chooser(self) -> Chooser:
        """Weighs points, by what counts now."""
        return Chooser(self.planned.space, self.results.reference, self.request.base.recipe.seed)

    def weighed(self, board: Board, every: Sequence[Raise]) -> Point | Raise | None:
        """Return what promises most for its time: a point that is new, or one with more effort."""
        results = self.results
        return self.chooser.next(
            results.seen(least=True),
            board.taken(),
            results.costs(),
            best=results.seen().values(),
            raises=every,
            regained=regained(results),
            left=self.left,
        )

    def make(self, point: Point, trial: optuna.Trial) -> Sequence[float]:
        """Measure a point; what keeps it from that is kept with the trial."""
        import optuna

        from edgeshrink.engine.searching.storage import RAISED

        started, self.paused = time.monotonic(), 0.0
        planned, recipe = self.planned, self.planned.space.recipe(point)
        effort = trial.user_attrs.get(RAISED) or efforts(recipe)[0]
        name = ", ".join(map(str, recipe.steps)) + (f" ({effort})" if effort else "")
        most = self.request.base.budgets.most_bytes
        said = too_large(recipe, planned.lightest.facts, planned.lightest.profile, most)
        if said:
            trial.set_user_attr("refused", said)
            raise optuna.TrialPruned
        try:
            found = self.once(point, effort)
            said = found.lacking(self.request.goals)
        except _RecipeError as error:
            said = str(error)
        seconds = time.monotonic() - started - self.paused
        self.spent.append(seconds)
        trial.set_user_attr("seconds", seconds)
        if said:
            trial.set_user_attr("failed", said)
            self.tell(name, seconds, said)
            raise optuna.TrialPruned
        trial.set_user_attr("found", asdict(found))
        self.tell(f"{name}: {found}{self.so_far(point)}", seconds)
        goals = (value_of(found.found, goal) for goal in self.request.goals)
        return (found.score.value, *goals)

    def once(self, point: Point, effort: str) -> Measured:
        """Return what a point is worth with an effort; a device that is lost is waited for."""
        device = self.planned.lightest.profile.name
        pauses = iter(WAITS)
        while True:
            try:
                return Measured.of(self.compressed(point, effort), effort)
            except TargetError as error:
                if self.results.base is None:  # perhaps it was never there
                    raise
                said = f"{device} was lost: {error}"
                if (pause := next(pauses, None)) is None:
                    hint = "; ".join(filter(None, [error.hint, AGAIN]))
                    raise TargetError(f"{said}; it did not come back", hint=hint) from error
                told = f"{said}; trying again in {pause:.0f} s"
                self.plugins.hook.edgeshrink_told(text=told)
                if self.stop.wait(pause):
                    raise
                self.paused += pause

    def compressed(self, point: Point, effort: str) -> Report:
        """Return the report of a point, made by a process of the crew.

        Raises:
            TargetError: the device is unreachable or was lost; to be done again once it is there.
        """
        recipe = with_effort(self.planned.space.recipe(point), effort)
        request = asked(self.request, recipe)
        key = digest_of({"search": self.planned.key, "recipe": recipe.to_toml()})
        name = ", ".join(map(str, recipe.steps))
        job = Job(name, request.out.parent, key, Compress(request))
        found = self.crew.run(job)
        if error := found.get("error"):
            kind = TargetError if found["code"] == TargetError.exit_code else _RecipeError
            raise kind(error, hint=found.get("hint", ""))
        report = Report.from_dict(found["report"])
        lost = [one.failure for row in report.ledger.rows for one in row.on if one.lost]
        if lost:
            job.fail(lost[0])
            raise TargetError(lost[0])
        return report

    def so_far(self, point: Point) -> str:
        """Return in words what a point is to the search so far, and how long that goes on."""
        said = []
        found = self.results.report()
        if found.picked is not None:
            picked = found.trials[found.picked]
            name = "nearest to the budgets" if picked.misses else found.rule
            if self.planned.space.point(picked.steps) == point:
                said.append(f"the {name} so far")
        if math.isfinite(self.left):
            said.append(f"{words.duration(max(0.0, self.left))} left")
        elif self.request.trials is not None and self.request.trials > len(found.measured):
            more = self.usual * (self.request.trials - len(found.measured)) / self.crew.size
            said.append(f"about {words.duration(more)} left")
        return f" ({', '.join(said)})" if said else ""

    def tell(self, name: str, seconds: float, failure: str = "") -> None:
        """Tell that a trial has ended."""
        count, most = len(self.board.taken()), self.planned.space.size
        if self.request.trials is not None:
            most = min(most, max(count, self.request.trials))
        self.plugins.hook.edgeshrink_run_finished(
            name=name, done=count, count=most, seconds=seconds, failure=failure
        )
