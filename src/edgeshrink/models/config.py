"""What a model file says of its model, read from its configuration without TensorFlow."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from edgeshrink.errors import ModelError
from edgeshrink.models.artifact import RUNNABLE, Kind
from edgeshrink.models.compiled import Compiled
from edgeshrink.models.graph import refused_operators
from edgeshrink.models.kind import (
    archive_json,
    hdf5_attributes,
    hdf5_version,
    identify,
    parsed_json,
)
from edgeshrink.models.layer_kinds import PREPROCESSING, RECURRENT, SAME_SHAPE, TEXT_LOOKUP
from edgeshrink.models.policies import (
    activation_in,
    in_float32,
    other_floats_in,
    policy_of,
    quantized_in,
)
from edgeshrink.models.savedmodel import keras_config
from edgeshrink.models.tensors import TensorFacts, distinct

# Where a layer's configuration may hold further layers.
NESTED_KEYS = ("layers", "layer", "cell", "cells", "forward_layer", "backward_layer")
KERAS_PACKAGES = ("keras", "tf_keras")


@dataclass(frozen=True)
class LayerFacts:
    """One layer of a model.

    Attributes:
        path: names from the outermost model to the layer, joined by slashes.
        wrapped: whether another layer (not a model) holds it, as Bidirectional does.
    """

    class_name: str
    name: str
    module: str
    path: str
    wrapped: bool = False


@dataclass(frozen=True)
class ModelFacts:
    """What can be said of a model before TensorFlow is there.

    Attributes:
        kind: what its file is.
        keras_version: of the Keras that saved it; empty for a SavedModel without Keras's notes.
        name: of the model; empty where the file does not tell.
        class_name: Sequential, Functional, or the name of a subclass.
        layers: all layers, those of nested models and wrappers too, outermost first.
        inputs: what it takes, each with `name`, `shape` and `dtype`, as far as the file tells.
        outputs: what it returns, likewise.
        lambda_layers: names of layers that carry code.
        custom_classes: registered names of classes and functions that are not Keras's.
        recurrent: names of recurrent layers that are not unrolled.
        preprocessing: class names of preprocessing layers inside the model.
        dtype_policy: the first policy of other floats than 32-bit ones, such as mixed_float16,
            or float32. Such a model is rebuilt in float32.
        quantized: the modes in which Keras itself quantized layers, such as int8; a name each.
        learning_rate: of the optimizer it was compiled with, or None.
        compiled: the losses, weights and metrics that it was compiled with.
        optimizer: the class name of its optimizer; empty if it was not compiled.
        weights_bytes: size of the stored weights, the optimizer's state included.
        refused_operators: of a SavedModel's graph, that are not known to be harmless.
        classes: what labels call the classes of the output, in its order; empty where they are
            numbered.
    """

    kind: Kind
    keras_version: str = ""
    name: str = ""
    class_name: str = ""
    layers: tuple[LayerFacts, ...] = ()
    inputs: tuple[TensorFacts, ...] = ()
    outputs: tuple[TensorFacts, ...] = ()
    lambda_layers: tuple[str, ...] = ()
    custom_classes: tuple[str, ...] = ()
    recurrent: tuple[str, ...] = ()
    preprocessing: tuple[str, ...] = ()
    dtype_policy: str = "float32"
    quantized: tuple[str, ...] = ()
    learning_rate: float | None = None
    compiled: Compiled = field(default_factory=Compiled)
    optimizer: str = ""
    weights_bytes: int = 0
    refused_operators: tuple[str, ...] = ()
    classes: tuple[str | int | float, ...] = ()

    @property
    def loss(self) -> str | None:
        """The name of the loss or losses it was compiled with, or None."""
        return self.compiled.spelled

    @property
    def dynamic_inputs(self) -> tuple[TensorFacts, ...]:
        """The inputs with a dimension beyond the batch that is not fixed."""
        return tuple(i for i in self.inputs if i.shape is not None and None in i.shape[1:])


def facts(path: Path) -> ModelFacts:
    """Return what the configuration of a model file says; none of its code is run.

    Args:
        path: the file, or the folder of a SavedModel.

    Raises:
        UsageError: there is no such file, or it cannot be read.
        ModelError: the file is not a model, or its configuration is malformed.
    """
    kind = identify(path)
    config: dict[str, Any]
    compiled: dict[str, Any]
    refused: tuple[str, ...] = ()
    if kind is Kind.SAVEDMODEL:
        weights = sum(p.stat().st_size for p in path.glob("variables/variables.data*"))
        metadata, refused = path / "keras_metadata.pb", refused_operators(path)
        if not metadata.is_file():
            return ModelFacts(kind, weights_bytes=weights, refused_operators=refused)
        config, version = keras_config(metadata), "2"
        compiled = config.pop("training_config", None) or {}
    elif kind in RUNNABLE:
        return ModelFacts(kind, weights_bytes=path.stat().st_size)
    elif zipfile.is_zipfile(path):
        config = archive_json(path, "config.json")
        version = str(archive_json(path, "metadata.json")["keras_version"])
        compiled = config.get("compile_config") or {}
        with zipfile.ZipFile(path) as archive:
            weights = sum(m.file_size for m in archive.infolist() if "weights" in m.filename)
    else:
        version = hdf5_version(path)
        attributes = hdf5_attributes(path, "model_config", "training_config")
        config = parsed_json(attributes["model_config"] or "", f"the model_config of {path.name}")
        compiled = parsed_json(
            attributes["training_config"] or "{}", f"training_config of {path.name}"
        )
        weights = path.stat().st_size
    try:
        made = _from_config(config, compiled, kind, version, weights)
        return replace(made, refused_operators=refused)
    except (KeyError, TypeError, AttributeError, IndexError, ValueError, RecursionError) as error:
        raise ModelError(
            f"the configuration in {path.name} is not that of a Keras model: "
            f"{type(error).__name__} {error}",
            hint="save it again with model.save('model.keras')",
        ) from error


def refuse(
    found: ModelFacts,
    *,
    unsafe: bool = False,
    custom: Iterable[str] = (),
    source: str = "the model",
) -> tuple[str, ...]:
    """Raise what makes a model impossible to work with; return warnings about the rest.

    Args:
        found: facts of the model.
        unsafe: whether code inside the file may run.
        custom: `module:object` for each class that is not Keras's.
        source: how messages name the model.

    Raises:
        ModelError: it has text layers, code, or classes that were not given.
    """
    text = sorted(set(found.preprocessing) & TEXT_LOOKUP)
    if text:
        raise ModelError(
            f"text and lookup layers have no LiteRT kernels; {source} has {', '.join(text)}",
            hint="do the lookup before the model, and save the rest as a model of its own",
        )
    if found.lambda_layers and not unsafe:
        raise ModelError(
            f"{source} has code inside its file: Lambda in {', '.join(found.lambda_layers)}",
            hint="--unsafe runs the code in the file: only for files you trust",
        )
    if found.refused_operators and not unsafe:
        raise ModelError(
            f"the graph of {source} has operators that are not known to leave this machine alone: "
            f"{', '.join(found.refused_operators)}",
            hint="--unsafe runs whatever is in the file: only for files you trust",
        )
    given = {spec.rpartition(":")[2].rpartition(".")[2] for spec in custom}
    unknown = [n for n in found.custom_classes if n.rpartition(">")[2] not in given]
    if unknown:
        raise ModelError(
            f"{source} needs classes that are not Keras's: {', '.join(unknown)}",
            hint=f"--custom MODULE:{unknown[0].rpartition('>')[2]} names where a class is defined",
        )
    warnings = []
    if found.kind is Kind.KERAS2:
        warnings.append(f"{source} was saved by Keras {found.keras_version}: rebuilt in Keras 3")
    if found.dtype_policy != "float32":
        warnings.append(f"{source} computes in {found.dtype_policy}: rebuilt in float32")
    if found.quantized:
        warnings.append(
            f"{source} was quantized by Keras ({', '.join(found.quantized)}): its weights are read "
            "as the floats that their codes stand for, and what Keras rounds besides is not rounded"
        )
    if found.kind is Kind.SAVEDMODEL and not found.class_name:
        warnings.append(f"{source} is a serving function: it can be converted, not compressed")
    return tuple(warnings)


def _from_config(
    config: Mapping[str, Any], compiled: Mapping[str, Any], kind: Kind, version: str, weights: int
) -> ModelFacts:
    inner = config["config"]
    if isinstance(inner, list):  # Sequential of Keras 1 and early 2
        inner = {"name": "sequential", "layers": inner}
    pairs = list(_walk(inner, ""))
    layers = tuple(layer for layer, _ in pairs)
    optimizer = compiled.get("optimizer") or compiled.get("optimizer_config") or {}
    optimizer = {"class_name": optimizer} if isinstance(optimizer, str) else optimizer
    rate = (optimizer.get("config") or {}).get("learning_rate")
    rate = (optimizer.get("config") or {}).get("lr") if rate is None else rate
    names = {str(layer.class_name) for layer in layers}
    return ModelFacts(
        kind=kind,
        keras_version=version,
        name=str(inner.get("name", "")),
        class_name=str(config["class_name"]),
        layers=layers,
        inputs=tuple(_inputs(config["class_name"], inner)),
        outputs=tuple(_outputs(inner)),
        lambda_layers=_unique(_lambdas(inner, str(inner.get("name", "")))),
        custom_classes=_unique(_custom(config)),
        recurrent=tuple(
            layer.name
            for layer, data in pairs
            if layer.class_name in RECURRENT and data.get("unroll") is not True
        ),
        preprocessing=tuple(sorted(names & PREPROCESSING)),
        dtype_policy=next(other_floats_in(inner), "float32"),
        quantized=_unique(sorted(quantized_in(inner))),
        learning_rate=float(rate) if isinstance(rate, int | float) else None,
        compiled=Compiled.from_config(compiled),
        optimizer=str(optimizer.get("class_name", "")).rpartition(">")[2],
        weights_bytes=weights,
    )


def _walk(
    config: Mapping[str, Any], path: str, *, wrapped: bool = False
) -> Iterator[tuple[LayerFacts, Mapping[str, Any]]]:
    """Yield every layer below a configuration, with its own configuration."""
    for key in NESTED_KEYS:
        value = config.get(key)
        for data in value if isinstance(value, list) else [value]:
            if not isinstance(data, dict) or not isinstance(data.get("config"), dict):
                continue
            inner = data["config"]
            name = str(inner.get("name") or data.get("name") or data["class_name"])
            place = f"{path}/{name}" if path else name
            yield (
                LayerFacts(
                    str(data["class_name"]),
                    name,
                    str(data.get("module") or ""),
                    place,
                    wrapped or key != "layers",
                ),
                inner,
            )
            yield from _walk(inner, place, wrapped=wrapped or "layers" not in inner)


def _objects(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for key, item in value.items():
            if key != "compile_config":  # models are loaded uncompiled
                yield from _objects(item)
    elif isinstance(value, list):
        for item in value:
            yield from _objects(item)


def _custom(config: Mapping[str, Any]) -> Iterator[str]:
    for data in _objects(config):
        name, module = str(data["class_name"]), data.get("module")
        registered = str(data.get("registered_name") or name)
        if name == "function" and isinstance(data.get("config"), str):
            yield str(data["config"])
        else:
            package = str(module or "builtins").partition(".")[0]
            named = ">" in registered and not registered.startswith(("keras", "Keras>"))
            # a class of a script, not registered: Keras 3 writes no module, but a name
            homeless = "module" in data and module is None and data.get("registered_name")
            if named or homeless or package not in ("builtins", *KERAS_PACKAGES):
                yield registered


def _lambdas(config: Any, name: str) -> Iterator[str]:
    """Yield names of the layers that carry code: Lambda, or a lambda as an argument."""
    if isinstance(config, list):
        for item in config:
            yield from _lambdas(item, name)
    elif isinstance(config, dict):
        if config.get("class_name") in ("Lambda", "__lambda__"):
            inner = config.get("config")
            yield str(inner["name"]) if isinstance(inner, dict) and "name" in inner else name
            return
        name = str(config["name"]) if "name" in config else name
        for key, value in config.items():
            if key != "compile_config":
                yield from _lambdas(value, name)


def _inputs(class_name: str, config: Mapping[str, Any]) -> Iterator[TensorFacts]:
    layers = {str(d["config"].get("name") or d.get("name")): d for d in config.get("layers", ())}
    if "input_layers" in config:
        for name, _ in _tensors(config["input_layers"]):
            data = layers[name]["config"]
            shape = data.get("batch_shape") or data.get("batch_input_shape")
            yield TensorFacts(name, _shape(shape), policy_of(in_float32(data)))
        return
    for name, data in list(layers.items())[:1]:
        inner = data["config"]
        if "layers" in inner:
            yield from _inputs(data["class_name"], inner)
            return
        shape = inner.get("batch_shape") or inner.get("batch_input_shape")
        shape = shape or config.get("build_input_shape")
        if shape is None:
            shape = (data.get("build_config") or {}).get("input_shape")
        if shape is not None:
            own = data["class_name"] == "InputLayer"
            dtype = policy_of(in_float32(inner)) if own else "float32"
            yield TensorFacts(name if own else f"{name}_input", _shape(shape), dtype)


def _outputs(config: Mapping[str, Any]) -> Iterator[TensorFacts]:
    layers = {str(d["config"].get("name") or d.get("name")): d for d in config.get("layers", ())}
    outputs = config.get("output_layers")
    made = [(name, 0) for name in list(layers)[-1:]] if outputs is None else [*_tensors(outputs)]
    keys = sorted(outputs) if isinstance(outputs, dict) else []
    keys = keys if len(keys) == len(made) else [""] * len(made)
    names = distinct(name for name, _ in made)
    for called, (name, place), key in zip(names, made, keys, strict=True):
        inner = layers[name]["config"]
        nested = [*_outputs(inner)][place : place + 1] if "layers" in inner else []
        shape = nested[0].shape if nested else _output_shape(layers[name])
        activation = nested[0].activation if nested else activation_in(layers[name])
        yield TensorFacts(called, shape, activation=activation, key=key)


def _output_shape(data: Mapping[str, Any]) -> tuple[int | None, ...] | None:
    """Return the shape that a layer puts out, for the classes that end most models."""
    inner = data["config"]
    if "layers" in inner:
        return None
    shape = (data.get("build_config") or {}).get("input_shape")
    if shape is None:
        nodes = [n for n in data.get("inbound_nodes") or () if isinstance(n, dict)]
        shapes = [t["config"]["shape"] for n in nodes for t in n["args"] if isinstance(t, dict)]
        shape = shapes[0] if len(shapes) == 1 else None
    known = _shape(shape) if shape and not isinstance(shape[0], list) else None
    if data["class_name"] == "Dense":
        return (*(known[:-1] if known else (None,)), int(inner["units"]))
    return known if data["class_name"] in SAME_SHAPE else None


def _tensors(value: Any) -> Iterator[tuple[str, int]]:
    """Yield name and index of `[name, node, index]`, or of lists and dicts of these."""
    if isinstance(value, list) and len(value) == 3 and isinstance(value[0], str):
        yield value[0], value[2] if isinstance(value[2], int) else 0
    else:
        # Keras flattens a dict in the order of its keys
        inner = [value[key] for key in sorted(value)] if isinstance(value, dict) else value
        for item in inner:
            yield from _tensors(item)


def _shape(value: Any) -> tuple[int | None, ...]:
    return tuple(None if v is None else int(v) for v in value)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
