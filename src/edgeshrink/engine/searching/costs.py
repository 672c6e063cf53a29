"""What recipes of a search would take, by what the steps of others took."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from edgeshrink.engine.searching.planning import EFFORTS, efforts
from edgeshrink.engine.searching.request import Measured
from edgeshrink.recipes import Method, Point, Recipe, Space

OVERHEAD = 5.0  # seconds of a trial beside its steps, before any was timed
GROWTH = 3.0  # times as long with the next effort, before any was timed with it
LEAST = 0.1  # seconds, of what is all there


class Costs:
    """Seconds of the steps that were made, by name, and by effort for those that train.

    Args:
        space: of the recipes.
        trials: of recipes that were measured, each with its seconds.
    """

    def __init__(self, space: Space, trials: Iterable[tuple[Measured, float]]) -> None:
        self._there = set[tuple[str, ...]]()  # effort, then the steps so far
        self._took = defaultdict[str, dict[str, list[float]]](dict)  # by name, by effort
        self._places = [[_Part.of(step, space) for step in place.steps] for place in space.places]
        trained = {
            one.name for place in self._places for part in place for one in part.made if one.trains
        }
        beside = []
        for found, seconds in trials:
            names = [step for step, _ in found.steps]
            self._there |= {(found.effort, *names[: k + 1]) for k in range(len(names))}
            for step, took in found.steps:
                name = _name(step)
                if took:
                    effort = found.effort if name in trained else ""
                    self._took[name].setdefault(effort, []).append(took)
            beside.append(max(0.0, seconds - sum(took for _, took in found.steps)))
        self._beside = sum(beside) / len(beside) if beside else OVERHEAD

    def __call__(self, point: Point, after: str | None = None) -> tuple[float, ...]:
        """Return the seconds until a point is made with each effort that is still to come.

        Args:
            point: of the space.
            after: the effort that it was made with; None for none.
        """
        parts = [place[k] for place, k in zip(self._places, point, strict=True)]
        efforts = max((part.efforts for part in parts), key=len)
        made = [one for part in parts for one in part.made]
        said = [one.said for one in made]
        total, costs = 0.0, list[float]()
        for effort in efforts if after is None else efforts[efforts.index(after) + 1 :]:
            steps = sum(
                self._usual(one.name, effort if one.trains else "")
                for k, one in enumerate(made)
                if (effort, *said[: k + 1]) not in self._there
            )
            total += max(LEAST, self._beside + steps)
            costs.append(total)
        return tuple(costs)

    def _usual(self, name: str, effort: str) -> float:
        """Return the seconds of a step: of others like it, or else of the dearest of its kind."""
        if some := self._took.get(name):
            return _by_effort(some, effort)
        alike = [some for some in self._took.values() if ("" in some) == (not effort)]
        return max((_by_effort(some, effort) for some in alike), default=0.0)


def _by_effort(some: dict[str, list[float]], effort: str) -> float:
    """Return seconds with an effort; where it was not timed, from the nearest that was."""
    if effort in some:
        return sum(some[effort]) / len(some[effort])

    def rung(name: str) -> int:
        return EFFORTS.index(name) if name in EFFORTS else 0

    nearest = min(some, key=lambda name: abs(rung(name) - rung(effort)))
    growth = GROWTH ** (rung(effort) - rung(nearest))
    return growth * sum(some[nearest]) / len(some[nearest])


@dataclass(frozen=True)
class _Made:
    """One step of a recipe.

    Attributes:
        said: as ledgers write it.
        name: of its method.
        trains: its time depends on the effort.
    """

    said: str
    name: str
    trains: bool


@dataclass(frozen=True)
class _Part:
    """What one step of a space adds to a recipe: itself, and what must run just before it."""

    made: tuple[_Made, ...]
    efforts: tuple[str, ...]

    @classmethod
    def of(cls, step: Method | None, space: Space) -> _Part:
        """Return what a step adds; nothing where there is none."""
        if step is None:
            return cls((), ("",))
        every = (*step.before(), step)
        made = (_Made(str(one), one.name, one.training is not None) for one in every)
        return cls(tuple(made), efforts(Recipe((step,), space.training, space.seed)))


def _name(step: str) -> str:
    return step.partition("(")[0]
