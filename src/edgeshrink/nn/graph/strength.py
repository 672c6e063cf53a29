"""How strong the channels of a graph are, by the weights that make them."""

from __future__ import annotations

import math

import numpy as np

from edgeshrink.nn.graph.channel_groups import ChannelGraph
from edgeshrink.nn.graph.trace import AxisRole, WeightAxis


def making_axes(graph: ChannelGraph) -> list[WeightAxis]:
    """Return the axes of kernels along which channels are made, in the order of the graph.

    Args:
        graph: of the model.
    """
    return [a for a in graph.axes if a.role is AxisRole.OUTPUTS and len(a.variable.shape) > 1]


def weight_slices(axis: WeightAxis) -> np.ndarray:
    """Return the weights of each place along an axis, `(places, weights)` float64.

    Args:
        axis: of a weight, whose values are those of now.
    """
    values = np.moveaxis(np.asarray(axis.variable, "float64"), axis.axis, 0)
    return values.reshape(len(values), -1)


def summed_by_channel(graph: ChannelGraph, axis: WeightAxis, worth: np.ndarray) -> np.ndarray:
    """Return for each channel the sum over its places along an axis, `(numbers,)` float64.

    Args:
        graph: of the model; channels that the axis does not have get 0.
        axis: one of its axes.
        worth: what is summed, a number for each place, `(places,)`.
    """
    return np.bincount(axis.ids, weights=worth, minlength=graph.numbers)


def channel_norms(graph: ChannelGraph) -> np.ndarray:
    """Return the Euclidean norm of the weights that make each channel, `(numbers,)` float64.

    He et al., IJCAI 2018, "Soft filter pruning", equation 2; of coupled channels together.

    Args:
        graph: of the model.
    """
    total = np.zeros(graph.numbers)
    for axis in making_axes(graph):
        total += summed_by_channel(graph, axis, (weight_slices(axis) ** 2).sum(1))
    return np.sqrt(total)


def strongest_channels(graph: ChannelGraph, share: float, strength: np.ndarray) -> np.ndarray:
    """Return which channels go if each group keeps this share of its strongest.

    Args:
        graph: of the model.
        share: that is kept, 0..1, rounded to the nearest number, at least one channel.
        strength: of each channel, `(numbers,)`.

    Returns:
        Whether the channel of each number goes, `(numbers,)` bool, as `narrowed` takes it.
    """
    gone = np.zeros(graph.numbers, bool)
    for group in graph.free:
        kept = min(len(group), max(1, math.floor(share * len(group) + 0.5)))
        order = group.channels[np.argsort(strength[group.channels], kind="stable")]
        gone[order[: len(group) - kept]] = True
    return gone
