"""Loading any model file as a Keras 3 model, and saving one without its optimizer."""

from __future__ import annotations

import contextlib
import logging
import re
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from edgeshrink.errors import EdgeshrinkError, ModelError, UsageError, near
from edgeshrink.models import (
    Kind,
    ModelFacts,
    archive_json,
    copy_file,
    facts,
    hdf5_attributes,
    import_object,
    in_float32,
    keras_config,
    parsed_json,
    refuse,
    write_part,
)
from edgeshrink.nn.graph import settle
from edgeshrink.nn.loading import keras2, keras2_weights
from edgeshrink.nn.loading.claims import stored_bytes, weights_within
from edgeshrink.nn.loading.precision import computing_in_float32
from edgeshrink.nn.loading.quantized import as_floats

logger = logging.getLogger(__name__)


def load_model(
    path: Path,
    *,
    custom: Sequence[str] = (),
    unsafe: bool = False,
    input_shapes: Mapping[str, tuple[int, ...]] | None = None,
) -> keras.Model:
    """Return the model in a file as an uncompiled Keras 3 model.

    Files of Keras 2 are rebuilt layer by layer, and models that compute in other floats, or in
    mixed precision, in float32. A SavedModel without Keras's notes becomes a model
    around its serving function: it runs and converts, but has no layers to compress. Weights that
    Keras itself quantized are read as the floats that their codes stand for.

    Args:
        path: a .keras archive, an .h5 file or the folder of a SavedModel.
        custom: `module:object` for each class that is not Keras's.
        unsafe: whether code inside the file (Lambda layers) may run.
        input_shapes: fixed shapes by input name, batch dimension first.

    Raises:
        UsageError: there is no such file, class or input.
        ModelError: the file cannot be loaded, is a .tflite, or holds NaN or infinity.
    """
    stored = load_stored(path, custom=custom, unsafe=unsafe)
    with _refusing(
        f"what Keras quantized in {path.name} cannot be read back",
        "give the model as it was before model.quantize",
    ):
        model = as_floats(stored, custom_objects(custom, facts(path)), unsafe=unsafe)
    with _refusing(
        f"{path.name} cannot be rebuilt in float32",
        "save it again under keras.config.set_dtype_policy('float32')",
    ):
        model = computing_in_float32(model, custom_objects(custom, facts(path)), unsafe=unsafe)
    check_finite(model, path.name)
    forget_optimizer(model)
    return fix_input_shapes(model, input_shapes) if input_shapes else model


def load_stored(path: Path, *, custom: Sequence[str] = (), unsafe: bool = False) -> keras.Model:
    """Return the model in a file as it is stored: what Keras quantized still has its codes.

    Args:
        path: as for `load_model`.
        custom: likewise.
        unsafe: likewise.

    Raises:
        UsageError: there is no such file or class.
        ModelError: the file cannot be loaded, or is a .tflite.
    """
    found = facts(path)
    if found.kind is Kind.TFLITE:
        raise ModelError(
            f"{path.name} is a .tflite file, whose weights cannot be compressed any more",
            hint="give the Keras model that it was converted from",
        )
    refuse(found, unsafe=unsafe, custom=custom, source=path.name)
    objects = custom_objects(custom, found)
    if found.kind is Kind.KERAS:
        return _load_keras(path, found, objects, unsafe=unsafe)
    if found.kind is Kind.KERAS2:
        return _load_legacy(path, found, objects)
    return _load_savedmodel(path, found, objects)


def save_model(model: keras.Model, path: Path) -> None:
    """Write a model to a .keras file without optimizer state, in one step: all of it or nothing.

    Args:
        model: any Keras model; it keeps its optimizer.
        path: the file, whose name ends in .keras; one that is there is replaced.

    Raises:
        UsageError: the path does not end in .keras.
        OSError: it cannot be written.
    """
    if path.suffix != ".keras":
        raise UsageError(f"a Keras model is saved as .keras; received {path.name!r}")
    compiled, optimizer = model.compiled, getattr(model, "optimizer", None)
    try:
        forget_optimizer(model)
        with write_part(path, needed=4 * model.count_params()) as part:
            model.save(part)
    finally:
        model.optimizer, model.compiled = optimizer, compiled


def forget_optimizer(model: keras.Model) -> None:
    """Make a model uncompiled: saving it then writes its weights only, a third of the size."""
    model.optimizer, model.compiled = None, False


