"""A model that Keras itself quantized, as the floats that its codes stand for."""

from __future__ import annotations

import math
import string
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from edgeshrink.errors import ModelError
from edgeshrink.nn.graph import settle

# Rows of weights that are read at once.
BLOCK = 1024
QUANTIZED_KERNELS = (keras.layers.Dense, keras.layers.EinsumDense)


def as_floats(
    model: keras.Model, objects: Mapping[str, Any] | None = None, *, unsafe: bool = False
) -> keras.Model:
    """Return a float model with the weights that a quantized one computes with.

    What `keras.Model.quantize` stores differs from mode to mode and from version to version. So
    each layer is asked: what it answers to a single one among zeros is a row of its kernel. What
    it rounds besides, its inputs, is not rounded in the result. In mode float8 Keras keeps the
    float weights, and they are taken.

    Args:
        model: any Keras model.
        objects: classes that are not Keras's, by name.
        unsafe: whether code inside the model (Lambda layers) may run.

    Returns:
        The model itself where none of its layers is quantized.

    Raises:
        ModelError: a layer is quantized that cannot be asked.
    """
    if not any(layer.quantization_mode for layer in model._flatten_layers()):
        return model
    plain: keras.Model = keras.saving.deserialize_keras_object(
        _unquantized(keras.saving.serialize_keras_object(model)),
        custom_objects=dict(objects or {}),
        safe_mode=not unsafe,
    )
    for coded, layer in zip(model._flatten_layers(), plain._flatten_layers(), strict=True):
        told = {variable.name: variable for variable in _own(coded)}
        for variable in _own(layer):
            if coded.quantization_mode and variable.name in ("kernel", "embeddings"):
                variable.assign(_weights(coded, tuple(variable.shape)))
            else:
                variable.assign(told[variable.name])
    settle(plain)
    return plain


def _own(layer: keras.Layer) -> list[keras.Variable]:
    """Return a layer's weights without those of the layers in it."""
    inner = {id(w) for one in layer._flatten_layers(include_self=False) for w in one.weights}
    return [weight for weight in layer.weights if id(weight) not in inner]


def _unquantized(value: Any) -> Any:
    """Return a configuration without what quantization put into it."""
    if isinstance(value, list):
        return [_unquantized(item) for item in value]
    if not isinstance(value, dict):
        return value
    inner = value.get("config")
    if isinstance(inner, dict) and {"mode", "source_name"} <= inner.keys():
        return inner["source_name"]
    added = ("quantization_config", "gptq_unpacked_column_size")
    return {key: _unquantized(item) for key, item in value.items() if key not in added}


def _weights(layer: keras.Layer, shape: tuple[int, ...]) -> np.ndarray:
    """Return the weights that a quantized layer computes with, of its float weights' shape."""
    if layer.quantization_mode == "float8":
        return np.asarray(keras.ops.convert_to_numpy(layer.kernel))
    if type(layer) is keras.layers.Embedding:
        rows = [layer(np.arange(*block)) for block in _blocks(shape[0])]
        return np.concatenate([keras.ops.convert_to_numpy(part) for part in rows])
    if type(layer) not in QUANTIZED_KERNELS:
        raise ModelError(
            f"a {type(layer).__name__} that Keras quantized cannot be read back ({layer.path}, "
            f"{layer.quantization_mode})",
            hint="give the model as it was before model.quantize",
        )
    equation = layer.equation if isinstance(layer, keras.layers.EinsumDense) else "...a,ab->...b"
    rank = layer.input_spec.ndim or layer.input_spec.min_ndim
    bias = None if layer.bias is None else keras.ops.convert_to_numpy(layer.bias)
    activation, layer.activation = layer.activation, None
    try:
        if bias is not None:
            layer.bias.assign(np.zeros_like(bias))
        return _kernel(layer, equation, shape, rank)
    finally:
        layer.activation = activation
        if bias is not None:
            layer.bias.assign(bias)


def _kernel(layer: Any, equation: str, shape: tuple[int, ...], rank: int) -> np.ndarray:
    """Return the kernel of a layer that computes an einsum, from its answers to unit inputs.

    Args:
        layer: computes `einsum(equation, inputs, kernel)`, and nothing else.
        equation: of two operands, such as `abc,cde->abde`.
        shape: of the kernel.
        rank: of the inputs.
    """
    given, kernel, made = equation.replace("->", ",").split(",")
    dots = "".join(sorted(set(string.ascii_letters) - set(equation))[: rank - len(given) + 3])
    given, made = given.replace("...", dots), made.replace("...", dots)
    summed = [letter for letter in kernel if letter not in made]
    free = [letter for letter in given if letter not in kernel]
    sizes = dict.fromkeys(free, 1) | dict(zip(kernel, shape, strict=True))
    depth, parts = math.prod(sizes[letter] for letter in summed), []
    for start, end in _blocks(depth):
        sizes[free[0]] = end - start
        units = np.eye(depth, dtype=np.float32)[start:end]
        axes = [free[0], *summed, *(set(given) - {free[0], *summed})]
        wide = units.reshape([sizes[a] if a == free[0] or a in summed else 1 for a in axes])
        inputs = np.broadcast_to(wide, [sizes[a] for a in axes])
        answer = layer(np.transpose(inputs, [axes.index(a) for a in given]))
        parts.append(keras.ops.convert_to_numpy(answer))
    rows = np.concatenate(parts, axis=made.index(free[0]))
    rest = [letter for letter in kernel if letter not in summed]
    order = [free[0], *rest, *free[1:]]
    rows = np.transpose(rows, [made.index(a) for a in order])
    whole = rows.reshape([sizes[a] for a in (*summed, *rest)])
    return np.transpose(whole, [(*summed, *rest).index(a) for a in kernel])


def _blocks(count: int) -> Iterator[tuple[int, int]]:
    for start in range(0, count, BLOCK):
        yield start, min(start + BLOCK, count)
