"""A narrower model is run against the one it stands for, before it is believed."""

from __future__ import annotations

import keras
import numpy as np

from edgeshrink.api import Context, VerificationError
from edgeshrink.nn import ChannelGraph, narrowed, structured, synthetic_inputs, zeroed

SAMPLES = 8
TOLERANCE = 1e-4  # of the greatest output; rounding gives some 1e-7


def rebuilt(graph: ChannelGraph, removed: np.ndarray, context: Context) -> keras.Model:
    """Return the model without the removed channels, proved equal to the one with them at zero.

    Raises:
        VerificationError: it answers otherwise.
    """
    small = narrowed(graph, removed)
    inputs = structured(small, _inputs(graph.model, context))
    wanted = keras.tree.flatten(zeroed(graph, removed)(inputs, training=False))
    given = keras.tree.flatten(small(inputs, training=False))
    for ours, theirs in zip(map(np.asarray, given), map(np.asarray, wanted), strict=True):
        most = TOLERANCE * max(1.0, float(np.abs(theirs).max()))
        apart = float(np.abs(ours - theirs).max())
        if not apart <= most:
            raise VerificationError(
                f"the rebuilt model is off by {apart:.2g} from the one whose removed channels are "
                "zero",
                hint="please report this with the model; --shrink-scope layer may go around it",
            )
    return small


def _inputs(model: keras.Model, context: Context) -> dict[str, np.ndarray]:
    """Return some training samples, or made-up ones."""
    data = context.data
    if data is not None and data.train is not None:
        return data.values(data.train, np.arange(min(SAMPLES, len(data.train))))
    files = synthetic_inputs(model, context.folder / "inputs", count=SAMPLES, seed=context.seed)
    return {name: np.load(path) for name, path in files.items()}
