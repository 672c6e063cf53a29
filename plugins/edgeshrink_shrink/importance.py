"""What each channel of a graph is worth, by the criteria of the literature."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from edgeshrink.api import Context, ModelError
from edgeshrink.nn.graph import Graph
from edgeshrink.nn.objective import Trainee
from edgeshrink.nn.trace import Axis, Role
from edgeshrink.nn.training import batches, objectives

SAMPLES, BATCH = 2048, 64

Criterion = Callable[[Graph, Context], np.ndarray]


def importance(graph: Graph, criterion: str, context: Context) -> np.ndarray:
    """Return what each channel is worth, `(numbers,)`, not negative; comparable across groups.

    Where weights are measured, groups are brought to the same mean square (Molchanov et al., ICLR
    2017, section 2.2); what the loss would change is comparable as it is.

    Raises:
        ModelError: the criterion finds nothing to measure in the model.
    """
    found = CRITERIA[criterion](graph, context)
    if criterion in ("taylor", "fisher", "bn", "random"):
        return found
    for group in graph.groups:
        size = np.sqrt(np.mean(found[group.channels] ** 2))
        if size > 0:
            found[group.channels] /= size
    return found


def _slices(axis: Axis) -> np.ndarray:
    """Return the weights of each place along an axis, `(places, weights)` float64."""
    values = np.moveaxis(np.asarray(axis.variable, "float64"), axis.axis, 0)
    return values.reshape(len(values), -1)


def _kernels(graph: Graph, role: Role) -> list[Axis]:
    return [a for a in graph.axes if a.role is role and len(a.variable.shape) > 1]


def _summed(graph: Graph, axis: Axis, worth: np.ndarray) -> np.ndarray:
    return np.bincount(axis.ids, weights=worth, minlength=graph.numbers)


def _l1(graph: Graph, _: Context) -> np.ndarray:
    """Sum of magnitudes of what makes a channel (Li et al., ICLR 2017, section 3.1)."""
    total = np.zeros(graph.numbers)
    for axis in _kernels(graph, Role.OUTPUTS):
        total += _summed(graph, axis, np.abs(_slices(axis)).sum(1))
    return total


def _l2(graph: Graph, _: Context) -> np.ndarray:
    """Euclidean norm of what makes a channel (He et al., IJCAI 2018, equation 2)."""
    total = np.zeros(graph.numbers)
    for axis in _kernels(graph, Role.OUTPUTS):
        total += _summed(graph, axis, (_slices(axis) ** 2).sum(1))
    return np.sqrt(total)


def _median(graph: Graph, _: Context) -> np.ndarray:
    """Sum of distances from all filters of the layer (He et al., CVPR 2019, equation 5)."""
    total = np.zeros(graph.numbers)
    for axis in _kernels(graph, Role.OUTPUTS):
        filters = _slices(axis)
        square = (filters**2).sum(1)
        apart = np.maximum(square[:, None] + square[None] - 2 * filters @ filters.T, 0)
        total += _summed(graph, axis, np.sqrt(apart).sum(1))
    return total


def _bn(graph: Graph, _: Context) -> np.ndarray:
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


def _random(graph: Graph, context: Context) -> np.ndarray:
    """Nothing: the baseline that every other criterion should beat."""
    return np.random.default_rng(context.seed).random(graph.numbers)


def _taylor(graph: Graph, context: Context) -> np.ndarray:
    """Mean square of the first-order change of the loss (Molchanov et al., CVPR 2019, equation 8).

    The gate stands where a channel is taken in: the sum of weight times gradient over all that
    is multiplied with a channel is the sum of activation times gradient (ICLR 2017, equation 8).
    """
    return _by_gradient(graph, context, lambda product: product.sum(1) ** 2)


def _fisher(graph: Graph, context: Context) -> np.ndarray:
    """Half of w² times the Fisher information's diagonal, over all that takes a channel in.

    LeCun et al., NIPS 1989 (optimal brain damage, equation 5), with squared gradients of batches
    for the Hessian's diagonal, as Theis et al., 2018, section 2.
    """
    return _by_gradient(graph, context, lambda product: 0.5 * (product**2).sum(1))


def _by_gradient(
    graph: Graph, context: Context, worth: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return the mean over batches of what a slice's products of weight and gradient are worth."""
    taking = _kernels(graph, Role.INPUTS)
    met = np.zeros(graph.numbers, bool)
    for axis in taking:
        met[axis.ids] = True
    # what nothing takes in with a kernel of its own, grouped convolutions' inputs, by what makes it
    axes = taking + [a for a in _kernels(graph, Role.OUTPUTS) if not met[a.ids].all()]
    total = np.zeros(graph.numbers)
    count = 0
    for gradients in _gradients(
        graph.model, list({id(a.variable): a.variable for a in axes}.values()), context
    ):
        count += 1
        for axis in axes:
            product = np.moveaxis(gradients[id(axis.variable)], axis.axis, 0)
            value = worth(product.reshape(len(product), -1))
            if axis.role is Role.OUTPUTS:
                value = np.where(met[axis.ids], 0.0, value)
            total += _summed(graph, axis, value)
    return total / count


def _gradients(model: keras.Model, variables: list[Any], context: Context) -> Any:
    """Yield for each batch the products of weights and gradients by the variable's id."""
    import tensorflow as tf

    losses, labels = objectives(model, context)
    taught = any(loss.soft is not None for loss in losses.values())
    trainee = Trainee(model, losses, context.original() if taught else None)

    @tf.function
    def products(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            loss = trainee.compute_loss(x, y, trainee(x, training=False))
        gradients = tape.gradient(loss, [v.value for v in variables])
        return [
            tf.zeros_like(v.value) if g is None else v.value * tf.convert_to_tensor(g)
            for v, g in zip(variables, gradients, strict=True)
        ]

    data = context.data
    assert data is not None
    assert data.train is not None
    size = min(BATCH, len(data.train))
    wanted = max(1, min(SAMPLES, len(data.train)) // size)
    for place, (x, y) in enumerate(batches(model, data, labels, size, context.seed).take(wanted)):
        context.progress(0.0, f"gradients of batch {place + 1} of {wanted}")
        found = [np.asarray(product, "float64") for product in products(x, y)]
        yield {id(v): product for v, product in zip(variables, found, strict=True)}


CRITERIA: dict[str, Criterion] = {
    "l1": _l1,
    "l2": _l2,
    "median": _median,
    "bn": _bn,
    "taylor": _taylor,
    "fisher": _fisher,
    "random": _random,
}
