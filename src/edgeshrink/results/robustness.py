"""Robustness: how right a model is on perturbed images, before and after it was compressed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from edgeshrink.results.ledger import SIGNIFICANT


@dataclass(frozen=True)
class Pair:
    """The score of record on the same samples before and after.

    Attributes:
        before: of the base.
        after: of the result.
        p_value: how likely they differ as much by chance, 0..1: McNemar's exact test where single
            values are 0 or 1, a paired z-test otherwise, and for means over severities.
    """

    before: float
    after: float
    p_value: float

    @property
    def change(self) -> float:
        """The score after, less that before."""
        return self.after - self.before

    @property
    def significant(self) -> bool:
        """Whether the scores differ by more than chance would."""
        return self.p_value < SIGNIFICANT


@dataclass(frozen=True)
class Case:
    """What one perturbation did.

    Attributes:
        perturbation: its name.
        unit: what its levels are.
        levels: by severity, from 1.
        pairs: the scores by severity.
        mean: over severities.
    """

    perturbation: str
    unit: str
    levels: tuple[float, ...]
    pairs: tuple[Pair, ...]
    mean: Pair


@dataclass(frozen=True)
class Robustness:
    """The base against the result, on test images that were perturbed before preprocessing.

    Attributes:
        metric: name of the metric of record.
        higher_is_better: the metric's direction.
        samples: test samples, the same in each case.
        ranges: the least and greatest stored value by input, which black and white were taken for.
        clean: the scores on the same samples as they are.
        mean: over all perturbations and severities: what is known as mean corruption accuracy.
        cases: one for each perturbation, that which the result bears worst beside the base first.
    """

    metric: str
    higher_is_better: bool
    samples: int
    ranges: Mapping[str, tuple[float, float]]
    clean: Pair
    mean: Pair
    cases: tuple[Case, ...]

    def means(self) -> dict[str, Pair]:
        """Return the scores by what befell the images: nothing, each perturbation, and the mean."""
        cases = {case.perturbation: case.mean for case in self.cases}
        return {"none": self.clean, **cases, "mean of all": self.mean}
