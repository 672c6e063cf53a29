"""A teacher's answers to the training samples: asked once, kept for every epoch and later run."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np

from edgeshrink.models import read_arrays, write_arrays
from edgeshrink.nn.graph import structured

if TYPE_CHECKING:
    from edgeshrink.recipes import Context

BATCH = 256  # that a teacher answers at once
HELD_BYTES = 1 << 30  # in memory; more answers are computed anew in each epoch
KEPT_BYTES = 1 << 26  # in the run's folder, for later runs


def answers(teacher: keras.Model, model: keras.Model, context: Context) -> list[np.ndarray] | None:
    """Return a teacher's answers to all training samples, each output `(samples, ...)`.

    They are worth holding where epochs show the same samples: a student is often a small part of
    its teacher's work. Those of the same teacher to the same samples are found again in the run's
    folder. None where samples are varied, where the epochs together show fewer than there are, or
    where answers are too many to hold.

    Args:
        teacher: takes what the model takes, in the same order.
        model: that is taught.
        context: its data, settings and run folder.
    """
    data, settings = context.data, context.training
    assert data is not None
    assert data.train is not None
    part = data.train
    sizes = [t.shape[1:] for t in keras.tree.flatten(teacher.outputs)]
    if settings.shift or settings.flip or any(None in shape for shape in sizes):
        return None
    if settings.samples(len(part)) * (settings.epochs or 0) < len(part):
        return None  # most would never be asked for
    size = 4 * len(part) * sum(int(np.prod(shape)) for shape in sizes)
    if size > HELD_BYTES:
        return None
    if size > KEPT_BYTES:
        return _asked(teacher, model, context)
    place = context.run_folder / f"answers-{_digest(teacher, data.digest)[:16]}.npz"
    kept = _read(place, [(len(part), *shape) for shape in sizes])
    if kept is None:
        kept = _asked(teacher, model, context)
        write_arrays(place, {str(number): one for number, one in enumerate(kept)})
    return kept


def _asked(teacher: keras.Model, model: keras.Model, context: Context) -> list[np.ndarray]:
    data = context.data
    assert data is not None
    assert data.train is not None
    part = data.train
    found: list[list[np.ndarray]] = [[] for _ in keras.tree.flatten(teacher.outputs)]
    for start in range(0, len(part), BATCH):
        share = start / len(part)
        context.progress(0.0, f"the teacher answers the training samples: {share:.0%}")
        places = np.arange(start, min(start + BATCH, len(part)))
        given = teacher.predict_on_batch(structured(model, data.values(part, places)))
        for parts, values in zip(found, keras.tree.flatten(given), strict=True):
            parts.append(np.asarray(values, "float32"))
    return [np.concatenate(parts) for parts in found]


def _digest(teacher: keras.Model, data: str) -> str:
    """Return a digest of all that answers depend on: graph, weights, samples."""
    found = hashlib.sha256((teacher.to_json() + data).encode())
    for variable in teacher.variables:
        found.update(np.asarray(variable).tobytes())
    return found.hexdigest()


def _read(place: Path, shapes: Sequence[tuple[int, ...]]) -> list[np.ndarray] | None:
    """Return kept answers of these shapes, or None if they are missing or damaged."""
    found = list((read_arrays(place) or {}).values())
    whole = [(a.shape, a.dtype.kind) for a in found] == [(shape, "f") for shape in shapes]
    return found if whole else None
