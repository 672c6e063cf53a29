"""A Keras 2 model rebuilt as a Keras 3 model, layer by layer, from its configuration.

Keras 3 refuses some of these files (DepthwiseConv2D's `groups`, SavedModel folders, .keras archives
of Keras 2) and wires some others wrongly (a nested model that is called twice). Nothing here needs
tf_keras.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NoReturn

import keras

from edgeshrink.errors import ModelError

MODELS = frozenset({"Functional", "Model", "Sequential"})
HINT = "save it again from Keras 3, or convert it to .tflite with the Keras that made it"
# Arguments that Keras 3 dropped, with the value under which dropping them changes nothing;
# `...` stands for any value.
DROPPED: dict[str, Any] = {
    "batch_input_shape": ...,
    "dynamic": ...,
    "groups": 1,
    "implementation": ...,
    "input_dim": ...,
    "input_length": ...,
    "input_shape": ...,
    "kernel_constraint": ...,  # SeparableConv inherited those of Conv and never used them
    "kernel_initializer": ...,
    "kernel_regularizer": ...,
    "key_shape": ...,
    "query_shape": ...,
    "ragged": False,
    "sparse": False,
    "time_major": False,
    "value_shape": ...,
}
BASE_ARGUMENTS = frozenset({"name", "trainable", "dtype", "activity_regularizer"})
# TensorFlow functions that were called on symbolic tensors (TFOpLambda), in Keras's words.
OPERATIONS: dict[str, Callable[..., Any]] = {
    "__operators__.add": lambda x, y: keras.ops.add(x, y),
    "math.add": lambda x, y: keras.ops.add(x, y),
    "math.subtract": lambda x, y: keras.ops.subtract(x, y),
    "math.multiply": lambda x, y: keras.ops.multiply(x, y),
    "math.divide": lambda x, y: keras.ops.divide(x, y),
    "math.truediv": lambda x, y: keras.ops.divide(x, y),
    "math.maximum": lambda x, y: keras.ops.maximum(x, y),
    "math.minimum": lambda x, y: keras.ops.minimum(x, y),
    "math.exp": lambda x: keras.ops.exp(x),
    "math.abs": lambda x: keras.ops.abs(x),
    "math.sqrt": lambda x: keras.ops.sqrt(x),
    "math.square": lambda x: keras.ops.square(x),
    "math.sigmoid": lambda x: keras.ops.sigmoid(x),
    "math.tanh": lambda x: keras.ops.tanh(x),
    "math.reduce_mean": lambda x, axis=None, keepdims=False: keras.ops.mean(x, axis, keepdims),
    "math.reduce_sum": lambda x, axis=None, keepdims=False: keras.ops.sum(x, axis, keepdims),
    "math.reduce_max": lambda x, axis=None, keepdims=False: keras.ops.max(x, axis, keepdims),
    "nn.relu": lambda x: keras.ops.relu(x),
    "nn.relu6": lambda x: keras.ops.relu6(x),
    "nn.sigmoid": lambda x: keras.ops.sigmoid(x),
    "nn.silu": lambda x: keras.ops.silu(x),
    "nn.softmax": lambda x, axis=-1: keras.ops.softmax(x, axis),
    "clip_by_value": lambda x, clip_value_min, clip_value_max: keras.ops.clip(
        x, clip_value_min, clip_value_max
    ),
    "concat": lambda xs, axis: keras.ops.concatenate(xs, axis),
    "expand_dims": lambda x, axis: keras.ops.expand_dims(x, axis),
    "reshape": lambda x, shape: keras.ops.reshape(x, shape),
    "transpose": lambda x, perm=None: keras.ops.transpose(x, perm),
}


class Waiting(LookupError):
    """A layer's input does not exist yet."""


