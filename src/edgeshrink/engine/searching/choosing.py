"""Which point of a space is tried next: by what was measured so far, and by what it would cost."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtr

from edgeshrink.engine.searching.front import on_front
from edgeshrink.engine.searching.raising import Raise, Regained
from edgeshrink.recipes import Place, Point, Space

Array = np.ndarray[Any, Any]
CANDIDATES = 2000  # points that are weighed, at most
PLACES = 1500  # of the volume that may be gained, drawn at random
BEYOND = 1.2  # times what was reached: as far as a gain is looked for
RATES = (0.3, 1.0, 3.0)  # how fast likeness falls along a place
NOISE = 1e-3  # of a measured value, as a share of the variance of all
LEAST = 1e-6  # standard deviation of what was measured, as a share of what was reached


class Chooser:
    """Chooses points by their expected gain in hypervolume for the time that they take.

    Each goal has a Gaussian process over the points (Rasmussen and Williams, 2006, section 2.2),
    whose kernel falls with the distance at each place, at a rate that makes what was measured most
    likely (section 5.4). The gain is the expected hypervolume improvement (Emmerich, 2005) with
    goals taken as independent; its integral is a mean over random places of the volume. Before
    that the lightest point is tried, then each method alone at its middle step.

    A point is worth the best that it promises for its time with any effort. What was measured and
    may be made with more effort is weighed beside what is new, in the same unit.

    Args:
        space: what is searched.
        reference: `(goals,)`, below which nothing counts, greater being better.
        seed: of what is drawn.
    """

    def __init__(self, space: Space, reference: Sequence[float], seed: int) -> None:
        self.space, self.reference, self.seed = space, np.asarray(reference, float), seed
        self._apart = [
            np.array([[p.apart(i, j) for j in range(len(p.steps))] for i in range(len(p.steps))])
            for p in space.places
        ]
        lightest: Point = (0,) * len(space.places)
        # one method after another at its middle step: what each does alone, at the cost of one step
        alone = [
            (*lightest[:k], step, *lightest[k + 1 :])
            for k, place in enumerate(space.places)
            for step in _middles(place)
        ]
        self.first = tuple(dict.fromkeys((lightest, *alone)))

    def next(
        self,
        seen: Mapping[Point, Sequence[float]],
        taken: Collection[Point],
        seconds: Callable[[Point], Sequence[float]],
        *,
        best: Collection[Sequence[float]] = (),
        raises: Sequence[Raise] = (),
        regained: Regained | None = None,
        left: float = math.inf,
    ) -> Point | Raise | None:
        """Return the point to try next, or to raise, or None where there is neither.

        Args:
            seen: what was measured with the least effort, `(goals,)` for each point, greater being
                better.
            taken: points that are not to be chosen: seen, refused, failed, or at work.
            seconds: from now until a point is made with each effort, rising, above 0.
            best: `(goals,)` of what was measured with more effort too.
            raises: points that may be made with more effort.
            regained: what more effort gives; None where it is not weighed.
            left: seconds of the search; what would take longer is not chosen if anything else is.
        """
        rng = np.random.default_rng([self.seed, len(taken)])
        points = self._candidates(taken, rng)
        untried = [point for point in self.first if point not in taken]
        if untried:
            return untried[0]
        if not points and not raises:
            return None
        if len(seen) < 2:  # the others failed, or are at work
            if not points:
                return raises[0]
            others = np.array(list(taken), int)
            far = self._distance(np.array(points), others).min(1)
            return points[int((far + rng.uniform(0, 1e-6, len(far))).argmax())]
        worth = self._worth(
            seen,
            points,
            seconds,
            best,
            raises,
            Regained() if regained is None else regained,
            left,
            rng,
        )
        options: list[Point | Raise] = [*points, *raises]
        return options[int((worth + rng.uniform(0, 1e-12, len(worth))).argmax())]

    def _worth(
        self,
        seen: Mapping[Point, Sequence[float]],
        points: Sequence[Point],
        seconds: Callable[[Point], Sequence[float]],
        best: Collection[Sequence[float]],
        raises: Sequence[Raise],
        regained: Regained,
        left: float,
        rng: np.random.Generator,
    ) -> Array:
        """Return the gain a second, of points and then of raises; less than 0 if too long."""
        known = np.array(list(seen), int)
        values = np.array(list(seen.values()), float)
        reached = np.array([*values, *best], float)
        good = reached[(reached > self.reference).all(1)]
        most = (good if len(good) else reached).max(0)
        size = np.where(most > self.reference, most - self.reference, np.ptp(values, 0) + 1e-9)
        front = (reached - self.reference) / size
        front = front[on_front(front)]
        places = rng.uniform(0, BEYOND, (PLACES, len(size)))
        places = places[~(front[None] >= places[:, None]).all(-1).any(1)]

        scaled = squashed((values - self.reference) / size)
        mean, deviation = np.empty((2, len(points) + len(raises), len(size)))
        for goal in range(len(size) if points else 0):
            found = self._foretold(known, scaled[:, goal], np.array(points))
            mean[: len(points), goal], deviation[: len(points), goal] = found
        for k, one in enumerate(raises, len(points)):
            mean[k] = (np.array(one.values) - self.reference) / size
            deviation[k] = LEAST
        times = [tuple(seconds(point)) for point in points]
        times += [(math.inf, *one.seconds) for one in raises]  # as it is, it is no gain
        efforts = max(map(len, times)) if math.isfinite(regained.base) else 1
        more = replace(regained, base=(regained.base - self.reference[0]) / size[0])
        worth = np.full(len(times), -math.inf)
        for effort in range(efforts):
            if effort == 1:
                mean[: len(points)], deviation[: len(points)] = spread(
                    mean[: len(points)], deviation[: len(points)]
                )
            if effort:
                mean[:, 0], deviation[:, 0] = more.after(mean[:, 0], deviation[:, 0])
            took = np.array([some[effort] if effort < len(some) else math.inf for some in times])
            may = np.isfinite(took)
            gain = self.gain(mean[may], deviation[may], places) / took[may]
            worth[may] = np.maximum(worth[may], np.where(took[may] > left, -took[may], gain))
        return worth

    def free(self, taken: Collection[Point]) -> Point | None:
        """Return a point that was not taken, drawn at random, or None where every one was."""
        rng = np.random.default_rng([self.seed, len(taken)])
        points = self._candidates(taken, rng)
        return points[int(rng.integers(len(points)))] if points else None

    def gain(self, mean: Array, deviation: Array, places: Array) -> Array:
        """Return the expected hypervolume improvement of each point.

        Args:
            mean: `(points, goals)`, what is foretold of each, as shares of what was reached.
            deviation: of the same shape, its standard deviation.
            places: `(places, goals)`, drawn where nothing measured dominates.
        """
        reached = ndtr((mean[:, None] - places[None]) / deviation[:, None])
        return np.asarray(reached.prod(-1).sum(1) / PLACES)

    def _candidates(self, taken: Collection[Point], rng: np.random.Generator) -> list[Point]:
        """Return points that were not taken: all, or neighbours of those taken and others."""
        gone = set(taken)
        if self.space.size <= CANDIDATES:
            return [point for point in self.space.points() if point not in gone]
        sizes = [len(place.steps) for place in self.space.places]
        near = {
            (*point[:k], step, *point[k + 1 :])
            for point in gone
            for k, size in enumerate(sizes)
            for step in range(size)
        }
        drawn = {tuple(map(int, rng.integers(sizes))) for _ in range(CANDIDATES)}
        return sorted((near | drawn) - gone) or [
            p for p in itertools.islice(self.space.points(), len(gone) + 1) if p not in gone
        ]

    def _distance(self, one: Array, other: Array, rates: Sequence[float] | None = None) -> Array:
        rates = [1.0] * len(self._apart) if rates is None else rates
        found = np.zeros((len(one), len(other)))
        for k, (apart, rate) in enumerate(zip(self._apart, rates, strict=True)):
            found += rate * apart[np.ix_(one[:, k], other[:, k])]
        return found

    def _foretold(self, known: Array, values: Array, points: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of one goal at points."""
        middle, spread = values.mean(), values.std() or 1.0
        wanted = (values - middle) / spread
        rates = [1.0] * len(self._apart)
        likely = self._likelihood(known, wanted, rates)
        for k in [k for k, apart in enumerate(self._apart) if len(apart) > 1] * 2:
            for rate in RATES:
                tried = [*rates[:k], rate, *rates[k + 1 :]]
                if (found := self._likelihood(known, wanted, tried)) > likely:
                    rates, likely = tried, found
        factor = self._factor(known, rates)
        across = np.exp(-self._distance(points, known, rates))
        mean = across @ cho_solve(factor, wanted)
        variance = 1 - np.einsum("pk,kp->p", across, cho_solve(factor, across.T))
        deviation = np.sqrt(np.maximum(variance, 1e-6))
        return middle + spread * mean, spread * deviation

    def _factor(self, known: Array, rates: Sequence[float]) -> tuple[Array, bool]:
        covariance = np.exp(-self._distance(known, known, rates))
        found: tuple[Array, bool] = cho_factor(covariance + NOISE * np.eye(len(known)), lower=True)
        return found

    def _likelihood(self, known: Array, wanted: Array, rates: Sequence[float]) -> float:
        factor = self._factor(known, rates)
        halves = np.log(np.diag(factor[0])).sum()
        return float(-wanted @ cho_solve(factor, wanted) / 2 - halves)


def _middles(place: Place) -> list[int]:
    """Return the middle step of each method of a place, its first step left out."""
    steps: dict[str, list[int]] = {}
    for k, step in enumerate(place.steps):
        if k and step is not None:
            steps.setdefault(step.name, []).append(k)
    return [every[(len(every) - 1) // 2] for every in steps.values()]


def squashed(values: Array) -> Array:
    """Return values that tell less and less the further they are below 0.

    Args:
        values: any shape.
    """
    return np.where(values < 0, -np.log1p(-np.minimum(values, 0)), values)


def spread(mean: Array, deviation: Array) -> tuple[Array, Array]:
    """Return mean and standard deviation of what was squashed, to the first order.

    Args:
        mean: any shape, of squashed values.
        deviation: of the same shape.
    """
    slope = np.exp(-np.minimum(mean, 0))
    return np.where(mean < 0, 1 - slope, mean), slope * deviation
