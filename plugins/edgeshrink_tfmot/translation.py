"""A Keras 3 model of stock layers rebuilt in tf_keras with its weights, and the way back."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import keras
import numpy as np

from edgeshrink.api import ModelError, VerificationError
from edgeshrink.nn import agreement, predict, synthetic_inputs
from edgeshrink_tfmot.toolkit import REFUSALS, first_sentence, load

TOLERANCE = 1e-4  # of the outputs' range, between the two Kerases
HINT = "edgeshrink's own methods take every Keras model"
# Layers that both Kerases have, with the same weights in the same order.
STOCK = """
Dense Embedding LSTM GRU SimpleRNN
Conv1D Conv2D Conv3D Conv1DTranspose Conv2DTranspose Conv3DTranspose
DepthwiseConv1D DepthwiseConv2D SeparableConv1D SeparableConv2D
MaxPooling1D MaxPooling2D MaxPooling3D AveragePooling1D AveragePooling2D AveragePooling3D
GlobalMaxPooling1D GlobalMaxPooling2D GlobalMaxPooling3D
GlobalAveragePooling1D GlobalAveragePooling2D GlobalAveragePooling3D
ZeroPadding1D ZeroPadding2D ZeroPadding3D Cropping1D Cropping2D Cropping3D
UpSampling1D UpSampling2D UpSampling3D
BatchNormalization LayerNormalization Rescaling
Activation ReLU LeakyReLU ELU PReLU Softmax
Add Subtract Multiply Average Maximum Minimum Concatenate Dot
Flatten Reshape Permute RepeatVector
Dropout SpatialDropout1D SpatialDropout2D SpatialDropout3D GaussianDropout GaussianNoise
ActivityRegularization
"""
LAYERS = frozenset(STOCK.split())
# Arguments that Keras 2 calls otherwise.
RENAMED = {("LeakyReLU", "negative_slope"): "alpha"}
# Arguments that Keras 2 lacks, with the value under which leaving them out changes nothing;
# `...` stands for any value.
DROPPED: dict[str, Any] = {
    "data_format": "channels_last",
    "dtype": ...,  # the policy is looked at by itself
    "quantization_config": None,
    "renorm": False,
    "renorm_clipping": ...,
    "renorm_momentum": ...,
    "rms_scaling": False,
    "seed": ...,
    "synchronized": False,
    "zero_output_for_mask": False,
}
OTHERWISE_THERE = {"hard_sigmoid": "is x/6 + 1/2 in Keras 3 and x/5 + 1/2 in Keras 2"}


@dataclass
class Twin:
    """A tf_keras model beside the Keras 3 model that it was made from.

    Attributes:
        original: the Keras 3 model.
        model: the tf_keras model, of the same weights; nested models are flattened.
        layers: the Keras 3 layers with the names of their counterparts.
        inputs: made-up samples, a .npy file for each input.
    """

    original: keras.Model
    model: Any
    layers: list[tuple[keras.layers.Layer, str]]
    inputs: Mapping[str, Path]

    def check(self, legacy: Any) -> None:
        """Check that a tf_keras model answers as the original does.

        Raises:
            ModelError: outputs differ by more than `TOLERANCE` of their range.
        """
        wanted = predict(self.original, self.inputs)
        inputs = [np.load(self.inputs[tensor.name]) for tensor in self.original.inputs]
        answers = keras.tree.flatten(legacy(inputs, training=False))
        found = dict(zip(wanted, (np.asarray(a) for a in answers), strict=True))
        try:
            error = agreement(wanted, found).max_error
        except VerificationError as wrong:
            raise ModelError(f"the model rebuilt in Keras 2: {wrong}", hint=HINT) from wrong
        if error > TOLERANCE:
            raise ModelError(
                f"the model rebuilt in Keras 2 must answer as in Keras 3; outputs differ by "
                f"{error:.2g} of their range",
                hint=HINT,
            )

    def carry_back(self, legacy: Any) -> keras.Model:
        """Return the original with the weights of a tf_keras model of the same layers.

        Raises:
            ModelError: the two answer differently afterwards.
        """
        for layer, name in self.layers:
            layer.set_weights(legacy.get_layer(name).get_weights())
        self.check(legacy)
        return self.original


def translated(model: keras.Model, folder: Path) -> Twin:
    """Return the model rebuilt in tf_keras with its weights, checked by running both.

    Args:
        model: Sequential or Functional, of layers in `LAYERS`.
        folder: for files on the way.

    Raises:
        ModelError: a layer cannot be translated, or the two answer differently.
    """
    if _graph(model) is None:
        raise ModelError(
            f"TFMOT takes Sequential and Functional models; this is a {type(model).__name__}",
            hint=HINT,
        )
    _, tf_keras = load()
    given = [tf_keras.Input(t.shape[1:], dtype=t.dtype, name=t.name) for t in model.inputs]
    rebuilding = _Rebuilding()
    legacy = tf_keras.Model(given, rebuilding.through(model, given), name=model.name)
    for layer, counterpart in rebuilding.pairs.values():
        counterpart.set_weights(layer.get_weights())
    names = [(layer, made.name) for layer, made in rebuilding.pairs.values()]
    inputs = synthetic_inputs(model, folder / "translation", count=16)
    twin = Twin(model, legacy, names, inputs)
    twin.check(legacy)
    return twin


@dataclass
class _Rebuilding:
    """The layers rebuilt so far, by the identity of the original; shared ones are built once."""

    pairs: dict[int, tuple[keras.layers.Layer, Any]] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)

    def through(self, model: keras.Model, inputs: Any) -> list[Any]:
        """Return the tensors that a model's layers, rebuilt, make of `inputs`."""
        outputs = _graph(model)._run_through_graph(inputs, lambda layer: layer, self.call)
        return list(keras.tree.flatten(outputs))

    def call(self, layer: Any, *args: Any, **kwargs: Any) -> Any:
        """Return what the rebuilt layer makes of its arguments."""
        if _graph(layer) is not None:
            outputs = self.through(layer, args[0])
            return outputs if len(outputs) > 1 else outputs[0]
        if id(layer) not in self.pairs:
            self.pairs[id(layer)] = layer, self.rebuilt(layer)
        try:
            return self.pairs[id(layer)][1](*args, **kwargs)
        except REFUSALS as error:
            _refuse(layer, first_sentence(str(error)))

    def rebuilt(self, layer: Any) -> Any:
        """Return the tf_keras layer of the same arguments, under a name of its own."""
        kind = type(layer).__name__
        if kind not in LAYERS or type(layer) is not getattr(keras.layers, kind, None):
            _refuse(layer, f"class {kind} is not translated")
        if layer.dtype_policy.name != "float32":
            _refuse(layer, f"it computes in {layer.dtype_policy.name}")
        _, tf_keras = load()
        counterpart = getattr(tf_keras.layers, kind)
        arguments = _arguments(layer, _known(counterpart))
        name, place = layer.name, 1
        while name in self.names:  # layers of different nested models may share a name
            name, place = f"{layer.name}_{place}", place + 1
        self.names.add(name)
        try:
            return counterpart(**{**arguments, "name": name})
        except REFUSALS as error:
            _refuse(layer, first_sentence(str(error)))


