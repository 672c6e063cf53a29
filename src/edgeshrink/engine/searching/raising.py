"""More effort for what was measured: which points may have it, and what it gives."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from edgeshrink.engine.searching.planning import EFFORTS, efforts
from edgeshrink.engine.searching.request import Measured
from edgeshrink.recipes import Point

if TYPE_CHECKING:
    from edgeshrink.engine.searching.results import SearchResults

Array = np.ndarray[Any, Any]
HALVING = 3  # of so many, one is made with more effort


@dataclass(frozen=True)
class Raise:
    """A measured point that may be made once more, with more effort.

    Attributes:
        point: which.
        effort: the next that it was not made with.
        values: `(goals,)`, what was measured with the effort so far.
        seconds: from now to each of the further efforts, rising.
    """

    point: Point
    effort: str
    values: tuple[float, ...]
    seconds: tuple[float, ...]


@dataclass(frozen=True)
class Regained:
    """What more effort gives back of a score that was lost.

    Attributes:
        base: the score of the uncompressed model, greater being better; infinite where it is not
            known, and more effort is not weighed.
        mean: share of the loss that the next effort gives back.
        deviation: of that share.
    """

    base: float = math.inf
    mean: float = 1 / 3
    deviation: float = 1 / 6

    def after(self, score: Array, deviation: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of scores after the next effort.

        Args:
            score: any shape, mean with the effort so far.
            deviation: of the same shape.
        """
        lost = np.maximum(self.base - score, 0)
        kept = np.where(lost > 0, 1 - self.mean, 1)
        return score + self.mean * lost, np.hypot(kept * deviation, self.deviation * lost)


def regained(results: SearchResults) -> Regained:
    """Return what more effort gave back of lost scores, beside a guess that counts as one.

    Args:
        results: what was measured so far.
    """
    if results.base is None:
        return Regained()
    guess = Regained(results.base_score)
    lost, shares, before = list[float](), list[float](), dict[Point, float]()
    for point, _, found in results.measured():
        score, was = results.oriented(found)[0], before.get(point, math.inf)
        if was < guess.base:
            lost.append(guess.base - was)
            shares.append((score - was) / lost[-1])
        before[point] = score
    if not lost:
        return guess
    weights = np.array([sum(lost) / len(lost), *lost])  # little that was lost tells little
    every = np.array([guess.mean, *shares])
    mean = np.average(every, weights=weights)
    spread = (every - mean) ** 2
    spread[0] += guess.deviation**2
    deviation = np.sqrt(np.average(spread, weights=weights))
    return replace(guess, mean=float(mean), deviation=float(deviation))


def raises(results: SearchResults, *, last: bool) -> list[Raise]:
    """Return the points that may be made with more effort, those of most effort first.

    A point is among the best third of those that were made with as much, and was not made with
    more yet: asynchronous successive halving (Li and others, MLSys 2020, algorithm 2). What
    several goals make of "best" is by how many others, made with whatever effort, a point is
    beaten in all of them; of those alike, the nearest to the budgets, then the one of the best
    score.

    Args:
        results: what was measured so far.
        last: nothing else is left to try, so that of fewer than three one is taken too.
    """
    rungs: dict[str, dict[Point, Measured]] = defaultdict(dict)
    for point, _, found in results.measured():
        rungs[found.effort][point] = found
    every, costs = np.array(list(results.seen().values())), results.costs()
    raises = []
    for effort in reversed(EFFORTS[:-1]):
        rung = rungs[effort]
        order = []
        for point, found in rung.items():
            one = results.oriented(found)
            beaten = int(np.all(every > one, axis=1).sum())
            far = max(found.misses(results.request.base.budgets).values(), default=0.0)
            order.append(((beaten, far, -one[0]), point))
        count = math.ceil(len(rung) / HALVING) if last else len(rung) // HALVING
        for _, point in sorted(order)[:count]:
            more = efforts(results.planned.space.recipe(point))
            higher = more[more.index(effort) + 1 :]
            if higher and not results.board.raised(point, higher[0]):
                one = results.oriented(rung[point])
                raises.append(Raise(point, higher[0], one, costs(point, effort)))
    return raises
