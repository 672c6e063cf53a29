"""Write a model anew, layer by layer, with some of its layers changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from edgeshrink.errors import ModelError

# A function that takes the arguments of a layer and returns its outputs.
Call = Callable[..., Any]
# Given a layer or operation and the name kept free for it: what is called in its place, or None.
Change = Callable[[Any, str], Call | None]


def rewritten(model: keras.Model, change: Change) -> keras.Model:
    """Return a copy in which layers are replaced; the others keep their weights.

    Nested models are opened. What nothing leads to any more is left out: a change that returns
    one of its arguments drops the branch behind the other.

    Args:
        model: a functional or Sequential model.
        change: asked once for each layer and operation, with the name that is free for it (new
            layers are called so, or so with a suffix); returns what is called in its place, each
            time with the same arguments, or None for a copy as it is.

    Raises:
        ModelError: the model is a subclass of `keras.Model` without a graph of layers.

    Example:
        Without the activations of a model:

        >>> bare = rewritten(model, lambda op, name: plain if is_activation(op) else None)
    """
    graph = functional(model)
    calls: dict[int, Call] = {}
    names: set[str] = set()

    def call(op: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(op, keras.Model):
            return opened(op, args[0], call)
        if id(op) not in calls:
            name = unused(op.name, names)
            calls[id(op)] = change(op, name) or copied(op, name)
        return calls[id(op)](*args, **kwargs)

    inputs = keras.tree.map_structure(
        lambda t: keras.Input(batch_shape=t.shape, dtype=t.dtype, name=t.name), graph.input
    )
    return keras.Model(inputs, opened(graph, inputs, call), name=graph.name)


def copied(
    op: Any,
    name: str,
    config: Mapping[str, Any] | None = None,
    weights: Sequence[np.ndarray] | None = None,
) -> Call:
    """Return a function that calls a copy of a layer.

    Args:
        op: a layer; an operation that is no layer holds nothing, and is called itself.
        name: of the copy.
        config: fields of its configuration that differ.
        weights: of the copy, as `get_weights` orders them; None for those of the layer.
    """
    if not isinstance(op, keras.layers.Layer):
        return op  # type: ignore[no-any-return]
    layer = type(op).from_config({**op.get_config(), **(config or {}), "name": name})
    return with_weights(layer, op.get_weights() if weights is None else weights)


def with_weights(layer: keras.layers.Layer, weights: Sequence[np.ndarray]) -> Call:
    """Return a function that calls a layer, and gives it these weights once it is built.

    Args:
        layer: built or not.
        weights: in the order and the shapes of `layer.get_weights()`.
    """
    waiting = [list(weights)]

    def call(*args: Any, **kwargs: Any) -> Any:
        made = layer(*args, **kwargs)
        if waiting:
            layer.set_weights(waiting.pop())
            settle(layer)
            if not any(keras.utils.is_keras_tensor(t) for t in keras.tree.flatten(made)):
                made = layer(*args, **kwargs)  # values, not symbols: of the weights it came with
        return made

    return call


def settle(layer: keras.layers.Layer) -> None:
    """Let a layer or model whose weights were set compute with them.

    Normalization computes with constants that it derives from its weights when it is adapted or
    loaded, and only then.

    Args:
        layer: whose weights were set by `set_weights` or one by one.
    """
    for one in layer._flatten_layers():
        if isinstance(one, keras.layers.Normalization) and one.built:
            one.finalize_state()


def untrained(model: keras.Model) -> keras.Model:
    """Return a copy with new initial weights; what data were normalized by is kept.

    Args:
        model: functional, or Sequential and built.
    """
    fresh: keras.Model = keras.models.clone_model(model)
    for known, layer in zip(model._flatten_layers(), fresh._flatten_layers(), strict=True):
        if isinstance(known, keras.layers.Normalization):
            layer.set_weights(known.get_weights())
    settle(fresh)
    return fresh


def functional(model: keras.Model) -> keras.Model:
    """Return the graph of a model: itself, or the functional model inside a Sequential.

    Args:
        model: functional, or Sequential and built.

    Raises:
        ModelError: the model is a subclass of `keras.Model` without a graph of layers, or a
            Sequential whose input has no shape yet.
    """
    if isinstance(model, keras.Sequential):
        if model._functional is None:
            raise ModelError(
                f"{model.name} is a Sequential that is not built: the shape of its input is open",
                hint="begin it with keras.Input(shape), and save it again",
            )
        return model._functional
    if not hasattr(model, "_run_through_graph"):
        raise ModelError(
            f"{model.name} is a subclassed model: it has no graph of layers to work on",
            hint="build it with the functional API, and save it again",
        )
    return model


def opened(model: keras.Model, inputs: Any, call: Call) -> Any:
    """Return the symbolic outputs of a model's layers on `inputs`, each called through `call`.

    `keras.models.clone_model` is the public way, but cuts the graph off behind what is no input.

    Args:
        model: functional, or Sequential and built.
        inputs: symbolic tensors in the structure of the model's inputs.
        call: given a layer or operation and its arguments, returns what takes the place of its
            outputs.

    Returns:
        Symbolic tensors in the structure of the model's outputs.

    Raises:
        ModelError: the model is a subclass of `keras.Model` without a graph of layers.
    """
    return functional(model)._run_through_graph(inputs, call_fn=call)


def unused(name: str, names: set[str]) -> str:
    """Return a name that is not among `names` yet, and add it; nested models may use one twice."""
    place, chosen = 1, name
    while chosen in names:
        chosen, place = f"{name}_{place}", place + 1
    names.add(chosen)
    return chosen
