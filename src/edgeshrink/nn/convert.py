"""Keras model to .tflite: exported here, converted in the warm child process."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edgeshrink.errors import ConversionError
from edgeshrink.nn import converter
from edgeshrink.nn.converter import Conversion


def export(model: keras.Model, folder: Path) -> Path:
    """Write a SavedModel with a static batch of one, its inputs' and outputs' names kept.

    A dynamic batch leaves shape arithmetic in the graph that splits the XNNPACK delegate, and
    recurrent layers do not convert with one.

    Raises:
        ConversionError: a dimension beside the batch is dynamic.
    """
    import tensorflow as tf

    specs = []
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            raise ConversionError(
                f"input {tensor.name!r} has dynamic dimensions {tuple(tensor.shape)}",
                hint=f"fix them: --input-shape {tensor.name}=1,224,224,3",
            )
        specs.append(tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, name=tensor.name))
    names = output_names(model)

    def serve(*tensors: Any) -> dict[str, Any]:
        given = dict(zip((t.name for t in model.inputs), tensors, strict=True))
        outputs = keras.tree.flatten(model(packed(model, given), training=False))
        return dict(zip(names, outputs, strict=True))

    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint("serving_default", serve, input_signature=specs)
    try:
        with contextlib.redirect_stdout(None):
            archive.write_out(str(folder), verbose=False)
    except tf.errors.ResourceExhaustedError as error:
        if os.strerror(errno.ENOSPC) in str(error):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error
        raise
    return folder


def output_names(model: keras.Model) -> list[str]:
    """Return the names of the outputs, in order: the layers that they come from."""
    functional = getattr(model, "_functional", model)  # a Sequential has no names of its own
    return list(functional.output_names)


def packed(model: keras.Model, inputs: Mapping[str, Any]) -> Any:
    """Return inputs by name in the structure that the model's `call` takes."""
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, dict):
        return {key: inputs[tensor.name] for key, tensor in structure.items()}
    values = [inputs[tensor.name] for tensor in model.inputs]
    return values[0] if len(values) == 1 else values


def convert(
    model: keras.Model,
    wants: Mapping[str, Conversion],
    folder: Path,
    samples: Mapping[str, np.ndarray] | None = None,
    log: Path | None = None,
) -> dict[str, bytes]:
    """Return the .tflite files that `wants` describes, by its keys.

    Args:
        model: exported once for all conversions.
        wants: by a name for each.
        folder: for files on the way.
        samples: calibration samples `(samples, ...)` for each input; needed where activations
            are integers.
        log: file that gets what the converter prints.

    Raises:
        ConversionError: with the converter's first sentence.
    """
    saved = export(model, folder / "saved_model")
    files = {}
    for place, (name, values) in enumerate((samples or {}).items()):
        files[name] = folder / f"calibration-{place}.npy"
        np.save(files[name], values, allow_pickle=False)
    made = {}
    for name, want in wants.items():
        needed = files if want.activations != "float32" else {}
        out = converter.shared.convert(saved, want, needed, folder / f"{name}.part.tflite", log)
        made[name] = out.read_bytes()
        out.unlink()
    return made
