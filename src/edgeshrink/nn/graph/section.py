"""Which parts of a model can be left out: what they are given has the shape of what they give."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from edgeshrink.nn.graph.counts import count, macs_of
from edgeshrink.nn.graph.rewrite import functional

NORMS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
)
# Go with the layer before them: layers and operations by the name of their class.
FOLLOWERS = frozenset(
    {
        *("Activation", "ReLU", "LeakyReLU", "PReLU", "ELU"),
        *("Dropout", "SpatialDropout1D", "SpatialDropout2D"),
        *("Relu", "Relu6", "LeakyRelu", "Elu", "Selu", "Gelu"),
        *("Silu", "HardSilu", "Sigmoid", "HardSigmoid", "Tanh"),
    }
)
DEPTHWISE = (keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D)
CONVOLUTIONS = (keras.layers.Conv1D, keras.layers.Conv2D, keras.layers.Conv3D)
# Operations that are left out, by name, each with the place of the argument it hands on.
Passed = tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Section:
    """Part of a model that can be left out.

    Attributes:
        name: `residual branch of add_2: conv2d_6 … conv2d_7`, or the layers alone.
        passed: the operations that are left out, by name; each hands on the tensor of this place
            among its arguments instead.
        parameters: weights that are saved where nothing else is left out.
        macs: multiply-accumulates of one sample, likewise.
    """

    name: str
    passed: Passed
    parameters: int
    macs: int

    def __str__(self) -> str:
        """Return what would be left out, and how large it is."""
        return f"{self.name}, {self.parameters:,} parameters, {self.macs:,} MACs"


def sections(model: keras.Model) -> list[Section]:
    """Return what can be left out of a model, in the order of the graph.

    These are residual branches: one argument of an element-wise addition, where the other has the
    shape of the sum. Where that is the branch's own input the block becomes the identity; a
    shortcut with a projection stays. And these are layers whose output has the shape of their
    input, with the norm and activation behind them: convolutions, dense and recurrent layers, and
    depthwise convolutions together with the pointwise one behind. A layer that is used in several
    places is left out of all of them, where each allows it. What makes an output of the model, and
    what alone leads to one of its inputs, stays.

    Args:
        model: functional, without nested models, as `rewritten` makes it.

    Raises:
        ModelError: the model is a subclass of `keras.Model` without a graph of layers.
    """
    graph = _Graph(model)
    times = Counter([*graph.branches(), *graph.chains()])
    found = [
        graph.section(passed)
        for passed, count in times.items()
        if all(graph.uses[name] == count for name, _ in passed)
    ]
    return [section for section in found if section.parameters or section.macs]


class _Graph:
    """The calls of a model, and what leads to each tensor."""

    def __init__(self, model: keras.Model) -> None:
        by_depth = functional(model)._nodes_by_depth
        self.nodes = [n for depth in sorted(by_depth, reverse=True) for n in by_depth[depth]]
        self.inputs = {id(t) for t in model.inputs}
        self.outputs = {id(t) for t in model.outputs}
        self.parameters = {layer.path: layer.parameters for layer in count(model).layers}
        self.uses = Counter(node.operation.name for node in self.nodes)
        self.takers: dict[int, list[Any]] = defaultdict(list)
        self.before: dict[int, frozenset[int]] = {}  # tensors that lead to a tensor, itself too
        for node in self.nodes:
            known: frozenset[int] = frozenset().union(
                *(self.before[id(t)] for t in node.input_tensors)
            )
            for tensor in node.outputs:
                self.before[id(tensor)] = known | {id(tensor)}
            for tensor in node.input_tensors:
                self.takers[id(tensor)].append(node)

    def section(self, passed: Passed) -> Section:
        """Return a section with what it saves: all that then leads to no output any more."""
        places, wanted = dict(passed), set(self.outputs)
        gone = []
        for node in reversed(self.nodes):
            if wanted.isdisjoint(map(id, node.outputs)):
                gone.append(node)
            elif node.operation.name in places:
                wanted.add(id(node.input_tensors[places[node.operation.name]]))
                gone.append(node)
            else:
                wanted.update(map(id, node.input_tensors))
        times = Counter(node.operation.name for node in gone)
        whole = [name for name in times if times[name] == self.uses[name]]
        working = [node.operation.name for node in reversed(gone) if _macs(node)]
        layers = " … ".join(dict.fromkeys([*working[:1], *working[-1:]]))
        sums = [node.operation.name for node in gone if _is_sum(node)]
        branch = f"residual branch of {passed[0][0]}" if passed[0][0] in sums else ""
        return Section(
            ": ".join(filter(None, [branch, layers])),
            passed,
            sum(self.parameters.get(name, 0) for name in whole),
            sum(map(_macs, gone)),
        )

    def branches(self) -> Iterator[Passed]:
        """Yield the residual branches."""
        for node in self.nodes:
            if not _is_sum(node):
                continue
            places = [p for p in (0, 1) if self._shortcut(node, p)]
            if places:
                # what is kept costs less; where it is the input of the other, nothing
                yield ((node.operation.name, min(places, key=lambda p: self._own(node, p))),)

    def _shortcut(self, node: Any, place: int) -> bool:
        """Return whether an addition can hand on this argument alone."""
        kept, other = node.input_tensors[place], node.input_tensors[1 - place]
        inputs = self.before[id(other)] & self.inputs
        return (
            _alike(kept, node.outputs[0])
            and id(node.outputs[0]) not in self.outputs
            and id(other) not in self.before[id(kept)]
            and inputs <= self.before[id(kept)]
        )

    def _own(self, node: Any, place: int) -> int:
        """Return the MACs that lead to one argument of an addition, and not to the other."""
        kept, other = (self.before[id(node.input_tensors[p])] for p in (place, 1 - place))
        own = kept - other
        return sum(_macs(n) for n in self.nodes if id(n.outputs[0]) in own)

    def chains(self) -> Iterator[Passed]:
        """Yield the layers that keep a shape, with what goes with them."""
        inside: set[int] = set()
        for node in self.nodes:
            if id(node) in inside or not _works(node):
                continue
            chain = self._followed([node])
            behind = self._next(chain[-1])
            if isinstance(node.operation, DEPTHWISE) and behind and _is_pointwise(behind):
                chain = self._followed([*chain, behind])
                inside.add(id(behind))
            start, end = chain[0].input_tensors[0], chain[-1].outputs[0]
            if _alike(start, end) and None not in start.shape[1:] and id(end) not in self.outputs:
                yield tuple((part.operation.name, 0) for part in chain)

    def _followed(self, chain: list[Any]) -> list[Any]:
        """Return a chain with the norms and activations behind it."""
        behind = self._next(chain[-1])
        while behind is not None and _follows(behind):
            chain = [*chain, behind]
            behind = self._next(behind)
        return chain

    def _next(self, node: Any) -> Any | None:
        """Return the only call that takes what a call gives, where there is such a one."""
        takers = self.takers[id(node.outputs[0])]
        alone = len(takers) == 1 and id(node.outputs[0]) not in self.outputs
        return takers[0] if alone and _is_plain(takers[0]) else None


def _alike(one: Any, other: Any) -> bool:
    return tuple(one.shape) == tuple(other.shape) and one.dtype == other.dtype


def _macs(node: Any) -> int:
    shapes = [tuple(t.shape) for t in node.input_tensors]
    return macs_of(node.operation, shapes, tuple(node.outputs[0].shape))


def _is_plain(node: Any) -> bool:
    return len(node.input_tensors) == len(node.outputs) == 1


def _is_sum(node: Any) -> bool:
    return type(node.operation).__name__ == "Add" and len(node.input_tensors) == 2


def _works(node: Any) -> bool:
    """Return whether a call is of a layer with kernels."""
    op = node.operation
    return (
        isinstance(op, keras.layers.Layer)
        and _is_plain(node)
        and any("kernel" in variable.name for variable in op.weights)
    )


def _follows(node: Any) -> bool:
    return isinstance(node.operation, NORMS) or type(node.operation).__name__ in FOLLOWERS


def _is_pointwise(node: Any) -> bool:
    op = node.operation
    return isinstance(op, CONVOLUTIONS) and set(op.kernel_size) == {1}