def _graph(layer: Any) -> Any:
    """Return what runs the graph of a Sequential or Functional model; None for other layers."""
    functional = getattr(layer, "_functional", layer)
    return functional if hasattr(functional, "_run_through_graph") else None


def _known(counterpart: type) -> set[str]:
    """Return the arguments that a tf_keras layer takes."""
    return {"name", "trainable"}.union(
        *(
            inspect.signature(vars(parent)["__init__"]).parameters
            for parent in counterpart.__mro__
            if "__init__" in vars(parent) and parent.__module__.startswith("tf_keras.src.layers")
        )
    )


def _arguments(layer: Any, known: set[str]) -> dict[str, Any]:
    """Return a layer's arguments in the words of Keras 2."""
    arguments = {}
    for name, value in layer.get_config().items():
        key = RENAMED.get((type(layer).__name__, name), name)
        if key.endswith("_initializer"):
            continue  # the weights are copied
        if key.endswith(("_regularizer", "_constraint")):
            value = _counterpart(layer, key, value)
        elif key.endswith("activation") and value in OTHERWISE_THERE:
            _refuse(layer, f"{value} {OTHERWISE_THERE[value]}")
        if key in known and key != "dtype":
            arguments[key] = value
        elif value is not None and DROPPED.get(key) not in (..., value):
            _refuse(layer, f"argument {key}={value!r} is unknown to Keras 2")
    return arguments


def _counterpart(layer: Any, key: str, value: Any) -> Any:
    """Return Keras 2's regularizer or constraint of the same class and arguments."""
    if value is None:
        return None
    _, tf_keras = load()
    module = tf_keras.regularizers if key.endswith("regularizer") else tf_keras.constraints
    kind = getattr(module, str(value.get("class_name")), None)
    if kind is None or value.get("module") not in ("keras.regularizers", "keras.constraints"):
        _refuse(layer, f"{key}={value.get('class_name')} is unknown to Keras 2")
    return kind(**value["config"])


def _refuse(layer: Any, why: str) -> NoReturn:
    raise ModelError(
        f"layer {layer.name!r} ({type(layer).__name__}) cannot be rebuilt in Keras 2 for TFMOT: "
        f"{why}",
        hint=HINT,
    )
