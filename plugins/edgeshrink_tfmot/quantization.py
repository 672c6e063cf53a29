"""TFMOT's quantization-aware training, plain and collaborative, converted to .tflite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edgeshrink.api import Context, ModelError
from edgeshrink.nn import Conversion, output_names, shared_converter
from edgeshrink.tflite import constant_values, float_operators, read_model, too_steep
from edgeshrink_tfmot.toolkit import load, refusals
from edgeshrink_tfmot.training import train
from edgeshrink_tfmot.translation import Twin, translated


def quantize(model: keras.Model, scheme: str, context: Context) -> bytes:
    """Return the .tflite of the model after quantization-aware training.

    Args:
        model: trained further, in a copy.
        scheme: `qat`; or `pqat`, `cqat`, `pcqat`, which keep zeros, clusters, or both.
        context: data, settings and seed.

    Raises:
        ModelError: TFMOT or the translation refuses a layer, or no kernel has the ranges.
        ConversionError: the converter failed.
    """
    tfmot, _ = load()
    twin = translated(model, context.folder)
    with refusals(context.notes):
        annotated = tfmot.quantization.keras.quantize_annotate_model(twin.model)
        aware = tfmot.quantization.keras.quantize_apply(annotated, _scheme(scheme))
    train(twin, aware, context)
    context.progress(1.0, "converting")
    saved = _exported(twin, aware, context.folder / "saved_model")
    # the ranges are in the graph: with weights of 8 bits the converter makes it all of integers
    out = context.folder / "aware.part.tflite"
    shared_converter.convert(saved, Conversion("int8"), {}, out, context.log)
    made = out.read_bytes()
    out.unlink()
    if too_steep(made):
        raise ModelError(
            "a layer's weights are so large beside what it puts out that no kernel scales its sums "
            "so far",
            hint="--int8-qat gives such layers ranges that kernels have",
        )
    _tell(made, context)
    return made


class _ByLayer:
    """A scheme of TFMOT whose quantizers are not shared between layers.

    TFMOT's collaborative schemes share one quantizer between all dense layers and one between all
    convolutions; the first of them without zeros switches off the keeping of zeros in all others.
    """

    def __init__(self, scheme: Any) -> None:
        self._scheme = scheme

    def get_layout_transformer(self) -> Any:
        """Return what folds and reorders layers first."""
        return self._scheme.get_layout_transformer()

    def get_quantize_registry(self) -> Any:
        """Return what has a configuration for each layer: this."""
        return self

    def supports(self, layer: Any) -> bool:
        """Return whether TFMOT can quantize a layer."""
        return bool(self._scheme.get_quantize_registry().supports(layer))

    def get_quantize_config(self, layer: Any) -> Any:
        """Return how a layer is quantized."""
        return self._scheme.get_quantize_registry().get_quantize_config(layer)


def _scheme(name: str) -> Any:
    tfmot, _ = load()
    combined = tfmot.experimental.combine
    if name == "qat":
        return tfmot.quantization.keras.default_8bit.Default8BitQuantizeScheme()
    if name == "pqat":
        return _ByLayer(combined.Default8BitPrunePreserveQuantizeScheme())
    sparse = name == "pcqat"
    return _ByLayer(combined.Default8BitClusterPreserveQuantizeScheme(preserve_sparsity=sparse))


def _exported(twin: Twin, model: Any, folder: Path) -> Path:
    """Write a SavedModel with a static batch of one, inputs and outputs named as the original's."""
    names = output_names(twin.original)
    specs = [
        tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, name=tensor.name)
        for tensor in twin.original.inputs
    ]

    @tf.function(input_signature=specs)
    def serve(*tensors: Any) -> dict[str, Any]:
        outputs = keras.tree.flatten(model(list(tensors), training=False))
        return dict(zip(names, outputs, strict=True))

    # the variables alone: saved with it, each layer is traced once more, which fails where TFMOT
    # keeps a tensor of a trace, as for transposed convolutions
    holder = tf.Module()
    holder.kept = list(model.variables)
    tf.saved_model.save(holder, str(folder), signatures={"serving_default": serve})
    return folder


def _tell(made: bytes, context: Context) -> None:
    """Say which operators stayed in float, and how many codes each weight tensor has."""
    flat = read_model(made)
    left = [f"{operator.name}: {reason}" for operator, reason in float_operators(flat)]
    context.facts["quantization"] = "int8, static"
    context.facts["float_operators"] = left
    if left:
        context.notes.append(f"operators that stayed in float: {len(left)}, {'; '.join(left[:5])}")
    told = []
    for tensor in flat.weights:
        if tensor.dtype == "int8" and len(tensor.shape) > 1:
            codes = len(np.unique(constant_values(made, tensor)))
            told.append(f"{codes} with {len(tensor.scales)} scales")
    if told:
        context.notes.append(f"distinct codes of the weight tensors: {', '.join(told)}")
