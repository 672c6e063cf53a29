"""Keras model to .tflite: exported here, converted in a child process that stays warm."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from edgeshrink.errors import ConversionError
from edgeshrink.models import TensorFacts, write_bytes, write_npy, write_part
from edgeshrink.nn.conversion import byte_inputs, converter_process, recurrent
from edgeshrink.nn.conversion.converter_process import Conversion
from edgeshrink.nn.graph import output_names, structured
from edgeshrink.tflite import Ranges, reachable, too_steep, with_ranges


def export(model: keras.Model, folder: Path, *, fuse: bool = True, unroll: bool = False) -> Path:
    """Write a SavedModel with a static batch of one, its inputs' and outputs' names kept.

    A dynamic batch leaves shape arithmetic in the graph that splits the XNNPACK delegate, and
    recurrent layers do not convert with one.

    Args:
        model: what is written.
        folder: where.
        fuse: write layers that fit the fused LSTM operator so that they become it.
        unroll: write the other recurrent layers step by step.

    Raises:
        ConversionError: a dimension beside the batch is dynamic.
    """
    serve, specs = _served(model)
    archive = keras.export.ExportArchive()
    archive.track(model)
    with (
        contextlib.redirect_stdout(None),
        recurrent.written(model, fuse=fuse, unroll=unroll),
        write_part(folder) as part,
    ):
        archive.add_endpoint("serving_default", serve, input_signature=specs)
        archive.write_out(str(part), verbose=False)
    return folder


def loops(model: keras.Model, *, fuse: bool = True) -> list[recurrent.Loop]:
    """Return the loops that the converter makes of a model's recurrent layers.

    Args:
        model: what would be exported.
        fuse: whether the layers that fit the fused LSTM operator become it.

    Raises:
        ConversionError: a dimension beside the batch is dynamic.
    """
    import tensorflow as tf

    if not recurrent.recurrent_layers(model):
        return []
    serve, specs = _served(model)
    with recurrent.written(model, fuse=fuse, unroll=False) as found:
        tf.function(serve, autograph=False).get_concrete_function(*specs)
    return found


def _served(model: keras.Model) -> tuple[Callable[..., dict[str, Any]], list[Any]]:
    """Return the function that is exported, and the specifications of its arguments."""
    import tensorflow as tf

    specs = []
    for tensor in model.inputs:
        if None in tensor.shape[1:]:
            told = TensorFacts(tensor.name, tuple(tensor.shape), tensor.dtype)
            raise ConversionError(
                f"input {tensor.name!r} has dynamic dimensions {told.shape}",
                hint=f"fix them: --input-shape {tensor.name}={told.fixed_example}",
            )
        specs.append(tf.TensorSpec((1, *tensor.shape[1:]), tensor.dtype, name=tensor.name))
    names = output_names(model)

    def serve(*tensors: Any) -> dict[str, Any]:
        given = dict(zip((t.name for t in model.inputs), tensors, strict=True))
        outputs = keras.tree.flatten(model(structured(model, given), training=False))
        return dict(zip(names, outputs, strict=True))

    return serve, specs


def convert(
    model: keras.Model,
    wants: Mapping[str, Conversion],
    folder: Path,
    samples: Mapping[str, np.ndarray] | None = None,
    log: Path | None = None,
    ranges: Callable[[bytes], Ranges] | None = None,
) -> dict[str, bytes]:
    """Return the .tflite files that `wants` describes, by its keys.

    Args:
        model: exported once for all conversions that write its recurrent layers alike.
        wants: what each file should hold, by a name for it.
        folder: for files on the way.
        samples: calibration samples `(samples, ...)` for each input; needed where activations
            are integers. Where all inputs of the model are bytes, they are bytes of the file too
            if activations have 8 bits, and floats if 16.
        log: file that gets what the converter prints.
        ranges: of 8-bit activations, given the float file that the samples were run through;
            tensors that it leaves out keep the least and greatest value seen. Ranges so narrow that
            kernels cannot reach them become wider.

    Raises:
        ConversionError: an input's dimension beside the batch is dynamic, or the converter refused
            the model or crashed; the message has its first sentence.
        OSError: a file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    saved: dict[tuple[bool, bool, bool], Path] = {}
    files = {}
    whole = model
    if byte_inputs.takes_bytes(model) and samples is not None:
        whole, samples = byte_inputs.with_float_inputs(model), byte_inputs.with_all_bytes(samples)
    for place, (name, values) in enumerate((samples or {}).items()):
        files[name] = folder / f"calibration-{place}.npy"
        write_npy(files[name], [values], len(values))
    made = {}
    for name, want in wants.items():
        integer = want.activations != "float32"
        want = replace(want, bytes_in=whole is not model and want.activations == "int8")
        form = want.fuse, want.unroll, integer and whole is not model
        if form not in saved:
            out = folder / f"saved_model-{len(saved)}"
            shown = whole if integer else model
            saved[form] = export(shown, out, fuse=want.fuse, unroll=want.unroll)
        needed = files if integer else {}
        out = folder / f"{name}.part.tflite"
        small = want.activations == "int8"
        if ranges is None or not small:
            converter_process.shared_converter.convert(saved[form], want, needed, out, log)
        if small and (ranges is not None or too_steep(out.read_bytes())):
            seen = converter_process.shared_converter.calibrate(saved[form], want, needed, out, log)
            calibrated = seen.read_bytes()
            chosen = ranges(calibrated) if ranges is not None else {}
            write_bytes(seen, with_ranges(calibrated, reachable(calibrated, chosen)))
            converter_process.shared_converter.quantize(seen, want, out, log)
        made[name] = out.read_bytes()
        out.unlink()
    return made