def custom_objects(custom: Iterable[str], found: ModelFacts | None = None) -> dict[str, Any]:
    """Return the objects of `module:object` specs by every name that a file may call them.

    Raises:
        UsageError: there is no such module or object.
    """
    objects: dict[str, Any] = {}
    for spec in custom:
        value = import_object(spec, what="--custom")
        name = getattr(value, "__name__", spec.rpartition(":")[2])
        registered = keras.saving.get_registered_name(value)
        objects |= {name: value, registered: value, f"Custom>{name}": value}
        for known in found.custom_classes if found is not None else ():
            if known.rpartition(">")[2] == name:
                objects[known] = value
    return objects


def is_wrapped(model: keras.Model) -> bool:
    """Tell whether a model is only a serving function, without layers that can be compressed."""
    return any(isinstance(layer, _Served) for layer in model.layers)


def dynamic_inputs(model: keras.Model) -> dict[str, tuple[int | None, ...]]:
    """Return the inputs with a dimension beyond the batch that is not fixed, with their shapes."""
    return {name: shape for name, shape in input_shapes_of(model).items() if None in shape[1:]}


def input_shapes_of(model: keras.Model) -> dict[str, tuple[int | None, ...]]:
    """Return the shape of each input by name, batch dimension first."""
    return {tensor.name: tuple(tensor.shape) for tensor in model.inputs}


def fix_input_shapes(model: keras.Model, shapes: Mapping[str, tuple[int, ...]]) -> keras.Model:
    """Return a model with the same weights whose inputs have fixed shapes.

    The batch dimension stays open, so that the model can still be trained.

    Args:
        model: Sequential or Functional.
        shapes: shapes by input name, batch dimension first.

    Raises:
        UsageError: an input is unknown, or its shape does not agree with the model's.
        ModelError: the model has no graph, or does not work at these shapes.
    """
    if not getattr(model, "inputs", None):
        raise ModelError("input shapes can be fixed in Sequential and Functional models only")
    known = input_shapes_of(model)
    told = ", ".join(f"{name}={','.join(map(_dimension, shape))}" for name, shape in known.items())
    for name, shape in shapes.items():
        if name not in known:
            raise UsageError(f"no model input {name!r}; it has {told}", hint=near(name, known))
        agrees = len(shape) == len(known[name]) and all(
            own in (None, asked) for own, asked in zip(known[name], shape, strict=True)
        )
        if not agrees or any(size < 1 for size in shape):
            raise UsageError(
                f"an input shape must agree with the model's, {told}; "
                f"received {name}={','.join(map(str, shape))}",
                hint="give the batch dimension too: 1 first",
            )
    fresh = {
        tensor.name: keras.Input(
            batch_shape=(known[tensor.name][0], *shapes.get(tensor.name, tensor.shape)[1:]),
            dtype=tensor.dtype,
            name=tensor.name,
        )
        for tensor in model.inputs
    }
    given = model.inputs if isinstance(model, keras.Sequential) else model.input
    with _refusing("the model does not work at these input shapes"):
        structure = keras.tree.map_structure(lambda tensor: fresh[tensor.name], given)
        fixed = keras.models.clone_model(model, input_tensors=structure)
        fixed.set_weights(model.get_weights())
        settle(fixed)
    forget_optimizer(fixed)
    return fixed


@contextlib.contextmanager
def _refusing(said: str, hint: str | Callable[[Exception], str] = "") -> Iterator[None]:
    """Raise a ModelError where a library or a stranger's layer raises an error of any class.

    Args:
        said: what failed; the first line of the error is put behind it.
        hint: what to do, or a function of the error that tells it.
    """
    try:
        yield
    except (EdgeshrinkError, MemoryError):
        raise
    except Exception as error:
        advice = hint if isinstance(hint, str) else hint(error)
        raise ModelError(f"{said}: {_first_line(error)}", hint=advice) from error


def check_finite(model: keras.Model, source: str) -> None:
    """Raise a ModelError that names the first layer with NaN or infinity in its weights."""
    for variable in model.weights:
        values = keras.ops.convert_to_numpy(variable)
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            layer, _, name = variable.path.rpartition("/")
            raise ModelError(
                f"weights must be finite; {source} has NaN or infinity in layer {layer!r} ({name})",
                hint="its training diverged: take an earlier checkpoint",
            )


