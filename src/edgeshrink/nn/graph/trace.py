"""The axes of weights that channels lie along, and which channels are tied to which others.

Every place along an axis of a weight has a number, and every tensor carries the numbers of its
channels. A layer that computes channel by channel hands the numbers on; one that needs two channels
to be the same thing ties their numbers. What cannot be followed is fenced off.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import keras
import numpy as np

Shape = tuple[int | None, ...]


class AxisRole(StrEnum):
    """What an axis of a weight does to the channels along it.

    Attributes:
        OUTPUTS: makes them, as the last axis of a dense layer's kernel does.
        OWN: acts on each of them alone, as the axis of a bias does.
        INPUTS: takes them in, as the first axis of a dense layer's kernel does.
    """

    OUTPUTS = "outputs"  # makes them
    OWN = "own"  # acts on each of them alone
    INPUTS = "inputs"  # takes them in


@dataclass(frozen=True, eq=False)
class WeightAxis:
    """An axis of a weight, each place of which belongs to a channel.

    Attributes:
        path: names of the nested models and the layer, joined with `/`.
        variable: the weight.
        axis: of the weight, counted from the front.
        role: what the layer does with the channels there.
        ids: the numbers of the channels, `(places,)`.
    """

    path: str
    variable: keras.Variable
    axis: int
    role: AxisRole
    ids: np.ndarray


@dataclass(frozen=True, eq=False)
class Value:
    """A tensor of one sample.

    Attributes:
        shape: without the batch; None where it is dynamic.
        ids: the number of the channel that each place belongs to, with as many axes as `shape`;
            1 long where all places along an axis are alike.
        rest: what is left in a place whose channel was removed, `ids.shape`; zero unless an
            operation makes something else out of zero.
    """

    shape: Shape
    ids: np.ndarray
    rest: np.ndarray

    def whole(self) -> tuple[np.ndarray, np.ndarray]:
        """Return `ids` and `rest` in full size, dynamic axes 1 long."""
        size = tuple(1 if d is None else d for d in self.shape)
        return np.broadcast_to(self.ids, size), np.broadcast_to(self.rest, size)

    def kept(self, removed: np.ndarray) -> Shape:
        """Return the shape without the removed channels.

        Args:
            removed: whether the channel of each number is, `(numbers,)`.
        """
        gone = removed[self.ids]
        return tuple(
            d if n == 1 else int((~gone).any(tuple(k for k in range(gone.ndim) if k != axis)).sum())
            for axis, (d, n) in enumerate(zip(self.shape, self.ids.shape, strict=True))
        )


@dataclass(frozen=True, eq=False)
class Call:
    """One use of a layer or operation.

    Attributes:
        path: names of the nested models and the operation, joined with `/`.
        op: what is called.
        args: of the call, a `Value` for each tensor.
        kwargs: likewise.
        shapes: of what it gives, without the batch.
        again: it was called elsewhere in the model before.
    """

    path: str
    op: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    shapes: tuple[Shape, ...]
    again: bool

    @property
    def values(self) -> list[Value]:
        """The tensors among the arguments."""
        return [v for v in keras.tree.flatten((self.args, self.kwargs)) if isinstance(v, Value)]


class Trace:
    """Numbers for all channels of a model, and what is known of them."""

    def __init__(self) -> None:
        self.numbers = 0
        self.axes: dict[tuple[int, int], WeightAxis] = {}
        self.ties: list[tuple[np.ndarray, np.ndarray]] = []
        self.fences: list[tuple[np.ndarray, str]] = []
        # path and what is done there, for words
        self.steps: list[tuple[str, str, np.ndarray]] = []
        # what a layer's input channels leave behind when they are removed, by the kernel they meet
        self.leftovers: dict[int, np.ndarray] = {}

    def fresh(self, count: int) -> np.ndarray:
        """Return numbers for so many new channels."""
        self.numbers += count
        return np.arange(self.numbers - count, self.numbers)

    def tie(self, some: np.ndarray, others: np.ndarray) -> None:
        """Say that channels are the same, pair by pair."""
        some, others = np.broadcast_arrays(some, others)
        self.ties.append((some.ravel(), others.ravel()))

    def fence(self, ids: np.ndarray, reason: str) -> None:
        """Say that channels must stay, and why."""
        if ids.size:
            self.fences.append((np.unique(ids), reason))

    def step(self, path: str, role: str, ids: np.ndarray) -> None:
        """Note for the words on a group that its channels pass here."""
        self.steps.append((path, role, ids.ravel()))

    def axis(
        self,
        call: Call,
        variable: keras.Variable,
        axis: int,
        role: AxisRole,
        ids: np.ndarray | None,
    ) -> np.ndarray:
        """Return the numbers along an axis of a weight.

        Args:
            call: the use of the layer.
            variable: the weight.
            axis: of the weight, may be negative.
            role: what the layer does with the channels there.
            ids: the channels that meet the axis; None makes new ones at first use.
        """
        key = id(variable), axis % len(variable.shape)
        if key not in self.axes:
            own = self.fresh(variable.shape[axis]) if ids is None else ids
            self.axes[key] = WeightAxis(call.path, variable, key[1], role, own)
            self.step(call.path, role, own)
        elif ids is not None:
            self.tie(self.axes[key].ids, ids)
        return self.axes[key].ids

    def value(self, shape: Shape, ids: np.ndarray, rest: np.ndarray) -> Value:
        """Return a tensor with these numbers in its places.

        Where a channel's places differ along two axes, as behind a reshape that parts the
        channels, all but the last of these axes are tied together: what is cut is then still a
        rectangle.
        """
        rest = np.broadcast_to(rest, ids.shape)
        varying = [axis for axis in range(ids.ndim) if _varies(ids, axis)]
        for axis in range(ids.ndim):
            first = ids.take([0], axis)
            if axis in varying[:-1]:
                self.tie(first, ids)
            if axis not in varying[-1:]:
                self._even(ids, rest, axis)
                ids, rest = first, rest.take([0], axis)
        return Value(shape, ids, rest)

    def _even(self, ids: np.ndarray, rest: np.ndarray, axis: int) -> None:
        """Fence off channels that leave different constants in different places."""
        odd = (rest != rest.take([0], axis)).any(axis)
        if odd.any():
            self.fence(ids.take(0, axis)[odd], "what they would leave differs from place to place")

    def made(self, shape: Shape, channels: np.ndarray, rest: Any = 0.0) -> Value:
        """Return a tensor with these numbers along its last axis."""
        spread = (1,) * (len(shape) - 1) + (channels.size,)
        filled = np.broadcast_to(np.asarray(rest, "float64"), channels.shape)
        return Value(shape, channels.reshape(spread), filled.reshape(spread))

    def channels(self, call: Call, value: Value) -> tuple[np.ndarray, np.ndarray]:
        """Return the numbers along a tensor's last axis, and what is left of removed ones.

        Where the channels lie along another axis, they are fenced off, and new ones returned.
        """
        count = value.shape[-1] or 1
        if value.ids.size == value.ids.shape[-1]:
            ids, rest = value.ids.reshape(-1), value.rest.reshape(-1)
            return np.broadcast_to(ids, count), np.broadcast_to(rest, count)
        self.fence(value.ids, f"{call.path} works along another axis")
        ids = self.fresh(count)
        self.fence(ids, f"{call.path} works along another axis")
        return ids, np.zeros(count)

    def opaque(self, call: Call, why: str | None = None) -> list[Value]:
        """Fence off all that meets a layer, and return outputs that are fenced off."""
        kind = type(call.op).__name__
        why = why or f"{call.path} ({kind}) is of a kind that channels are not followed through"
        for value in call.values:
            self.fence(value.ids, why)
        return [self.fixed(shape, why) for shape in call.shapes]

    def fixed(self, shape: Shape, why: str) -> Value:
        """Return a tensor whose channels must stay."""
        ids = self.fresh((shape[-1] or 1) if shape else 1)
        self.fence(ids, why)
        return self.made(shape, ids) if shape else Value((), ids.reshape(()), np.zeros(()))


def _varies(ids: np.ndarray, axis: int) -> bool:
    return ids.shape[axis] > 1 and bool((ids != ids.take([0], axis)).any())


@functools.lru_cache(maxsize=256)
def elementwise(function: Callable[[Any], Any]) -> bool:
    """Return whether a function of a tensor treats each value alone: measured, not looked up."""
    x = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    try:
        whole, part = np.asarray(function(x)), np.asarray(function(x[:, ::2]))
    except Exception:  # whatever a stranger's function raises: it wants more than values
        return False
    return whole.shape == x.shape and np.allclose(whole[:, ::2], part, atol=1e-6)


def at(function: Callable[[Any], Any], values: Sequence[float] | np.ndarray) -> np.ndarray:
    """Return an element-wise function's values, `(n,)` float64."""
    found: np.ndarray = np.asarray(function(np.asarray(values, "float32")[None]), "float64")[0]
    return found
