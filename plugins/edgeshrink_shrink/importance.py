"""What each channel of a graph is worth, by the criteria of the literature."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgeshrink.api import Context, ModelError
from edgeshrink.nn import ChannelGraph, channel_norms, making_axes, summed_by_channel, weight_slices
from edgeshrink_shrink.masks import changes_of_loss

Criterion = Callable[[ChannelGraph, Context], np.ndarray]


def importance(graph: ChannelGraph, criterion: str, context: Context) -> np.ndarray:
    """Return what each channel is worth, `(numbers,)`, not negative; comparable across groups.

    Where norms are measured, or magnitudes of changes, groups are brought to one scale, as
    Molchanov et al., ICLR 2017, section 2.2, do; not by their Euclidean norm as there, but by the
    root of their mean square, since a channel is worth no less for being one of many. Scales of
    batch norms and the Fisher criterion are comparable as they are.

    Raises:
        ModelError: the criterion finds nothing to measure in the model.
    """
    found = CRITERIA[criterion](graph, context)
    if criterion in ("fisher", "bn", "random"):
        return found
    for group in graph.groups:
        size = np.sqrt(np.mean(found[group.channels] ** 2))
        if size > 0:
            found[group.channels] /= size
    return found


def _l1(graph: ChannelGraph, _: Context) -> np.ndarray:
    """Sum of magnitudes of what makes a channel (Li et al., ICLR 2017, section 3.1)."""
    total = np.zeros(graph.numbers)
    for axis in making_axes(graph):
        total += summed_by_channel(graph, axis, np.abs(weight_slices(axis)).sum(1))
    return total


def _l2(graph: ChannelGraph, _: Context) -> np.ndarray:
    """Euclidean norm of what makes a channel (He et al., IJCAI 2018, equation 2)."""
    return channel_norms(graph)


def _median(graph: ChannelGraph, _: Context) -> np.ndarray:
    """Sum of distances from all filters of the layer (He et al., CVPR 2019, equation 5)."""
    total = np.zeros(graph.numbers)
    for axis in making_axes(graph):
        filters = weight_slices(axis)
        square = (filters**2).sum(1)
        apart = np.maximum(square[:, None] + square[None] - 2 * filters @ filters.T, 0)
        total += summed_by_channel(graph, axis, np.sqrt(apart).sum(1))
    return total


def _bn(graph: ChannelGraph, _: Context) -> np.ndarray:
    """Magnitude of the batch-norm scale (Liu et al., ICCV 2017, section 3); the greatest counts.

    Channels without a batch norm stay.
    """
    scales = [a for a in graph.axes if a.variable.path.rsplit("/", 1)[-1] == "gamma"]
    total = np.full(graph.numbers, -1.0)
    for axis in scales:
        np.maximum.at(total, axis.ids, np.abs(np.asarray(axis.variable, "float64")))
    if (total < 0).all():
        raise ModelError(
            "the criterion bn looks at scales of batch norms, and the model has none",
            hint="--shrink-criterion taylor with data, or l2",
        )
    return np.where(total < 0, np.inf, total)


def _random(graph: ChannelGraph, context: Context) -> np.ndarray:
    """Nothing: the baseline that every other criterion should beat."""
    return np.random.default_rng(context.seed).random(graph.numbers)


def _taylor(graph: ChannelGraph, context: Context) -> np.ndarray:
    """Mean over samples of the first-order change of the loss, its magnitude.

    Molchanov et al., ICLR 2017, equation 8; within a sample summed over all places, members and
    layers that take the channel in, where the paper, with one layer, has the mean over places.
    """
    return np.mean([np.abs(c).mean(0) for c in changes_of_loss(graph, context)], axis=0)


def _fisher(graph: ChannelGraph, context: Context) -> np.ndarray:
    """Half the mean over samples of the squared first-order change of the loss.

    That is the second-order change, in units of the loss, by the Fisher information's diagonal
    (Theis et al., 2018, section 2): optimal brain damage (LeCun et al., NIPS 1989, equation 5) for
    whole channels. What is coupled is summed before it is squared (Liu et al., "Group Fisher
    pruning for practical network compression", ICML 2021).
    """
    return 0.5 * np.mean([(c**2).mean(0) for c in changes_of_loss(graph, context)], axis=0)


CRITERIA: dict[str, Criterion] = {
    "l1": _l1,
    "l2": _l2,
    "median": _median,
    "bn": _bn,
    "taylor": _taylor,
    "fisher": _fisher,
    "random": _random,
}
