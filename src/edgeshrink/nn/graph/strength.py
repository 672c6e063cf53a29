"""How strong the channels of a graph are, by the weights that make them."""

from __future__ import annotations

import math

import numpy as np

from edgeshrink.nn.graph.dependency import Graph
from edgeshrink.nn.graph.trace import Axis, Role


def makers(graph: Graph) -> list[Axis]:
    """Return the axes of kernels along which channels are made."""
    return [a for a in graph.axes if a.role is Role.OUTPUTS and len(a.variable.shape) > 1]


def slices(axis: Axis) -> np.ndarray:
    """Return the weights of each place along an axis, `(places, weights)` float64."""
    values = np.moveaxis(np.asarray(axis.variable, "float64"), axis.axis, 0)
    return values.reshape(len(values), -1)


def summed(graph: Graph, axis: Axis, worth: np.ndarray) -> np.ndarray:
    """Return the sum for each channel, `(numbers,)`, of what is said of each place of an axis."""
    return np.bincount(axis.ids, weights=worth, minlength=graph.numbers)


def norms(graph: Graph) -> np.ndarray:
    """Return the Euclidean norm of the weights that make each channel, `(numbers,)`.

    He et al., IJCAI 2018, "Soft filter pruning", equation 2; of coupled channels together.
    """
    total = np.zeros(graph.numbers)
    for axis in makers(graph):
        total += summed(graph, axis, (slices(axis) ** 2).sum(1))
    return np.sqrt(total)


def strongest(graph: Graph, share: float, strength: np.ndarray) -> np.ndarray:
    """Return which channels go if each group keeps this share of its strongest, `(numbers,)`.

    Args:
        graph: of the model.
        share: that is kept, rounded to the nearest number, at least one channel.
        strength: of each channel, `(numbers,)`.
    """
    gone = np.zeros(graph.numbers, bool)
    for group in graph.free:
        kept = min(len(group), max(1, math.floor(share * len(group) + 0.5)))
        order = group.channels[np.argsort(strength[group.channels], kind="stable")]
        gone[order[: len(group) - kept]] = True
    return gone
