"""Which channels of a model are coupled: what goes together when a layer gets narrower.

The idea of dependency groups is that of Fang et al., CVPR 2023 ("DepGraph: towards any structural
pruning", section 3); here they are found by following the numbers of channels through a Keras
graph, place by place, so that reshapes, splits and concatenations need no rules of their own.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np

from edgeshrink.nn.graph.counts import uses_of
from edgeshrink.nn.graph.layer_rules import follow
from edgeshrink.nn.graph.operation_rules import OPERATIONS
from edgeshrink.nn.graph.rewrite import functional
from edgeshrink.nn.graph.trace import AxisRole, Call, Trace, Value, WeightAxis


@dataclass(frozen=True, eq=False)
class ChannelGroup:
    """Channels that meet the same weights, each of which can go without the others.

    Attributes:
        channels: their numbers, as `ids` of the axes give them, `(channels,)` int.
        axes: of the weights that they meet, in the order of the graph.
        fence: why none of them may go, or None.
        words: where they come from and where they go.
    """

    channels: np.ndarray
    axes: tuple[WeightAxis, ...]
    fence: str | None
    words: str

    def __len__(self) -> int:
        """How many channels there are."""
        return len(self.channels)

    def __str__(self) -> str:
        """Return `conv1 outputs → bn1 → add_3 ← conv5 outputs → dense inputs`."""
        return self.words

    @property
    def width(self) -> int:
        """How many places of a producing axis one channel fills, at most; 1 as a rule."""
        made = [a for a in self.axes if a.role is AxisRole.OUTPUTS] or self.axes
        return max(int(np.isin(a.ids, self.channels).sum()) // len(self) for a in made)


@dataclass(frozen=True, eq=False)
class ChannelGraph:
    """The channels of a model.

    Attributes:
        model: that was followed.
        groups: of channels, in the order of the graph.
        axes: all axes of weights that channels lie along; their ids number coupled channels alike.
        numbers: how many different channels there are, those that must stay included.
        uses: how often one sample multiplies each value of a kernel, by the variable's `id`.
        leftovers: what a removed input channel leaves, `(inputs,)`, by the kernel's `id`.
        calls: the last call of each operation and the tensors that it gives, by the operation's
            `id`.
    """

    model: keras.Model
    groups: tuple[ChannelGroup, ...]
    axes: tuple[WeightAxis, ...]
    numbers: int
    uses: dict[int, int]
    leftovers: dict[int, np.ndarray]
    calls: Mapping[int, tuple[Call, Sequence[Value]]]

    @property
    def free(self) -> tuple[ChannelGroup, ...]:
        """The groups whose channels may go."""
        return tuple(group for group in self.groups if group.fence is None)

    def axes_of(self, variable: keras.Variable) -> list[WeightAxis]:
        """Return the axes of a weight that channels lie along; none if it has no such axes.

        Args:
            variable: a weight of the model.
        """
        return self._by_variable.get(id(variable), [])

    @functools.cached_property
    def _by_variable(self) -> dict[int, list[WeightAxis]]:
        found: dict[int, list[WeightAxis]] = {}
        for axis in self.axes:
            found.setdefault(id(axis.variable), []).append(axis)
        return found


def channel_graph(model: keras.Model) -> ChannelGraph:
    """Follow the channels of a model from its inputs to its outputs.

    Args:
        model: functional or Sequential; nested models and shared layers included.

    Raises:
        ModelError: it is a subclass of `keras.Model` without a graph of layers.
    """
    walk, opened = _Walk(), functional(model)
    inputs = [walk.trace.fixed(tuple(t.shape[1:]), "inputs of the model") for t in opened.inputs]
    for value in walk.run(opened, inputs, ""):
        walk.trace.step("the model", "outputs", value.ids)
        walk.trace.fence(value.ids, "outputs of the model")
    return walk.graph(model)


class _Walk:
    """One pass over a model."""

    def __init__(self) -> None:
        self.trace = Trace()
        self.uses: dict[int, int] = {}
        self.calls: dict[int, tuple[Call, Sequence[Value]]] = {}
        self.seen: set[int] = set()

    def run(self, graph: keras.Model, inputs: Sequence[Value], prefix: str) -> list[Value]:
        """Follow the calls of a model; return what it puts out."""
        known: dict[int, Any] = {
            id(t): value for t, value in zip(graph.inputs, inputs, strict=True)
        }
        for node in _nodes(graph):
            op = node.operation
            args, kwargs = node.arguments.fill_in(known)
            shapes = tuple(tuple(t.shape[1:]) for t in node.outputs)
            call = Call(f"{prefix}{op.name}", op, args, kwargs, shapes, id(op) in self.seen)
            if isinstance(op, keras.Model):
                given: Sequence[Value] = self.run(functional(op), call.values, f"{call.path}/")
            else:
                given = self.followed(call)
                self.count(op, node)
            self.seen.add(id(op))
            known.update({id(t): v for t, v in zip(node.outputs, given, strict=True)})
        return [known[id(t)] for t in graph.outputs]

    def followed(self, call: Call) -> Sequence[Value]:
        """Return what a call of a layer or operation gives."""
        kind = type(call.op)
        if kind.__module__.startswith("keras.src.ops.") and kind.__name__ in OPERATIONS:
            given = OPERATIONS[kind.__name__](self.trace, call)
        else:
            given = follow(self.trace, call)
        self.calls[id(call.op)] = call, given
        return given

    def count(self, op: Any, node: Any) -> None:
        """Count how often kernels are used."""
        if isinstance(op, keras.layers.Layer):
            inputs = [tuple(t.shape) for t in node.input_tensors]
            for kernel, times in uses_of(op, inputs, tuple(node.outputs[0].shape)):
                self.uses[id(kernel)] = self.uses.get(id(kernel), 0) + times

    def graph(self, model: keras.Model) -> ChannelGraph:
        """Return what was found, with one number for channels that are tied."""
        from scipy.sparse import coo_matrix
        from scipy.sparse.csgraph import connected_components

        trace = self.trace
        some, others = (
            np.concatenate([np.zeros(0, int), *(tie[side] for tie in trace.ties)])
            for side in (0, 1)
        )
        size = (trace.numbers, trace.numbers)
        links = coo_matrix((np.ones(len(some), bool), (some, others)), shape=size)
        numbers, labels = connected_components(links, directed=False)

        def relabelled(value: Value) -> Value:
            return Value(value.shape, labels[value.ids], value.rest)

        calls = {
            key: (_mapped(call, relabelled), [relabelled(v) for v in given])
            for key, (call, given) in self.calls.items()
        }
        axes = tuple(
            WeightAxis(a.path, a.variable, a.axis, a.role, labels[a.ids])
            for a in trace.axes.values()
        )
        fences: dict[int, str] = {}
        # that it meets the model's inputs or outputs says more of a channel than the layer there
        for ids, reason in sorted(trace.fences, key=lambda fence: "of the model" not in fence[1]):
            for label in np.unique(labels[ids]):
                fences.setdefault(int(label), reason)
        steps = [(path, role, np.unique(labels[ids])) for path, role, ids in trace.steps]
        groups = tuple(_groups(axes, fences, steps, numbers))
        return ChannelGraph(model, groups, axes, numbers, self.uses, trace.leftovers, calls)


def _mapped(call: Call, function: Any) -> Call:
    args, kwargs = keras.tree.map_structure(
        lambda a: function(a) if isinstance(a, Value) else a, (call.args, call.kwargs)
    )
    return Call(call.path, call.op, args, kwargs, call.shapes, call.again)


def _nodes(graph: keras.Model) -> Iterator[Any]:
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        yield from (node for node in graph._nodes_by_depth[depth] if not node.is_input)


def _groups(
    axes: Sequence[WeightAxis],
    fences: dict[int, str],
    steps: Sequence[tuple[str, str, np.ndarray]],
    numbers: int,
) -> Iterator[ChannelGroup]:
    """Yield channels by what they meet, in the order in which the graph first meets them."""
    meets: list[list[int]] = [[] for _ in range(numbers)]
    for place, axis in enumerate(axes):
        for label in np.unique(axis.ids):
            meets[label].append(place)
    found: dict[tuple[tuple[int, ...], str | None], list[int]] = {}
    for label, places in enumerate(meets):
        if places:
            found.setdefault((tuple(places), fences.get(label)), []).append(label)
    passing: dict[int, list[tuple[str, str]]] = {labels[0]: [] for labels in found.values()}
    for path, role, ids in steps:
        for label in passing.keys() & set(ids.tolist()):
            passing[label].append((path, role))
    for (met, fence), labels in sorted(found.items(), key=lambda item: item[0][0]):
        passed = passing[labels[0]]
        yield ChannelGroup(
            np.array(labels), tuple(axes[place] for place in met), fence, _words(passed)
        )


def _words(steps: Sequence[tuple[str, str]]) -> str:
    """Return steps as a chain; streams that come in later stand behind the layer they meet at."""
    roles: dict[str, list[str]] = {}
    for path, role in steps:
        roles.setdefault(path, []).append(role)
    text = ""
    waiting: list[str] = []
    for path, known in roles.items():
        made = AxisRole.OUTPUTS in known and path != "the model"
        kind = next((r for r in ("outputs", "inputs") if r in known), "")
        name = f"{path} {kind}".strip()
        if not text:
            text = name
        elif made or (waiting and "merge" not in known):
            waiting.append(name)
        else:
            text = " ← ".join([f"{text} → {name}", *reversed(waiting)])
            waiting = []
    return " ← ".join([text, *reversed(waiting)])
