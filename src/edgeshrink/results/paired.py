"""Two models on the same samples: whether their scores differ by more than chance, and where."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgeshrink import words
from edgeshrink.devices import mcnemar
from edgeshrink.results.metric import Metric
from edgeshrink.results.verdict import ClassChange

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True, eq=False)  # arrays do not compare to one truth
class Paired:
    """What a metric says of each of the same samples before and after, `(samples,)`.

    Attributes:
        wanted: what is right of the output that was scored, as the metric takes it.
        change: of the value, after less before, where samples are drawn again, `(draws,)`; None
            where the values of samples tell it.
    """

    metric: Metric
    before: np.ndarray
    after: np.ndarray
    wanted: np.ndarray
    change: np.ndarray | None = None

    @property
    def p_value(self) -> float:
        """How likely the metric would differ as much by chance.

        It is 1 where both values, as they are told, are the same: a difference that nobody sees is
        none. McNemar's exact test is for samples that are right or wrong; where a sample has
        several answers, its mean is one value of a paired z-test. Where samples are drawn again,
        it is twice the share of draws in which the change is not to the side that it is to in most.
        """
        told = {
            words.value_of(self.metric.name, self.metric.value(float(values.mean())))
            for values in (self.before, self.after)
        }
        if len(told) == 1:
            return 1.0
        if self.change is not None:
            least = min(int((self.change <= 0).sum()), int((self.change >= 0).sum()))
            return min(1.0, 2 * (least + 1) / (len(self.change) + 1))
        if self.metric.counted:
            lost, gained = (self.before > self.after).sum(), (self.after > self.before).sum()
            return mcnemar(int(lost), int(gained))
        return paired_z(self.after - self.before)


def paired_z(change: np.ndarray) -> float:
    """Return the two-sided p-value that changes `(samples,)` are 0 on average (paired z-test)."""
    error = float(change.std(ddof=1)) / math.sqrt(len(change)) if len(change) > 1 else 0.0
    return math.erfc(abs(float(change.mean())) / error / math.sqrt(2)) if error else 1.0


def worst_class(paired: Paired, names: Sequence[str]) -> ClassChange | None:
    """Return the class that lost most; None where none did, or a sample has no one class.

    Args:
        paired: right answers before and after.
        names: of the classes, by number; empty for none.
    """
    import numpy as np

    if not paired.metric.counted:
        return None
    numbers = paired.wanted.reshape(-1).astype(np.int64)
    counts = np.bincount(numbers)
    before, after = (
        np.bincount(numbers, values) / np.maximum(counts, 1)
        for values in (paired.before, paired.after)
    )
    place = int(np.argmax(before - after))
    if before[place] <= after[place]:
        return None
    name = str(names[place]) if place < len(names) else str(place)
    return ClassChange(name, float(before[place]), float(after[place]), int(counts[place]))
