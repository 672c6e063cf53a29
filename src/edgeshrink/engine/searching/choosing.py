"""Which point of a space is tried next: by what was measured so far, and by what it would cost."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.special import ndtr

from edgeshrink.engine.searching.front import on_front
from edgeshrink.recipes import Point, Space

Array = np.ndarray[Any, Any]
CANDIDATES = 2000  # points that are weighed, at most
PLACES = 1500  # of the volume that may be gained, drawn at random
BEYOND = 1.2  # times what was reached: as far as a gain is looked for
RATES = (0.3, 1.0, 3.0)  # how fast likeness falls along a place
NOISE = 1e-3  # of a measured value, as a share of the variance of all


class Chooser:
    """Chooses points by their expected gain in hypervolume for the time that they take.

    Each goal has a Gaussian process over the points (Rasmussen and Williams, 2006, section 2.2),
    whose kernel falls with the distance at each place, at a rate that makes what was measured most
    likely (section 5.4). The gain is the expected hypervolume improvement (Emmerich, 2005) with
    goals taken as independent; its integral is a mean over random places of the volume. Before
    that the lightest point is tried, then each place alone at its middle step.

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
        sizes = [len(place.steps) for place in space.places]
        lightest: Point = (0,) * len(sizes)
        # one place after another at its middle step: what each does alone, at the cost of one step
        alone = [
            (*lightest[:k], size // 2, *lightest[k + 1 :])
            for k, size in enumerate(sizes)
            if size > 1
        ]
        self.first: tuple[Point, ...] = (lightest, *alone)

    def next(
        self,
        seen: Mapping[Point, Sequence[float]],
        taken: Collection[Point],
        cost: Callable[[Point], float],
    ) -> Point | None:
        """Return the point to try next, or None where every one was taken.

        Args:
            seen: what was measured, `(goals,)` for each point, greater being better.
            taken: points that are not to be chosen: seen, refused, failed, or at work.
            cost: seconds that a point would take, above 0.
        """
        rng = np.random.default_rng([self.seed, len(taken)])
        points = self._candidates(taken, rng)
        if not points:
            return None
        known = np.array(list(seen), int).reshape(len(seen), len(self.space.places))
        untried = [point for point in self.first if point not in taken]
        if untried:
            return untried[0]
        if len(seen) < 2:  # the others failed, or are at work
            others = np.array(list(taken), int)
            far = self._distance(np.array(points), others).min(1)
            return points[int((far + rng.uniform(0, 1e-6, len(far))).argmax())]
        values = np.array([seen[tuple(p)] for p in known.tolist()], float)
        gain = self.gain(known, values, np.array(points), rng)
        worth = gain / np.array([cost(point) for point in points])
        return points[int((worth + rng.uniform(0, 1e-12, len(worth))).argmax())]

    def free(self, taken: Collection[Point]) -> Point | None:
        """Return a point that was not taken, drawn at random, or None where every one was."""
        rng = np.random.default_rng([self.seed, len(taken)])
        points = self._candidates(taken, rng)
        return points[int(rng.integers(len(points)))] if points else None

    def gain(self, known: Array, values: Array, points: Array, rng: np.random.Generator) -> Array:
        """Return the expected hypervolume improvement of each point, over the whole box.

        Args:
            known: `(seen, places)`, points by the numbers of their steps.
            values: `(seen, goals)`, what was measured there.
            points: `(points, places)`, those that are weighed.
            rng: for the places of the volume.
        """
        best = values.max(0)
        size = np.where(best > self.reference, best - self.reference, np.ptp(values, 0) + 1e-9)
        scaled = np.maximum((values - self.reference) / size, -1)  # far below tells no more
        means, deviations = zip(
            *(self._foretold(known, scaled[:, k], points) for k in range(scaled.shape[1])),
            strict=True,
        )
        mean, deviation = np.stack(means, 1), np.stack(deviations, 1)
        places = rng.uniform(0, BEYOND, (PLACES, scaled.shape[1]))
        front = scaled[on_front(scaled)]
        places = places[~(front[None] >= places[:, None]).all(-1).any(1)]
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
