"""What proposes the next recipe: ours, which never propose what was tried, and Optuna's."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from edgeshrink.recipes import Point, Space

SAMPLERS: Mapping[str, Callable[[int], BaseSampler]] = {
    "random": lambda seed: RandomSampler(seed=seed),
    "tpe": lambda seed: TPESampler(seed=seed, multivariate=True),
    "nsga2": lambda seed: NSGAIISampler(seed=seed),
}
OURS = ("guided", "grid")  # they never choose what was tried


class Chosen(BaseSampler):
    """Gives a trial the whole point that is chosen for it.

    Args:
        space: what is searched.
        choose: returns the next point, or None where there is none.
    """

    def __init__(self, space: Space, choose: Callable[[], Point | None]) -> None:
        self.space, self.choose = space, choose

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        """Return every place with its steps."""
        return {
            name: CategoricalDistribution(choices) for name, choices in self.space.choices().items()
        }

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the steps of the point, or none where every point is taken."""
        point = self.choose()
        return {} if point is None else dict(self.space.named(point))

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """Return the first step: another process took the last point just now."""
        assert isinstance(param_distribution, CategoricalDistribution)
        return param_distribution.choices[0]
