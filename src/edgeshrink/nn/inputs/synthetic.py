"""Make up inputs for a model where there is no data."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import keras
import numpy as np

from edgeshrink.models import write_npy
from edgeshrink.nn.graph import structured
from edgeshrink.nn.inputs.comparison import top_class
from edgeshrink.nn.inputs.inversion import learned_range
from edgeshrink.nn.inputs.noise import COMMON_RANGES, made_up

TURNS = 2  # in which all common ranges are tried again where a model names one class


def synthetic_inputs(
    model: keras.Model, folder: Path, *, count: int = 256, seed: int = 0
) -> dict[str, Path]:
    """Write made-up inputs, of the range at which the model tells most things apart.

    Which values a model was trained on (0..1, -1..1, 0..255) is in its file only where it has
    batch norms, whose statistics then choose. Inputs of a wrong range all look alike to a model,
    and any two models agree on them; so without batch norms each common range is tried, and the
    one whose outputs name the most evenly spread classes (or vary most against their size) is
    taken. Samples differ in grain and contrast: noise, blobs and gradients. Where the model names
    one class for all of them, more are made up, of all the ranges, and those taken that spread its
    answers.

    Args:
        model: any Keras model.
        folder: where the .npy files go; it is made if it is not there.
        count: of samples.
        seed: of everything random.

    Returns:
        For each input by name a .npy file `(count, ...)` of the input's type; dynamic dimensions
        are 1.
    """
    folder.mkdir(parents=True, exist_ok=True)

    def made(low: float, high: float, turn: int = 0) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([seed, turn] if turn else seed)
        return {t.name: made_up(model, t, low, high, count, rng) for t in model.inputs}

    ends = learned_range(model, seed)
    if ends is None:
        ends = max(COMMON_RANGES, key=lambda each: round(_spread(model, made(*each)), 9))
    chosen = made(*ends)
    named = _named(model, chosen)
    if named is not None and (named == named[0]).all():
        more = (made(*each, turn) for turn in range(1, TURNS + 1) for each in COMMON_RANGES)
        chosen = _spread_out(model, chosen, more)
    files = {}
    for place, (name, values) in enumerate(chosen.items()):
        files[name] = folder / f"{place}.npy"
        write_npy(files[name], [values], len(values))
    return files


def _spread_out(
    model: keras.Model, chosen: dict[str, np.ndarray], more: Iterable[dict[str, np.ndarray]]
) -> dict[str, np.ndarray]:
    """Return `chosen` with its last samples replaced by others of `more` that name other classes.

    No class gets more of the samples than an even share.
    """
    count = len(next(iter(chosen.values())))
    first, found = _named(model, chosen), dict[int, list[dict[str, np.ndarray]]]()
    assert first is not None
    for values in more:
        classes = _named(model, values)
        assert classes is not None
        for place in np.flatnonzero(classes != first[0]):
            row = {name: array[place] for name, array in values.items()}
            found.setdefault(int(classes[place]), []).append(row)
        if sum(map(len, found.values())) >= count:
            break
    share = count // (len(found) + 1)
    rows = [row for rows in found.values() for row in rows[:share]]
    spread = {name: values.copy() for name, values in chosen.items()}
    for back, row in enumerate(rows, 1):
        for name, value in row.items():
            spread[name][-back] = value
    return spread


def _named(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> np.ndarray | None:
    """Return the class that the first output names for each sample; None where it names none."""
    outputs = keras.tree.flatten(model.predict_on_batch(structured(model, inputs)))
    values = np.asarray(outputs[0])
    return top_class(values) if values.ndim == 2 else None


def _spread(model: keras.Model, inputs: Mapping[str, np.ndarray]) -> float:
    """Return how well a model tells these inputs apart: entropy of classes, or variation."""
    outputs = keras.tree.flatten(model.predict_on_batch(structured(model, inputs)))
    total = 0.0
    for values in (np.asarray(o, "float64") for o in outputs):
        if not np.isfinite(values).all():
            return -1.0
        if values.ndim == 2:
            shares = np.unique(top_class(values), return_counts=True)[1] / len(values)
            total += float(-(shares * np.log(shares)).sum())
        total += 0.01 * float(values.std(axis=0).mean() / (np.abs(values).mean() + 1e-9))
    return total
