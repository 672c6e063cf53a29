"""Network slimming's training: batch-norm scales that a penalty pulls to zero."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from edgeshrink.api import Context, ModelError
from edgeshrink.nn import finetune


def slimmed(model: keras.Model, penalty: float, context: Context) -> None:
    """Train a model with an L1 penalty on its batch-norm scales (Liu et al., ICCV 2017, eq. 1).

    Args:
        model: trained in place.
        penalty: its weight, the paper's λ; 1e-5 to 1e-3 as a rule.
        context: data and training settings.

    Raises:
        ModelError: it has no batch norm.
    """
    scales = [v for v in model.trainable_weights if v.path.rsplit("/", 1)[-1] == "gamma"]
    if not scales:
        raise ModelError("slimming trains the scales of batch norms, and the model has none")
    with _penalized(scales, penalty):
        finetune(model, context)


@contextmanager
def _penalized(scales: list[keras.Variable], penalty: float) -> Iterator[None]:
    own = [scale.regularizer for scale in scales]
    for scale in scales:
        scale.regularizer = keras.regularizers.L1(penalty)
    try:
        yield
    finally:
        for scale, regularizer in zip(scales, own, strict=True):
            scale.regularizer = regularizer
