"""A model that was trained to be rounded, seen again as it was seen in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from edgeshrink.nn.graph import folded
from edgeshrink.nn.learning.quantized_twin import rounded_tensors, twin

RANGES = "ranges/"


def learned_ends(state: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the ends of activations, `(2,)` by name, that travel with a trained model.

    Args:
        state: arrays beside the model; those called `ranges/NAME` are taken.
    """
    kept = {name: ends for name, ends in state.items() if name.startswith(RANGES)}
    return {name.removeprefix(RANGES): ends for name, ends in kept.items()}


@dataclass(frozen=True)
class TrainedTwin:
    """What a converted file has to compute.

    Attributes:
        model: answers as the trained model did in training.
        tensors: those of its graph that an integer file rounds, by name, in their order.
        rounds: whether activations are rounded, so that the file has all of `tensors`.
    """

    model: keras.Model
    tensors: Mapping[str, Any]
    rounds: bool

    def values(self, inputs: Any) -> dict[str, np.ndarray]:
        """Return the values of its tensors, `(samples, ...)` by name.

        Args:
            inputs: samples in the structure that the model takes.
        """
        probe = keras.Model(self.model.input, list(self.tensors.values()))
        made = keras.tree.flatten(probe.predict(inputs, verbose=0))
        return dict(zip(self.tensors, map(np.asarray, made), strict=True))


def trained_twin(model: keras.Model, state: Mapping[str, np.ndarray], bits: int = 8) -> TrainedTwin:
    """Return the twin of a model whose weights were left where training had rounded them.

    Args:
        model: as training left it, its weights on their grids or levels.
        state: arrays beside it, with `learned_ends`; without them activations are not rounded.
        bits: of activations.
    """
    plain, ends = folded(model), learned_ends(state)
    if not ends:
        return TrainedTwin(plain, rounded_tensors(plain), rounds=False)
    there = {name: ends[name] for name in rounded_tensors(plain) if name in ends}
    seen, placed = twin(plain, {}, there, bits=bits, ends="fixed")
    # a range that rounds again behind it, as an average does, has further nodes
    tensors = {name: range_._inbound_nodes[0].outputs[0] for name, range_ in placed.items()}
    return TrainedTwin(seen.model, tensors, rounds=True)
