"""What a model costs without some of its channels: reckoned from its graph, or measured."""

from __future__ import annotations

import math
from collections.abc import Callable

import keras
import numpy as np

from edgeshrink.api import Context
from edgeshrink.nn import ChannelGraph, Conversion, convert, narrowed

ShareLeft = Callable[[ChannelGraph, np.ndarray], float]


class Cost:
    """Channels, parameters and multiply-accumulates of a graph, for any choice of channels.

    The products between queries and keys of attention are left out, as are biases that a
    constant behind an activation may add; the rebuilt model is counted whole.
    """

    def __init__(self, graph: ChannelGraph) -> None:
        self.graph = graph
        self.free = (
            np.unique(np.concatenate([g.channels for g in graph.free]))
            if graph.free
            else np.zeros(0, int)
        )
        self.variables = list({id(v): v for v in graph.model.weights}.values())

    def of(self, target: str, removed: np.ndarray) -> int:
        """Return the cost without the removed channels.

        Args:
            target: `channels` (of those that may go), `parameters` or `macs`.
            removed: by number, `(numbers,)`.
        """
        if target == "channels":
            return int((~removed[self.free]).sum())
        total = 0
        for variable in self.variables:
            kept = [len(a.ids) - int(removed[a.ids].sum()) for a in self.graph.axes_of(variable)]
            whole = [len(a.ids) for a in self.graph.axes_of(variable)]
            size = math.prod(variable.shape) // math.prod(whole) * math.prod(kept)
            total += size * (1 if target == "parameters" else self.graph.uses.get(id(variable), 0))
        return total


def share_left(target: str, whole: ChannelGraph, context: Context) -> ShareLeft:
    """Return what tells the share of a model's cost that a removal leaves, 0..1.

    Milliseconds are measured in pairs, the whole model's file beside the narrower one's: what
    else the device does then weighs on both.

    Args:
        target: `channels`, `parameters`, `macs`, `bytes` or `ms`.
        whole: the graph of the whole model.
        context: to measure with.
    """
    if target in ("channels", "parameters", "macs"):
        cost = Cost(whole).of(target, np.zeros(whole.numbers, bool))
        return lambda graph, removed: Cost(graph).of(target, removed) / cost
    base = _file(whole.model, context)

    def measured(graph: ChannelGraph, removed: np.ndarray) -> float:
        context.progress(0.0, f"measuring {target} without {int(removed.sum())} channels")
        file = _file(narrowed(graph, removed), context)
        if target == "bytes":
            return len(file) / len(base)
        return context.measure(file).median_ms / context.measure(base).median_ms

    return measured


def _file(model: keras.Model, context: Context) -> bytes:
    return convert(model, {"float": Conversion()}, context.folder / "files", log=context.log)[
        "float"
    ]
