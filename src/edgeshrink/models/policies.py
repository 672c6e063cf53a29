"""What a layer's configuration names: number formats, which are its policies, and activations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

# Policies of floats other than 32-bit ones; nothing that runs on devices computes in them.
OTHER_FLOATS = frozenset({"float16", "bfloat16", "float64", "mixed_float16", "mixed_bfloat16"})


def policy_of(config: Mapping[str, Any]) -> str:
    """Return the name of a layer's policy; of one that Keras quantized, what it was before."""
    dtype = config.get("dtype") or "float32"
    if isinstance(dtype, dict):
        policy = dtype.get("config") or {}
        dtype = policy.get("name") or policy.get("source_name") or "float32"
    return str(dtype)


def in_float32(value: Any) -> Any:
    """Return a configuration in which other floats than those of 32 bits are float32.

    Whatever has a `dtype` is changed: layers, inputs, operations such as casts; names of policies,
    policies, maps of them, what a quantized layer was before.

    Args:
        value: a configuration, or a part of one.
    """
    return _in_float32(value, inside=False)


def other_floats_in(value: Any) -> Iterator[str]:
    """Yield the policies that `in_float32` changes, in the order of a configuration."""
    yield from _other_floats_in(value, inside=False)


def _in_float32(value: Any, *, inside: bool) -> Any:
    """Return a part of a configuration; `inside` of what a `dtype` says, words are policies."""
    if isinstance(value, list):
        return [_in_float32(item, inside=inside) for item in value]
    if isinstance(value, dict):
        return {k: _in_float32(v, inside=inside or k == "dtype") for k, v in value.items()}
    if inside and isinstance(value, str):
        mode, quantized, source = value.rpartition("_from_")
        return f"{mode}{quantized}float32" if source in OTHER_FLOATS else value
    return value


def _other_floats_in(value: Any, *, inside: bool) -> Iterator[str]:
    if isinstance(value, list):
        for item in value:
            yield from _other_floats_in(item, inside=inside)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _other_floats_in(item, inside=inside or key == "dtype")
    elif inside and isinstance(value, str):
        source = value.rpartition("_from_")[2]
        if source in OTHER_FLOATS:
            yield source


def quantized_in(value: Any) -> Iterator[str]:
    """Yield the mode of each policy by which Keras quantized a layer, anywhere in a configuration.

    Such as `int8`; `int4/128` and `gptq/4/128` are told without their sizes.
    """
    if isinstance(value, list):
        for item in value:
            yield from quantized_in(item)
    elif isinstance(value, dict):
        if {"mode", "source_name"} <= value.keys():
            yield str(value["mode"]).partition("/")[0]
        for item in value.values():
            yield from quantized_in(item)


def activation_in(data: Mapping[str, Any]) -> str:
    """Return the activation that makes what a layer puts out; empty where it does not tell."""
    inner = data["config"]
    if data["class_name"] == "Softmax":
        return "softmax"
    if isinstance(inner.get("layer"), dict):  # a wrapper, as TimeDistributed is
        return activation_in(inner["layer"])
    if inner.get("layers"):  # a model, of which only a Sequential ends in its last layer
        return "" if "output_layers" in inner else activation_in(inner["layers"][-1])
    found = inner.get("activation")
    if isinstance(found, dict):
        found = found.get("config") if isinstance(found.get("config"), str) else found["class_name"]
    return str(found or "")