@dataclass
class Built:
    """A rebuilt layer with those inside it, in the order of the configuration.

    Attributes:
        data: its entry in the Keras 2 configuration.
        layer: the Keras 3 layer, or None for an operation without weights.
    """

    data: Mapping[str, Any]
    layer: Any
    inside: list[Built] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The name in the configuration."""
        return layer_name(self.data)

    @property
    def is_model(self) -> bool:
        """Whether it is a model of its own."""
        return self.data["class_name"] in MODELS

    def leaves(self) -> Iterator[Built]:
        """Yield the layers that are not models, in order."""
        if not self.is_model:
            yield self
        for inner in self.inside:
            yield from inner.leaves()


def rebuild(data: Mapping[str, Any], custom: Mapping[str, Any]) -> Built:
    """Return the model of a Keras 2 configuration, its weights not yet set.

    Args:
        data: the configuration, with `class_name` and `config`.
        custom: classes by name that are not Keras's.

    Raises:
        ModelError: a layer has no counterpart in Keras 3; the message names it.
    """
    if data["class_name"] not in MODELS:
        raise ModelError(
            f"a Keras 2 model must be Sequential or Functional to be rebuilt in Keras 3; "
            f"this one is {data['class_name']}",
            hint=HINT,
        )
    return _model(data, custom)


def layer_name(data: Mapping[str, Any]) -> str:
    """Return the name of a layer's entry in a configuration."""
    return str(data["config"].get("name") or data.get("name"))


def _model(data: Mapping[str, Any], custom: Mapping[str, Any]) -> Built:
    config = data["config"]
    if isinstance(config, list):
        config = {"name": None, "layers": config}
    build = _functional if "input_layers" in config else _sequential
    return build(data, config, custom)


def _sequential(data: Mapping[str, Any], config: Any, custom: Mapping[str, Any]) -> Built:
    entries = config["layers"]
    model = keras.Sequential(name=config.get("name"))
    result = Built(data, model)
    first = entries[0]["config"]
    if entries[0]["class_name"] != "InputLayer" and "layers" not in first:
        shape = first.get("batch_input_shape") or config.get("build_input_shape")
        if shape is None:
            raise ModelError(
                f"{config.get('name')!r} was never built: it has weights only once its input "
                f"shape is known",
                hint=HINT,
            )
        dtype = first.get("dtype") if entries[0]["class_name"] == "Embedding" else None
        name = f"{layer_name(entries[0])}_input"
        model.add(keras.Input(batch_shape=shape, name=name, dtype=dtype))
    for entry in entries:
        if entry["class_name"] == "InputLayer":
            model.add(_input(entry))
            continue
        built = _layer(entry, custom)
        if built.layer is None:
            _refuse(entry, "an operation inside a Sequential model")
        _calling(entry, partial(model.add, built.layer))
        result.inside.append(built)
    model.trainable = bool(config.get("trainable", True))
    return result


def _functional(data: Mapping[str, Any], config: Any, custom: Mapping[str, Any]) -> Built:
    tensors: dict[tuple[str, int, int], Any] = {}
    result = Built(data, None)
    waiting: list[tuple[Built, int, Any]] = []
    for entry in config["layers"]:
        if entry["class_name"] == "InputLayer":
            tensors[layer_name(entry), 0, 0] = _input(entry)
            continue
        built = _layer(entry, custom)
        result.inside.append(built)
        # a nested model's node 0 is the one that links its own inputs to its outputs
        offset = 1 if built.is_model else 0
        nodes = entry.get("inbound_nodes") or []
        waiting += [(built, index + offset, node) for index, node in enumerate(nodes)]
    while waiting:
        later = []
        for built, index, node in waiting:
            try:
                arguments, keywords = _arguments(node, tensors)
            except Waiting:
                later.append((built, index, node))
                continue
            outputs = _called(built, arguments, keywords)
            for position, tensor in enumerate(keras.tree.flatten(outputs)):
                tensors[built.name, index, position] = tensor
        if len(later) == len(waiting):
            _refuse(later[0][0].data, "an input that no layer makes")
        waiting = later
    trainable = bool(config.get("trainable", True))
    result.layer = keras.Model(
        _single(_looked_up(config["input_layers"], tensors)),
        _single(_looked_up(config["output_layers"], tensors)),
        name=config.get("name"),
    )
    if not trainable:
        result.layer.trainable = False
    return result


