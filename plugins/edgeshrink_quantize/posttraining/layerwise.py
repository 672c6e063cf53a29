"""Layer by layer: each sees the inputs that the rounded layers in front of it make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np

from edgeshrink.api import Context
from edgeshrink.nn import (
    LINEAR_LAYERS,
    Grid,
    calibrated_ranges,
    functional,
    opened,
    quantized_weights,
    shared_values,
    structured,
    twin,
)

MEMORY = 1 << 30  # bytes of activations that are held at once
Work = Callable[[Any, Any, Any, Any], None]


def rounded_kernels(
    model: keras.Model, bits: int, granularity: str
) -> dict[str, tuple[keras.Variable, tuple[int, ...]]]:
    """Return the kernels that are rounded, and the axes of their grids, by path.

    Kernels with shared values have the grids of `nn.learning.weight_sharing`.
    """
    sharing = {path: held[0].axes for path, held in shared_values(model).items()}
    return {
        path: (variable, sharing.get(path, axes) if granularity == "channel" else ())
        for path, (variable, axes) in quantized_weights(model).items()
    }


def walk(
    plain: keras.Model,
    changed: keras.Model,
    samples: Mapping[str, np.ndarray],
    activations: int,
    context: Context,
    work: Work,
) -> None:
    """Run a model and its rounded copy, and change the copy's layers on the way.

    Args:
        plain: the folded float model.
        changed: a copy of it, whose weights `work` sets.
        samples: `(samples, ...)` for each input; as many are used as memory holds.
        activations: bits of an activation; 32 leaves them in float.
        context: told how far it is.
        work: called with a float layer, its copy, the float layer's inputs and the inputs that
            the copy gets behind the layers changed so far; once for each layer with a kernel.
    """
    samples = _fitting(plain, samples)
    ends = {} if activations == 32 else calibrated_ranges(plain, samples)
    seen, _ = twin(changed, {}, ends, bits=activations, ends="fixed")
    originals = {layer.name: layer for layer in functional(plain).layers}
    given: dict[str, Any] = {}

    def recorded(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, LINEAR_LAYERS):
            given.setdefault(layer.name, args[0])
        return layer(*args, **kwargs)

    def worked(layer: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(layer, LINEAR_LAYERS) and layer.name in given:
            context.progress(1 - len(given) / count, f"correcting {layer.name}")
            work(originals[layer.name], layer, given.pop(layer.name), args[0])
        return layer(*args, **kwargs)

    _run(plain, samples, recorded)
    count = len(given)
    _run(seen.model, samples, worked)


def assign_rounded(layer: Any, bits: int, kernels: Mapping[str, Any]) -> None:
    """Round the kernels of a layer to the nearest points of their grids."""
    for variable in layer.trainable_variables:
        if variable.path in kernels:
            variable.assign(Grid(bits, kernels[variable.path][1])(variable.value))


def _run(model: keras.Model, samples: Mapping[str, np.ndarray], call: Any) -> None:
    graph = functional(model)
    tensors = keras.tree.map_structure(
        keras.ops.convert_to_tensor, {t.name: samples[t.name] for t in graph.inputs}
    )
    opened(graph, structured(graph, tensors), call)


def _fitting(model: keras.Model, samples: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Return as many of the samples as two models' activations fit into memory for."""
    tensors = [
        t for nodes in functional(model)._nodes_by_depth.values() for n in nodes for t in n.outputs
    ]
    each = 3 * sum(4 * int(np.prod([d or 1 for d in t.shape[1:]])) for t in tensors)
    most = max(1, MEMORY // max(each, 1))
    return {name: values[:most] for name, values in samples.items()}
