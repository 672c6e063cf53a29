"""On which samples a run judges, chooses and compares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from edgeshrink.engine.planning.request import Planned
from edgeshrink.engine.running.models import Models
from edgeshrink.recipes import digest_of
from edgeshrink.results import Samples, samples_of
from edgeshrink.samples import split_rows, strata_of

if TYPE_CHECKING:
    from edgeshrink.samples import Subset

COMPARED = 1000
SYNTHETIC = 256  # samples made up, at most, and
VALUES = 1 << 22  # values in them, unless they are then fewer than
FEWEST = 32
MACS = 100e9  # of all of them in one model, at most, so that a large model is judged in minutes,
LEAST = 4  # unless they are then fewer than these


class SampleSets:
    """Sets of samples, written to disk as the model sees them when they are first wanted.

    Nothing is chosen on the test samples: they only judge.
    """

    def __init__(
        self,
        planned: Planned,
        models: Models,
        folder: Path,
        progress: Callable[[float, str], None],
    ) -> None:
        self._planned, self._data, self._models = planned, planned.data, models
        self._folder, self._progress = folder, progress
        self._chosen: dict[int, Samples] = {}

    @cached_property
    def judged(self) -> Samples:
        """What every stage is judged on: the test samples, else made-up inputs.

        Where a result is to be chosen by what it is worth, that is the validation samples.
        """
        if self._planned.request.judged == "validation":
            return self.chosen() or self._synthetic
        if self._data is None or self._data.test is None:
            return self._synthetic
        return self._stored(self._data.test, "test")

    def few(self) -> str:
        """Return that the model is too large for many made-up inputs, or an empty text."""
        judged = self.judged
        if not judged.synthetic or judged.count >= FEWEST:
            return ""
        return (
            f"the model takes so long that it is compared on {judged.count} synthetic inputs "
            "alone; pass --data to judge it on more"
        )

    def chosen(self, most: int | None = None) -> Samples | None:
        """What choices are made on: the validation samples; None without.

        Args:
            most: where there are more, this many of them, of each class in proportion.
        """
        if self._data is None or self._data.validation is None:
            return None
        part = self._data.validation
        count = len(part) if most is None else min(most, len(part))
        if count not in self._chosen:
            seed = self._planned.recipe.seed
            rows, _ = split_rows(part.rows, count, seed, strata_of(part, self._data.tasks))
            self._chosen[count] = self._stored(part.subset(rows), "validation")
        return self._chosen[count]

    @cached_property
    def compared(self) -> Samples:
        """What candidates are compared on: validation samples, else made-up inputs."""
        return self.chosen(COMPARED) or self._synthetic

    def _stored(self, part: Subset, name: str) -> Samples:
        assert self._data is not None
        self._progress(0.0, f"preparing {len(part):,} {name} samples")
        kept = f"{name}-{len(part)}"
        return samples_of(self._data, part, kept, self._folder, self._models.output_names)

    @cached_property
    def _synthetic(self) -> Samples:
        from edgeshrink.nn.graph import count as multiplications
        from edgeshrink.nn.inputs import samples_at_once, synthetic_inputs

        base, seed = self._models.base, self._planned.recipe.seed
        count = samples_at_once(base, VALUES, FEWEST, SYNTHETIC)
        count = min(count, max(LEAST, int(MACS / max(1, multiplications(base).macs))))
        files = synthetic_inputs(base, self._folder / "synthetic", count=count, seed=seed)
        key = digest_of({"base": self._planned.base.digest, "synthetic": [seed, count]})
        made = Samples(files, {}, key, count, synthetic=True)
        if self._data is None or not self._data.bakes:
            return made
        stored = self._data.made_stored(files, self._folder / "synthetic-stored")
        key = digest_of({"made up": key, "stored": self._data.digest})
        twin = Samples(stored, {}, key, count, synthetic=True)
        return replace(made, digest=digest_of({"read back": key}), stored=twin)
