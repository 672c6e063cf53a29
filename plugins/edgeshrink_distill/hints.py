"""Hints: inner features of a student that follow its teacher's, and how far they are apart."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from edgeshrink.api import ModelError, near
from edgeshrink.nn import Hint, functional

TINY = 1e-12


@dataclass(frozen=True)
class Pair:
    """A feature of the student, and the one of the teacher that it follows.

    Attributes:
        ours: a tensor of the student's graph.
        theirs: of the teacher's.
    """

    ours: keras.KerasTensor
    theirs: keras.KerasTensor

    def __str__(self) -> str:
        """Return the layers that the two come from."""
        return f"{_name(self.ours)} → {_name(self.theirs)}"

    def distance(self, kind: str) -> keras.layers.Layer | None:
        """Return how far apart the two are, or None if this kind of hint cannot tell it."""
        ours, theirs = self._sizes
        if kind == "attention":  # a vector is strong nowhere in particular
            return AttentionDistance() if len(ours) == len(theirs) >= 2 else None
        if len(ours) == len(theirs) and (len(ours) == 3 or ours[:-1] == theirs[:-1]):
            return FeatureDistance(ours[-1], theirs[-1])
        return None

    def hint(self, kind: str, weight: float) -> Hint:
        """Return what is trained.

        Raises:
            ModelError: the two cannot be compared.
        """
        distance = self.distance(kind)
        if distance is None:
            ours, theirs = self._sizes
            raise ModelError(
                f"{self} cannot be a hint by {kind}: features of shape {ours} and {theirs}",
                hint="pair layers whose outputs are alike in all but the channels",
            )
        return Hint(str(self), self.ours, distance, weight)

    @property
    def _sizes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        return tuple(self.ours.shape[1:]), tuple(self.theirs.shape[1:])


class FeatureDistance(keras.layers.Layer):
    """The squared distance of features behind a regressor, over the teacher's mean square.

    Romero et al., ICLR 2015, "FitNets", equation 3, with a pointwise regressor, which needs few
    weights, and jointly with the answers instead of before them.

    Args:
        ours: channels of the student's feature.
        theirs: of the teacher's.
    """

    def __init__(self, ours: int, theirs: int) -> None:
        super().__init__()
        self.regressor = keras.layers.Dense(theirs)
        self.regressor.build((None, ours))
        self.built = True

    def call(self, pair: tuple[Any, Any]) -> Any:
        """Return the distance of a teacher's and a student's feature, of one batch."""
        theirs, ours = pair
        apart = _sized(theirs, ours) - self.regressor(ours)
        return ops.mean(ops.square(apart)) / (ops.mean(ops.square(theirs)) + TINY)


class AttentionDistance(keras.layers.Layer):
    """The squared distance of where features are strong.

    Zagoruyko and Komodakis, ICLR 2017, "Paying more attention to attention", section 3.1: maps of
    the sum of squares over channels, each of length one; the mean over samples of their squared
    distance. The paper's mean over places with a factor of 1,000 is, at 32 x 32, this.
    """

    def __init__(self) -> None:
        super().__init__()
        self.built = True

    def call(self, pair: tuple[Any, Any]) -> Any:
        """Return the distance of a teacher's and a student's feature, of one batch."""
        theirs, ours = pair
        maps = [self._map(feature) for feature in (_sized(theirs, ours), ours)]
        return ops.mean(ops.sum(ops.square(maps[0] - maps[1]), axis=-1))

    def _map(self, feature: Any) -> Any:
        strong = ops.sum(ops.square(feature), axis=-1)
        flat = ops.reshape(strong, (ops.shape(strong)[0], -1))
        return flat / (ops.norm(flat, axis=-1, keepdims=True) + TINY)


def pairs(
    student: keras.Model, teacher: keras.Model, wanted: Sequence[str], kind: str
) -> list[Pair]:
    """Return the features that hints are about.

    Args:
        student: of whose layers the first of `STUDENT:TEACHER` is.
        teacher: of whose layers the second is.
        wanted: pairs by name, or `auto`: of each size of feature that both have, the last.
        kind: of hint; `auto` takes only what it can compare.

    Raises:
        ModelError: there is no such layer, or no two features are of one size.
    """
    found: list[Pair] = []
    for text in wanted:
        if text == "auto":
            ours, theirs = _last_of_each_size(student), _last_of_each_size(teacher)
            alike = (Pair(ours[size], theirs[size]) for size in ours if size in theirs)
            found += [pair for pair in alike if pair.distance(kind) is not None]
        else:
            names = text.split(":")
            found.append(Pair(_output(student, names[0]), _output(teacher, names[1])))
    if wanted and not found:
        raise ModelError(
            f"no inner features of student and teacher are of one size for hints by {kind}",
            hint="name the layers: --distill-hints STUDENT:TEACHER",
        )
    return found


def _last_of_each_size(model: keras.Model) -> dict[tuple[Any, ...], keras.KerasTensor]:
    """Return the last feature of each size: vectors, sequences and images by their places."""
    answers, found = {tuple(t.shape) for t in model.outputs}, {}
    for tensor in _features(model):
        if len(tensor.shape) > 1 and tuple(tensor.shape) not in answers:
            found[tuple(tensor.shape[1:-1])] = tensor
    return found


def _output(model: keras.Model, name: str) -> keras.KerasTensor:
    """Return the output of a layer; of its last call, where there are several."""
    layers = {_name(tensor): tensor for tensor in _features(model)}
    if name not in layers:
        raise ModelError(f"{model.name} has no layer {name!r}", hint=near(name, layers))
    return layers[name]


def _features(model: keras.Model) -> Iterator[keras.KerasTensor]:
    """Yield what layers make within this graph, in order: some are part of other graphs too."""
    graph = functional(model)
    for depth in sorted(graph._nodes_by_depth, reverse=True):
        for node in graph._nodes_by_depth[depth]:
            yield from node.outputs if not node.is_input else ()


def _name(tensor: keras.KerasTensor) -> str:
    return str(tensor._keras_history.operation.name)


def _sized(theirs: Any, ours: Any) -> Any:
    """Return the teacher's feature in the size of the student's, where images differ in it."""
    if len(theirs.shape) != 4 or tuple(theirs.shape[1:3]) == tuple(ours.shape[1:3]):
        return theirs
    return ops.image.resize(theirs, tuple(ours.shape[1:3]), antialias=True)
