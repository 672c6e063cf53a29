"""A data set without data: inputs that are synthesised from the model when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from edgeshrink.errors import ModelError, UsageError
from edgeshrink.models import Kind
from edgeshrink.samples import Dataset, Preprocess, Subset

if TYPE_CHECKING:
    import keras
    import numpy as np

    from edgeshrink.models import ModelFacts

NAME = "data-free"
CALIBRATED_ON = 64  # at most: 32 were enough for ZeroQ (section 3.1), and each takes time
TRAINED_ON = 512  # where a step trains
BYTES = (0.0, 255.0)  # what stored values are taken to be where preprocessing is given
Arrays = Mapping[str, "np.ndarray[Any, Any]"]


class Synthesised:
    """Inputs of one name, there from when they are first indexed."""

    def __init__(
        self, name: str, shape: tuple[int, ...], dtype: np.dtype[Any], made: Callable[[], Arrays]
    ) -> None:
        self.name, self.shape, self.dtype, self._made = name, shape, dtype, made

    def __getitem__(self, rows: Any) -> Any:
        return self._values[rows]

    @cached_property
    def _values(self) -> np.ndarray[Any, Any]:
        return self._made()[self.name]


def synthesised_dataset(
    found: ModelFacts,
    shapes: Mapping[str, tuple[int | None, ...]],
    load: Callable[[], keras.Model],
    digest: Callable[[], str],
    progress: Callable[[float, str], None],
    *,
    preprocess: str,
    calibration: int,
    trains: bool,
    seed: int,
) -> Dataset:
    """Return a data set of inputs made from a model's batch norms; it has no labels and no tests.

    Args:
        found: facts of the model.
        shapes: of its inputs, batch dimension first.
        load: gives the model, when inputs are first asked for.
        digest: of the model.
        progress: told the share done (0..1) and a note.
        preprocess: what the model expects; tells the range of inputs where stored ones are bytes.
        calibration: how many inputs calibrate, if that is less than `CALIBRATED_ON`.
        trains: whether a step learns from the inputs too.
        seed: of everything random.

    Raises:
        ModelError: the model has no batch norms or no known inputs.
        UsageError: preprocessing is a function, whose range is not known.
    """
    import numpy as np

    layered = found.layers or found.kind is Kind.SKLEARN
    if layered and not any("BatchNorm" in layer.class_name for layer in found.layers):
        raise ModelError(
            "--data-free synthesises inputs from the statistics of batch norms, and the model has "
            "none",
            hint="pass --data, or work without",
        )
    if not shapes:
        raise ModelError(
            "--data-free needs the shapes of the model's inputs, which its file does not tell",
            hint="save it as .keras, or pass --input-shape",
        )
    prepared = Preprocess.from_spec(preprocess)
    affine = prepared.affine
    if affine is None:
        raise UsageError(
            "--data-free takes preprocessing by scale, offset, mean and std alone; "
            f"received {preprocess!r}",
            hint="--preprocess scale=1/255, or none to try common ranges",
        )
    calibration = min(calibration, CALIBRATED_ON)
    count = max(calibration, TRAINED_ON) if trains else calibration
    kept: list[Arrays] = []

    def made() -> Arrays:
        if not kept:
            from edgeshrink.nn.inputs import inverted

            scale, offset = (np.array(v, "float32") for v in affine)
            bounds = sorted_ends(scale * BYTES[0] + offset, scale * BYTES[1] + offset)
            ends = {name: bounds for name in shapes} if prepared.scales else None
            values = inverted(load(), count, ends=ends, seed=seed, progress=progress)
            kept.append({name: (v - offset) / scale for name, v in values.items()})
        return kept[0]

    dtype = np.dtype("uint8" if prepared.scales else "float32")  # real numbers between bytes
    sources = {
        name: Synthesised(name, (count, *(d or 1 for d in shape[1:])), dtype, made)
        for name, shape in shapes.items()
    }
    part = Subset(sources, np.arange(count))
    return Dataset(
        name=NAME,
        train=part,
        validation=None,
        calibration=part.subset(np.arange(calibration)),
        test=None,
        preprocess=prepared,
        notes=(
            f"no data: {count:,} inputs are synthesised from the statistics of the model's batch "
            "norms; results are judged on other made-up inputs",
        ),
        split={"seed": seed, "calibration": calibration, "count": count},
        fingerprint=digest,
    )


def sorted_ends(one: Any, other: Any) -> Any:
    """Return two ends, the lesser first, element by element."""
    import numpy as np

    return np.minimum(one, other), np.maximum(one, other)