def _load_keras(
    path: Path, found: ModelFacts, objects: Mapping[str, Any], *, unsafe: bool
) -> keras.Model:
    suffix = ".keras" if zipfile.is_zipfile(path) else ".h5"
    with tempfile.TemporaryDirectory() as folder:
        named = path
        if path.suffix != suffix:  # Keras goes by the name, not by the content
            named = Path(folder) / f"model{suffix}"
            copy_file(path, named)
        with (
            _refusing(f"Keras cannot load {path.name}", lambda error: _advice(str(error), found)),
            weights_within(stored_bytes(path), path.name),
        ):
            model: keras.Model = keras.models.load_model(
                named, custom_objects=dict(objects), compile=False, safe_mode=not unsafe
            )
    return model


def _advice(text: str, found: ModelFacts) -> str:
    hint = "does it open with keras.models.load_model?"
    if found.quantized:
        hint = (
            f"Keras quantized it ({', '.join(found.quantized)}), and does not load all that it "
            "saves so: give the model as it was before model.quantize"
        )
    elif "Lambda" in text or "lambda" in text:
        hint = "--unsafe runs the code in the file: only for files you trust"
    elif "register" in text or "custom" in text or "Unknown layer" in text:
        hint = "--custom MODULE:CLASS names where a class is defined"
    return hint


def _load_legacy(path: Path, found: ModelFacts, objects: Mapping[str, Any]) -> keras.Model:
    fill: Callable[[keras2.Built, Path], None]
    if path.is_dir():
        data = keras_config(path / "keras_metadata.pb")
        fill = keras2_weights.set_from_savedmodel
    elif zipfile.is_zipfile(path):
        data, fill = archive_json(path, "config.json"), keras2_weights.set_from_archive
    else:
        text = hdf5_attributes(path, "model_config")["model_config"]
        data, fill = parsed_json(text or "", path.name), keras2_weights.set_from_h5
    said = f"{path.name} (Keras {found.keras_version}) cannot be rebuilt in Keras 3"
    with _refusing(said, keras2.HINT):
        most = found.weights_bytes if path.is_dir() else stored_bytes(path)
        with weights_within(most, path.name):
            built = keras2.rebuild(in_float32(data), objects)
        fill(built, path)
    model: keras.Model = built.layer
    return model


def _load_savedmodel(path: Path, found: ModelFacts, objects: Mapping[str, Any]) -> keras.Model:
    """Return a SavedModel rebuilt where Keras 2 left its notes, otherwise wrapped."""
    if found.class_name:
        try:
            return _load_legacy(path, found, objects)
        except ModelError as error:
            logger.warning("%s: its serving function is used as it is, uncompressed", error)
    return _wrapped(path)


def _wrapped(path: Path) -> keras.Model:
    """Return a model around the serving function of a SavedModel."""
    with _refusing(f"SavedModel {path.name} cannot be loaded"):
        signatures = tf.saved_model.load(str(path)).signatures
        names = [n for n in ("serving_default", "serve", *signatures) if n in signatures]
        if not names:
            raise ModelError(
                f"SavedModel {path.name} has no serving signature",
                hint="export it with model.export(folder)",
            )
        wanted = signatures[names[0]].structured_input_signature[1]
        inputs = {
            key: keras.Input(batch_shape=_shape(spec.shape), dtype=spec.dtype.name, name=key)
            for key, spec in wanted.items()
        }
        outputs = keras.tree.flatten(_Served(str(path), call_endpoint=names[0])(inputs))
        tensors = list(inputs.values())
        return keras.Model(
            tensors if len(tensors) > 1 else tensors[0], outputs if len(outputs) > 1 else outputs[0]
        )


class _Served(keras.layers.TFSMLayer):
    """A SavedModel's serving function, which takes its inputs by name."""

    def call(self, inputs: Mapping[str, Any], training: bool = False) -> Any:
        return self.call_endpoint_fn(**inputs)


def _shape(shape: Any) -> tuple[int | None, ...]:
    return tuple(shape.as_list())


def _dimension(size: int | None) -> str:
    return "?" if size is None else str(size)


def _first_line(error: BaseException) -> str:
    """Return the first line that says something, without Keras's frame and colours."""
    plain = re.sub(r"\x1b\[\d+m", "", str(error))
    lines = [line.strip() for line in plain.splitlines() if line.strip()]
    said = [line for line in lines if not line.startswith("Exception encountered when calling")]
    return (said or lines or [type(error).__name__])[0].rstrip(":")