def _input(entry: Mapping[str, Any]) -> Any:
    config = entry["config"]
    if config.get("sparse") or config.get("ragged"):
        _refuse(entry, "sparse or ragged input")
    shape = config.get("batch_input_shape") or config.get("batch_shape")
    name = layer_name(entry).replace("/", "_")
    return keras.Input(batch_shape=shape, dtype=config.get("dtype"), name=name)


def _layer(entry: Mapping[str, Any], custom: Mapping[str, Any]) -> Built:
    class_name = str(entry["class_name"]).rpartition(">")[2]
    if class_name in MODELS:
        return _model(entry, custom)
    if class_name in ("TFOpLambda", "SlicingOpLambda"):
        if entry["config"].get("function") not in OPERATIONS:
            _refuse(entry, f"the TensorFlow function {entry['config'].get('function')!r}")
        return Built(entry, None)
    if class_name == "Activation" and "hard_sigmoid" in str(entry["config"].get("activation")):
        _refuse_hard_sigmoid(entry)
    kind = custom.get(class_name) or getattr(keras.layers, class_name, None)
    if kind is None:
        _refuse(
            entry,
            f"class {class_name}, which Keras 3 does not have",
            hint=f"if it is your own: --custom MODULE:{class_name}; otherwise {HINT}",
        )
    config = dict(entry["config"]) if class_name in custom else _translated(entry, kind)
    config["name"] = layer_name(entry).replace("/", "_")  # Keras 3 allows no slash in a name
    try:
        layer = kind.from_config(config)
    except (TypeError, ValueError, KeyError, AttributeError, ImportError) as error:
        raise ModelError(
            f"layer {layer_name(entry)!r} ({class_name}) of Keras 2 cannot be rebuilt: {error}",
            hint=HINT,
        ) from error
    return Built(entry, layer)


def _translated(entry: Mapping[str, Any], kind: type) -> dict[str, Any]:
    """Return a layer's arguments in the words of Keras 3."""
    config = dict(entry["config"])
    class_name = entry["class_name"]
    if class_name == "LeakyReLU" and "alpha" in config:
        config["negative_slope"] = config.pop("alpha")
    if class_name == "GRU":
        config.setdefault("reset_after", False)
    for key, value in config.items():
        if isinstance(value, dict) and value.get("class_name") == "__numpy__":
            config[key] = value["config"]["value"]  # as TensorFlow 2.12 wrote a number
    axis = config.get("axis")
    if class_name == "BatchNormalization" and isinstance(axis, list):
        if len(axis) > 1:
            _refuse(entry, f"axis={axis}")
        config["axis"] = axis[0]
    if isinstance(config.get("dtype"), dict):  # a policy
        config["dtype"] = config["dtype"].get("config", {}).get("name", "float32")
    for key in ("activation", "recurrent_activation"):
        if "hard_sigmoid" in str(config.get(key)):
            _refuse_hard_sigmoid(entry)
        if config.get(key) == "softmax_v2":
            config[key] = "softmax"
    for key in ("layer", "cell", "backward_layer"):
        if isinstance(config.get(key), dict):
            config[key] = _nested(config[key])
    if isinstance(config.get("cells"), list):
        config["cells"] = [_nested(cell) for cell in config["cells"]]
    known = set(BASE_ARGUMENTS)
    for parent in kind.__mro__:
        if parent.__module__.startswith("keras") and "__init__" in vars(parent):
            known |= set(inspect.signature(vars(parent)["__init__"]).parameters)
    for key in [k for k in config if k not in known or k in ("input_shape", "batch_input_shape")]:
        value = config.pop(key)
        neutral = DROPPED.get(key)
        if value is not None and neutral is not ... and value != neutral and value is not False:
            _refuse(entry, f"argument {key}={value!r}, which Keras 3 does not have")
    return config


