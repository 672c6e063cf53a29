"""What fewer channels of one layer, or of layers that share them, make of a model."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import keras
import numpy as np

from edgeshrink.api import Changed, LayerChange
from edgeshrink.nn import AxisRole, ChannelGraph, ChannelGroup, channel_norms, zeroed_weights
from edgeshrink_shrink.cost import Cost
from edgeshrink_shrink.options import ShrinkOptions
from edgeshrink_shrink.shrinking import followed

FLOAT_BYTES = 4


def layer_changes(model: keras.Model) -> list[LayerChange]:
    """Return the layers whose channels can go, each alone and without training.

    Layers that share channels are one. The channels of the least norm are made zero: so the model
    answers as it would without them.

    Args:
        model: functional or Sequential; left as it was.

    Raises:
        ModelError: in this one no channel can go.
    """
    graph = followed(model)
    worth = channel_norms(graph)
    coupled: dict[str, list[ChannelGroup]] = {}
    for group in graph.free:
        coupled.setdefault("+".join(makers(group)), []).append(group)
    return [
        LayerChange(name, partial(_without, graph, worth, groups))
        for name, groups in coupled.items()
    ]


def makers(group: ChannelGroup) -> list[str]:
    """Return the names of the layers that make the channels of a group, in their order."""
    made = [axis for axis in group.axes if axis.role is AxisRole.OUTPUTS]
    others = [axis for axis in group.axes if axis.role is not AxisRole.INPUTS]
    return list(dict.fromkeys(axis.path.rpartition("/")[2] for axis in made or others))


def _without(
    graph: ChannelGraph, worth: np.ndarray, groups: Sequence[ChannelGroup], share: float
) -> Changed | None:
    removed = np.zeros(graph.numbers, bool)
    for group in groups:
        gone = round(share * len(group))
        if len(group) - gone < ShrinkOptions.min_width:
            return None
        order = group.channels[np.argsort(worth[group.channels], kind="stable")]
        removed[order[:gone]] = True
    if not removed.any():
        return None
    cost, nothing = Cost(graph), np.zeros(graph.numbers, bool)
    parameters, macs = (
        cost.of(target, nothing) - cost.of(target, removed) for target in ("parameters", "macs")
    )
    return Changed(graph.model, zeroed_weights(graph, removed), FLOAT_BYTES * parameters, macs)
