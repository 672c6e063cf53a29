"""What a layer's configuration names: number formats, which are its policies, and activations."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any


def policy_of(config: Mapping[str, Any]) -> str:
    """Return the name of a layer's policy; of one that Keras quantized, what it was before."""
    dtype = config.get("dtype") or "float32"
    if isinstance(dtype, dict):
        policy = dtype.get("config") or {}
        dtype = policy.get("name") or policy.get("source_name") or "float32"
    return str(dtype)


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
