"""Run the base and the result on test images that were perturbed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from edgeshrink.engine.running.run import Run
from edgeshrink.errors import UsageError
from edgeshrink.models import Artifact
from edgeshrink.results import (
    Case,
    Judge,
    Outputs,
    Pair,
    Paired,
    Robustness,
    Samples,
    paired_z,
    samples_of,
)
from edgeshrink.samples import (
    PERTURBATIONS,
    Dataset,
    Perturbation,
    Perturbed,
    Subset,
    split_rows,
    strata_of,
    value_range,
)

Answers = Callable[[Samples], Outputs]
Progress = Callable[[float, str], None]


def robustness(run: Run, final: Artifact) -> Robustness | None:
    """Return the scores of the base and the result of a run; None where they were not asked for."""
    request, data, seed = run.planned.request, run.planned.data, run.planned.recipe.seed
    if not request.robustness or data is None or data.test is None:
        return None
    part = sampled(data, data.test, request.robustness_samples, seed)
    runs = partial(run.outputs, run.planned.base), partial(run.outputs, final)
    names = run.models.output_names
    perturbing = Perturbing(data, part, run.judge, runs, names, run.scratch, seed)
    return perturbing.robustness(partial(run.progress, None))


@dataclass(frozen=True)
class Perturbing:
    """Two models, and the test samples that are perturbed for them.

    Attributes:
        data: as the models take it.
        part: of its test samples.
        judge: gives scores.
        runs: run the base, and the result.
        names: of the base's outputs.
        folder: for inputs; each set is removed once both models were run on it.
        seed: of everything random.
    """

    data: Dataset
    part: Subset
    judge: Judge
    runs: tuple[Answers, Answers]
    names: Sequence[str]
    folder: Path
    seed: int

    def robustness(self, progress: Progress) -> Robustness:
        """Return both models' scores under each perturbation and severity.

        Args:
            progress: is told shares of the work.

        Raises:
            DataError: the inputs are no images.
            UsageError: no metric fits the labels.
        """
        ranges = {name: value_range(name, column) for name, column in self.part.inputs.items()}
        side = min(min(column.shape[1:3]) for column in self.part.inputs.values())
        clean = self._paired(self.part, "clean")
        cases, all_found = [], []
        kinds = [one for one in PERTURBATIONS if not (one.moves and self.data.placed)]
        for place, one in enumerate(kinds):
            progress(place / len(kinds), f"test images: {one.name}")
            levels = one.at(side)
            found = [self._perturbed(one, level, ranges) for level in levels]
            all_found += found
            pairs = tuple(map(_pair, found))
            cases.append(Case(one.name, one.unit, levels, pairs, _mean(found)))
        better = 1 if clean.metric.higher_is_better else -1
        return Robustness(
            clean.metric.name,
            clean.metric.higher_is_better,
            len(self.part),
            ranges,
            _pair(clean),
            _mean(all_found),
            tuple(sorted(cases, key=lambda case: better * case.mean.change)),
        )

    def _perturbed(
        self, one: Perturbation, level: float, ranges: dict[str, tuple[float, float]]
    ) -> Paired:
        sources = {
            name: Perturbed(source, one, level, *ranges[name], self.seed)
            for name, source in self.part.sources.items()
        }
        return self._paired(replace(self.part, sources=sources), f"{one.name}-{level:g}")

    def _paired(self, part: Subset, name: str) -> Paired:
        name = f"test-{len(part)}-{self.seed}-{name}"
        samples = samples_of(self.data, part, name, self.folder, self.names)
        before, after = (run(samples) for run in self.runs)
        found = self.judge.paired(before, after, samples)
        shutil.rmtree(self.folder / name)  # of what gives its input back, these are the labels
        if found is None:
            raise UsageError("no metric fits the labels of the test samples")
        return found


def sampled(data: Dataset, part: Subset, most: int, seed: int) -> Subset:
    """Return a part, or this many of its samples, of each class in proportion."""
    if len(part) <= most:
        return part
    rows, _ = split_rows(part.rows, most, seed, strata_of(part, data.tasks))
    return part.subset(rows)


def _pair(found: Paired) -> Pair:
    value = found.metric.value
    return Pair(value(float(found.before.mean())), value(float(found.after.mean())), found.p_value)


def _mean(found: Sequence[Paired]) -> Pair:
    """Return scores over severities, paired by sample, since the samples are the same in each."""
    import numpy as np

    before = np.mean([one.before for one in found], axis=0)
    after = np.mean([one.after for one in found], axis=0)
    value = found[0].metric.value
    return Pair(value(float(before.mean())), value(float(after.mean())), paired_z(after - before))
