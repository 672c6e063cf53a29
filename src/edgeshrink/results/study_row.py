"""A row of a study's table: its figures beside the published ones, with their intervals."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Value:
    """A figure with its 95 % interval.

    Attributes:
        mean: over seeds.
        low: the interval's lower end; None where there is no interval.
        high: its upper end; likewise.
        over: what the interval is over: `seeds` (Student's t), `samples`, or `runs` of a file;
            empty where there is no interval.
        each: the values of single seeds, in the order of the row's runs.
    """

    mean: float
    low: float | None = None
    high: float | None = None
    over: str = ""
    each: tuple[float, ...] = ()

    @classmethod
    def of(
        cls,
        each: Sequence[float],
        of_samples: tuple[float, float] | None = None,
        bounds: tuple[float, float] = (-math.inf, math.inf),
    ) -> Value:
        """Return the mean of some seeds' values; one seed has the interval of its samples.

        Args:
            each: a value for each seed, one at least.
            of_samples: the interval over samples of the first, used where there is one seed.
            bounds: what no value can be beyond; the interval over seeds ends there.

        Example:
            >>> value = Value.of([97.0, 98.0, 99.0], bounds=(0, 100))
            >>> round(value.low, 2), value.high, value.over
            (95.52, 100, 'seeds')
        """
        count, mean = len(each), math.fsum(each) / len(each)
        if count == 1:
            low, high = of_samples or (None, None)
            return cls(mean, low, high, "samples" if of_samples else "", tuple(each))
        from scipy.special import stdtrit  # scipy.stats takes seconds to import

        variance = math.fsum((value - mean) ** 2 for value in each) / (count - 1)
        half = float(stdtrit(count - 1, 0.975)) * math.sqrt(variance / count)
        low, high = max(mean - half, bounds[0]), min(mean + half, bounds[1])
        return cls(mean, low, high, "seeds", tuple(each))


@dataclass(frozen=True)
class Cell:
    """One figure of a row.

    Attributes:
        ours: what was measured; None where nothing was.
        published: the publication's value; None where it does not tell one.
        doubt: why `ours` is not to be trusted; empty if it is.
    """

    ours: Value | None
    published: float | None
    doubt: str = ""

    @property
    def difference(self) -> float | None:
        """The mean of `ours` less `published`; None where one is missing."""
        if self.ours is None or self.published is None:
            return None
        return self.ours.mean - self.published


@dataclass(frozen=True)
class RowFound:
    """A row of a table.

    Attributes:
        label: what stands before the row.
        command: what was done, as a command; empty if nothing was.
        cells: one for each column of the table.
        unlike: sentences on what was done otherwise than in the publication.
        missing: why there is no figure: failed with its error, not run, left out; else empty.
        failed: it was run, and failed.
        notes: sentences on the runs.
        series: the curve of the table's figure that it belongs to; empty for none.
        x: its place along the figure, or None.
        runs: of each its seed, the digest of its file, the seconds it took, the day when it was
            made, and the digest of the sources that it used.
        stale: that those sources have changed since; empty if they have not.
    """

    label: str
    command: str
    cells: tuple[Cell, ...]
    unlike: tuple[str, ...] = ()
    missing: str = ""
    failed: bool = False
    notes: tuple[str, ...] = ()
    series: str = ""
    x: float | None = None
    runs: tuple[Mapping[str, Any], ...] = ()
    stale: str = ""
