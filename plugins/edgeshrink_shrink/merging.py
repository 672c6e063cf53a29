"""Merge neurons that compute nearly alike: one stays, and what takes it in makes good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import keras
import numpy as np

from edgeshrink.api import Asked, Context
from edgeshrink.nn import AxisRole, ChannelGroup, WeightAxis, count, narrowed
from edgeshrink_shrink.shrinking import followed, told

if TYPE_CHECKING:
    from edgeshrink_shrink.options import MergeOptions


def merge(model: keras.Model, options: MergeOptions, context: Context) -> keras.Model:
    """Return a narrower model (Srinivas and Babu, BMVC 2015, sections 3.1 and 3.2).

    Of two neurons with equal weights one can go without any change, if what takes it in is added
    to what takes in the other. Pairs go by their saliency ⟨a_j²⟩ ‖W_i − W_j‖² (equation 5), with
    everything that makes a channel for W, batch norms folded in, and all that takes it in for a.

    Raises:
        ModelError: nothing can go.
    """
    graph, before = followed(model), count(model)
    removed = np.zeros(graph.numbers, bool)
    added = epsilons(model)
    for place, group in enumerate(graph.free):
        context.progress(place / len(graph.free), f"pairs of {group}")
        number = min(round(options.ratio * len(group)), len(group) - options.min_width)
        for kept, merged in pairs(group, max(0, number), added):
            removed[group.channels[merged]] = True
            _moved(group, kept, merged)
    free, gone = sum(len(group) for group in graph.free), int(removed.sum())
    Asked(
        "merge_neurons",
        options.ratio,
        "neurons and filters",
        gone / free,
        verb="merged",
        finest=max(1, len(graph.free) / 2) / free,  # each group is rounded on its own
        why=f"no group gets narrower than --merge-neurons-min-width {options.min_width}",
    ).tell(context)
    small = narrowed(graph, removed)
    what = f"{gone:,} of {free:,} neurons and filters, for which similar ones stand in"
    told(context, graph, before, small, what)
    return small


def pairs(group: ChannelGroup, number: int, added: Mapping[str, float]) -> list[tuple[int, int]]:
    """Return the pairs (kept, merged) of a group, by their places in it, least saliency first.

    Args:
        group: of channels.
        number: of pairs.
        added: to variances, from `epsilons`.
    """
    made, taken = _incoming(group, added), _outgoing(group)
    square = (made**2).sum(1)
    apart = np.maximum(square[:, None] + square[None] - 2 * made @ made.T, 0)
    energy = (taken**2).sum(1)
    alive = np.ones(len(group), bool)
    np.fill_diagonal(apart, np.inf)
    found = []
    for _ in range(number):
        saliency = np.where(alive[:, None] & alive[None], apart * energy[None], np.inf)
        kept, merged = np.unravel_index(int(saliency.argmin()), saliency.shape)
        found.append((int(kept), int(merged)))
        alive[merged] = False
        taken[kept] += taken[merged]
        energy[kept] = (taken[kept] ** 2).sum()
    return found


def _places(axis: WeightAxis, group: ChannelGroup) -> np.ndarray:
    """Return where along an axis each channel of a group lies, `(channels, places)`."""
    order = np.argsort(axis.ids, kind="stable")
    first = np.searchsorted(axis.ids[order], group.channels)
    width = int((axis.ids == group.channels[0]).sum())
    return order[first[:, None] + np.arange(width)]


def _along(axis: WeightAxis, group: ChannelGroup) -> np.ndarray:
    values = np.moveaxis(np.asarray(axis.variable, "float64"), axis.axis, 0)
    return values[_places(axis, group)].reshape(len(group), -1)


def epsilons(model: keras.Model) -> dict[str, float]:
    """Return what batch norms add to a variance, by the path of `moving_variance`."""
    layers = model._flatten_layers(include_self=False)
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    return {norm.moving_variance.path: norm.epsilon for norm in norms}


def _incoming(group: ChannelGroup, added: Mapping[str, float]) -> np.ndarray:
    """Return all that makes each channel, `(channels, weights)`, batch norms folded in."""
    norms: dict[str, dict[str, np.ndarray]] = {}
    makers, shifts = [], []
    for axis in group.axes:
        if axis.role is AxisRole.INPUTS:
            continue
        path, _, name = axis.variable.path.rpartition("/")
        if name in ("gamma", "beta", "moving_mean", "moving_variance"):
            norms.setdefault(path, {})[name] = _along(axis, group)
        else:
            makers.append(_along(axis, group))
    scale = np.ones((len(group), 1))
    for path, norm in norms.items():
        own = norm.get("gamma", 1.0) / np.sqrt(
            norm["moving_variance"] + added[f"{path}/moving_variance"]
        )
        shifts.append(norm.get("beta", 0.0) - norm["moving_mean"] * own)
        scale = scale * own
    return np.concatenate([*(scale * made for made in makers), *shifts], axis=1)


def _outgoing(group: ChannelGroup) -> np.ndarray:
    """Return all that takes each channel in, `(channels, weights)`."""
    taking = [_along(axis, group) for axis in group.axes if axis.role is AxisRole.INPUTS]
    return np.concatenate(taking, axis=1) if taking else np.zeros((len(group), 1))


def _moved(group: ChannelGroup, kept: int, merged: int) -> None:
    """Add what takes one channel in to what takes in another, and leave zero behind."""
    for axis in group.axes:
        if axis.role is AxisRole.INPUTS:
            values, places = np.array(axis.variable), _places(axis, group)
            along = np.moveaxis(values, axis.axis, 0)
            along[places[kept]] += along[places[merged]]
            along[places[merged]] = 0
            axis.variable.assign(values)
