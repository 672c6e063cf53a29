"""Where the trials of a search are kept, so that several processes share it: Optuna's storage."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import CancelledError
from pathlib import Path

import optuna
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from edgeshrink.engine.searching import database
from edgeshrink.engine.searching.database import opened, shown, telling
from edgeshrink.engine.searching.samplers import OURS, SAMPLERS, Chosen
from edgeshrink.errors import EdgeshrinkError, UsageError
from edgeshrink.recipes import Point, Space

BEGUN = "begun"  # of a trial that gave a sign of life
VOID = "void"  # of a trial that stands for nothing: why
RAISED = "raised"  # of a trial that makes a point once more: the effort
DEATHS = 3  # of a trial's process, after which its recipe is left alone
TWINS = 5  # in a row, after which a point is taken that nobody tried
LOOK_SECONDS = 0.1
COUNTED = (TrialState.COMPLETE, TrialState.RUNNING)  # measured, or about to be


class Board:
    """The trials of a search, as every process that takes part sees them.

    Args:
        place: where they are kept, as SQLAlchemy writes it, or a file for SQLite.
        name: of the search there.
        space: what is searched.
        goals: by name, the score first; of the others, less is better.
        key: what decides the results: searches of one name must have the same.
        sampler: a name of `SAMPLERS` or `OURS`.
        seed: of the sampler.
        choose: the next point, or None where there is none: for `OURS`, and where another sampler
            proposes nothing but what was tried.

    Raises:
        UsageError: another search has this name, or there is no such place.
    """

    def __init__(
        self,
        place: str | Path,
        name: str,
        space: Space,
        goals: Sequence[str],
        key: str,
        sampler: str,
        seed: int,
        choose: Callable[[Board], Point | None],
        *,
        join: bool = False,
    ) -> None:
        self.space = space
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.url = f"sqlite:///{place.resolve()}" if isinstance(place, Path) else place
        with telling(self.url):
            kept = opened(self.url)
            self._kept, self._silent = kept, dict[int, float]()
            self._chosen, self._twins = Chosen(space, lambda: choose(self)), 0
            made = self._chosen if sampler in OURS else SAMPLERS[sampler](seed)
            self._usual: BaseSampler = made
            if join:
                if name not in optuna.get_all_study_names(kept):
                    raise UsageError(
                        f"no search {name!r} in {shown(self.url)}",
                        hint="begin it without --worker first",
                    )
                self.study = optuna.load_study(study_name=name, storage=kept, sampler=made)
            else:
                self.study = optuna.create_study(
                    study_name=name,
                    storage=kept,
                    sampler=made,
                    directions=[
                        StudyDirection.MINIMIZE if place else StudyDirection.MAXIMIZE
                        for place in range(len(goals))
                    ],
                    load_if_exists=True,
                )
            there = self.study.user_attrs.get("key")
            if there is None:
                self.study.set_user_attr("key", key)
                self.study.set_user_attr("space", space.to_toml())
            elif there != key:
                raise UsageError(
                    f"the search {name!r} is there with another model, other data, another space "
                    "or other goals",
                    hint="name another --name, or another --run",
                )

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials."""
        with telling(self.url):
            return self.study.get_trials(deepcopy=False)

    def point(self, trial: FrozenTrial) -> Point | None:
        """Return the point of a trial, or None where it has none yet."""
        if len(trial.params) < len(self.space.places):
            return None
        return self.space.point(trial.params)

    def taken(self) -> dict[Point, FrozenTrial]:
        """Return the trials that need not be made again, by their points: the first of each.

        What is at work is among them, and what ended its process too often; what makes a point
        once more, with more effort, is not.
        """
        found: dict[Point, FrozenTrial] = {}
        deaths: dict[Point, int] = {}
        for trial in self.trials:
            point = self.point(trial)
            if point is None or trial.state is TrialState.WAITING or RAISED in trial.user_attrs:
                continue
            if trial.state is TrialState.FAIL:
                deaths[point] = deaths.get(point, 0) + ("interrupted" not in trial.user_attrs)
                if deaths[point] < DEATHS:
                    continue
            if VOID not in trial.user_attrs:
                found.setdefault(point, trial)
        return found

    def raised(self, point: Point, effort: str) -> list[FrozenTrial]:
        """Return the trials that make a point once more with an effort, or wait to do so.

        Those that failed are among them where they ended their process too often.
        """
        named = self.space.named(point)
        found = [
            trial
            for trial in self.trials
            if trial.user_attrs.get(RAISED) == effort
            and trial.user_attrs.get("point") == named
            and VOID not in trial.user_attrs
            and "interrupted" not in trial.user_attrs
        ]
        dead = [trial for trial in found if trial.state is TrialState.FAIL]
        return found if len(dead) >= DEATHS else [one for one in found if one not in dead]

    def has_room(self, most: int | None) -> bool:
        """Return whether a trial can begin: a point is free, and no more are at work than may be.

        Args:
            most: trials that are measured, at most; None for no end.
        """
        taken = self.taken()
        if len(taken) == self.space.size:
            return False
        return most is None or _counted(taken.values()) < most

    def busy(self) -> bool:
        """Return whether a trial is at work anywhere."""
        return any(trial.state is TrialState.RUNNING for trial in self.trials)

    def free_the_dead(self) -> None:
        """Let go of trials whose process gave no sign of life for long.

        Optuna does so for those that gave one. One whose process was ended before the first would
        be at work for ever: this process lets go of it when it has seen it so for as long.
        """
        with telling(self.url):
            optuna.storages.fail_stale_trials(self.study)
            now, seen = time.monotonic(), dict[int, float]()
            for trial in self.trials:
                if trial.state is TrialState.RUNNING and BEGUN not in trial.user_attrs:
                    seen[trial.number] = self._silent.get(trial.number, now)
                    if now - seen[trial.number] > database.GRACE:
                        self.study.tell(trial.number, state=TrialState.FAIL)
            self._silent = seen

    def run(
        self,
        make: Callable[[Point, optuna.Trial], Sequence[float]],
        most: int | None = None,
        raised: tuple[Point, str] | None = None,
    ) -> None:
        """Make one trial.

        Numbers are given out by the storage, each once: whoever has a number looks at those before
        it once they have their points, so that no point is made twice (Lamport, "A new solution of
        Dijkstra's concurrent programming problem", 1974).

        Args:
            make: measures a point and returns its values, the score first, then the goals in their
                units; raises `optuna.TrialPruned` where it has none.
            most: trials that are measured, at most; None for no end.
            raised: a point to be made once more, and with which effort, in place of another one.
        """

        def objective(trial: optuna.Trial) -> Sequence[float]:
            self._kept.record_heartbeat(trial._trial_id)
            trial.set_user_attr(BEGUN, True)
            self._await_earlier(trial.number)
            named = {
                name: trial.suggest_categorical(name, choices)
                for name, choices in self.space.choices().items()
            }
            point = self.space.point(named)
            if said := self._needless(point, trial, most):
                trial.set_user_attr(VOID, said)
                raise optuna.TrialPruned
            try:
                return make(point, trial)
            except (KeyboardInterrupt, CancelledError, EdgeshrinkError):
                trial.set_user_attr("interrupted", True)
                raise

        self.study.sampler = self._chosen if self._twins >= TWINS else self._usual
        with telling(self.url):
            if raised is not None:
                point, effort = raised
                named = self.space.named(point)
                self.study.enqueue_trial(named, user_attrs={RAISED: effort, "point": named})
            self.study.optimize(objective, n_trials=1)

    def _needless(self, point: Point, trial: optuna.Trial, most: int | None) -> str:
        """Return why a trial that has begun stands for nothing, or nothing."""
        if effort := trial.user_attrs.get(RAISED):
            twins = [one for one in self.raised(point, effort) if one.number < trial.number]
            return f"trial {twins[0].number} once more" if twins else ""
        earlier = {p: one for p, one in self.taken().items() if one.number < trial.number}
        self._twins = self._twins + 1 if point in earlier else 0
        if point in earlier:
            return f"the recipe of trial {earlier[point].number}"
        over = most is not None and _counted(earlier.values()) >= most
        return "one more than was asked for" if over else ""

    def _await_earlier(self, number: int) -> None:
        """Wait until every trial with a lower number has its point, or its process is dead."""
        while any(
            trial.number < number
            and trial.state is TrialState.RUNNING
            and self.point(trial) is None
            for trial in self.trials
        ):
            self.free_the_dead()
            time.sleep(LOOK_SECONDS)


def _counted(trials: Iterable[FrozenTrial]) -> int:
    return sum(trial.state in COUNTED for trial in trials)