def _nested(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return a wrapped layer's entry as Keras 3 writes it."""
    kind = getattr(keras.layers, str(data["class_name"]), None)
    if kind is None:
        if data["class_name"] in MODELS:
            _refuse(data, "a model inside a wrapper")
        _refuse(data, f"class {data['class_name']}, which Keras 3 does not have")
    return {
        "module": "keras.layers",
        "class_name": data["class_name"],
        "config": _translated(data, kind),
        "registered_name": None,
    }


def _arguments(node: Any, tensors: Mapping[Any, Any]) -> tuple[Any, dict[str, Any]]:
    """Return the inputs and keyword arguments of one call of a layer."""
    keywords: dict[str, Any] = {}

    def tensor(reference: list[Any]) -> Any:
        if reference[0] == "_CONSTANT_VALUE":
            return reference[2]
        if len(reference) > 3:
            keywords.update(reference[3])
        return _tensor(reference, tensors)

    def structure(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: structure(item) for key, item in value.items()}
        return tensor(value) if isinstance(value[0], str) else [structure(v) for v in value]

    inputs = _single(structure(node))
    return inputs, {
        key: _looked_up(value, tensors) for key, value in keywords.items() if value is not None
    }


def _single(value: Any) -> Any:
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _tensor(reference: list[Any], tensors: Mapping[Any, Any]) -> Any:
    found = tensors.get(tuple(reference[:3]))
    if found is None:
        raise Waiting(f"no layer makes the tensor {reference[:3]}")
    return found


def _looked_up(value: Any, tensors: Mapping[Any, Any]) -> Any:
    """Return a structure with every `[layer, node, output]` replaced by its tensor."""
    if isinstance(value, list):
        names = {key[0] for key in tensors}
        if len(value) in (3, 4) and isinstance(value[0], str):
            if value[0] not in names and not isinstance(value[1], int):
                return value
            return _tensor(value, tensors)
        return [_looked_up(v, tensors) for v in value]
    if isinstance(value, dict):
        return {key: _looked_up(v, tensors) for key, v in value.items()}
    return value


def _called(built: Built, arguments: Any, keywords: dict[str, Any]) -> Any:
    if built.layer is None:
        operation = OPERATIONS[built.data["config"]["function"]]
        keywords.pop("name", None)
        outputs = _calling(built.data, lambda: operation(arguments, **keywords))
        for tensor in keras.tree.flatten(outputs):
            # Keras names operations by their class, which may be the name of a layer already
            tensor._keras_history.operation.name = built.name.replace("/", "_")
        return outputs
    return _calling(built.data, lambda: built.layer(arguments, **keywords))


def _calling(entry: Mapping[str, Any], call: Callable[[], Any]) -> Any:
    try:
        return call()
    except (TypeError, ValueError, AttributeError, NotImplementedError) as error:
        raise ModelError(
            f"layer {layer_name(entry)!r} ({entry['class_name']}) of Keras 2 cannot be called in "
            f"Keras 3: {str(error).splitlines()[0]}",
            hint=HINT,
        ) from error


def _refuse(entry: Mapping[str, Any], why: str, *, hint: str = HINT) -> NoReturn:
    raise ModelError(
        f"layer {layer_name(entry)!r} of a Keras 2 model cannot be rebuilt in Keras 3: it has "
        f"{why}",
        hint=hint,
    )


def _refuse_hard_sigmoid(entry: Mapping[str, Any]) -> NoReturn:
    _refuse(entry, "hard_sigmoid, which is x/5 + 1/2 in Keras 2 and x/6 + 1/2 in Keras 3")
