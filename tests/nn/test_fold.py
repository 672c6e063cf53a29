"""Folding: the answers stay, the batch norms go, and the original is left as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgeshrink.errors import ModelError
from edgeshrink.nn.graph.fold import folded

layers = keras.layers
Norm = layers.BatchNormalization


def stirred(model: keras.Model) -> keras.Model:
    """Give every weight, moving statistics too, a value that matters."""
    rng = np.random.default_rng(0)
    for variable in model.weights:
        if "float" in str(variable.dtype):
            values = rng.normal(0, 0.3, variable.shape)
            variable.assign(np.abs(values) + 0.1 if "variance" in variable.path else values)
    return model


def norms(model: keras.Model) -> list[str]:
    return [
        layer.name for layer in model._flatten_layers(include_self=False) if isinstance(layer, Norm)
    ]


def same(model: keras.Model) -> keras.Model:
    """Fold a model, check that the answers are the same, and return it."""
    rng = np.random.default_rng(1)
    given = [rng.normal(size=(3, *t.shape[1:])).astype("float32") for t in model.inputs]
    x: Any = given[0] if len(given) == 1 else given
    weights = [np.asarray(v).copy() for v in model.weights]
    made = folded(model)
    for old, new in zip(
        keras.tree.flatten(model(x, training=False)),
        keras.tree.flatten(made(x, training=False)),
        strict=True,
    ):
        np.testing.assert_allclose(np.asarray(new), np.asarray(old), rtol=2e-4, atol=2e-5)
    for before, now in zip(weights, model.weights, strict=True):
        np.testing.assert_array_equal(before, np.asarray(now))
    return made


def chain(shape: tuple[int, ...], *parts: keras.layers.Layer) -> keras.Model:
    return stirred(keras.Sequential([keras.Input(shape, name="image"), *parts]))


LINEAR = {
    "dense": ((7,), lambda: layers.Dense(5, use_bias=False)),
    "conv 1D": ((9, 3), lambda: layers.Conv1D(4, 3, strides=2)),
    "conv 2D": ((8, 8, 3), lambda: layers.Conv2D(4, 3, groups=1, use_bias=False)),
    "conv 3D": ((5, 5, 5, 2), lambda: layers.Conv3D(3, 2)),
    "grouped": ((8, 8, 4), lambda: layers.Conv2D(6, 3, groups=2)),
    "depthwise 1D": ((9, 3), lambda: layers.DepthwiseConv1D(3, depth_multiplier=2)),
    "depthwise 2D": ((8, 8, 3), lambda: layers.DepthwiseConv2D(3, depth_multiplier=2)),
    "transposed 1D": ((6, 3), lambda: layers.Conv1DTranspose(4, 3)),
    "transposed 2D": ((5, 5, 3), lambda: layers.Conv2DTranspose(4, 3, strides=2)),
    "separable 1D": ((9, 3), lambda: layers.SeparableConv1D(4, 3, depth_multiplier=2)),
    "separable 2D": ((8, 8, 3), lambda: layers.SeparableConv2D(4, 3, use_bias=False)),
}


@pytest.mark.parametrize("kind", LINEAR)
def test_a_norm_folds_into_each_linear_layer(kind: str) -> None:
    shape, layer = LINEAR[kind]
    made = same(chain(shape, layer(), Norm(), layers.ReLU()))
    assert norms(made) == []


@pytest.mark.parametrize("options", [{"scale": False}, {"center": False}])
def test_a_norm_without_scale_or_offset_folds(options: dict[str, bool]) -> None:
    assert norms(same(chain((6, 6, 2), layers.Conv2D(3, 3), Norm(**options)))) == []


def test_a_norm_that_does_not_fold_stays() -> None:
    image = keras.Input((6, 6, 2), name="image")
    twice = layers.Conv2D(2, 3, padding="same", name="twice")
    seen = layers.Conv2D(2, 3, padding="same", name="seen")(image)
    model = stirred(
        keras.Model(
            image,
            [
                Norm(name="first")(image),
                Norm(name="behind_relu")(layers.Conv2D(2, 3, activation="relu")(image)),
                Norm(name="behind_shared")(twice(twice(image))),
                layers.Add()([seen, Norm(name="beside")(seen)]),
                Norm(name="other_axis", axis=1)(layers.Conv2D(2, 1)(image)),
            ],
        )
    )
    kept = {"first", "behind_relu", "behind_shared", "beside", "other_axis"}
    assert set(norms(same(model))) == kept


def test_activations_stand_alone_and_outputs_keep_their_names() -> None:
    made = same(
        chain(
            (6,),
            layers.Dense(5, activation="tanh", name="hidden"),
            layers.Dense(4, activation="relu", name="fused"),
            layers.Dense(3, activation="softmax", name="classes"),
        )
    )
    assert [layer.name for layer in made.layers[1:]] == [
        "hidden",
        "hidden_tanh",
        "fused",
        "classes_linear",
        "classes",
    ]
    assert made.output_names == ["classes"]
    assert [t.name for t in made.inputs] == ["image"]


def test_nested_models_with_the_same_names_are_opened() -> None:
    def block(name: str) -> keras.Model:
        parts = [layers.Conv2D(2, 3, padding="same", name="conv"), Norm(name="norm")]
        return keras.Sequential([keras.Input((6, 6, 2)), *parts], name=name)

    image, extra = keras.Input((6, 6, 2), name="image"), keras.Input((3,), name="extra")
    one, two = block("one"), block("two")
    x = layers.Flatten()(two(one(one(image))))
    outputs = layers.Dense(3, name="kind")(layers.Concatenate()([x, extra]))
    made = same(stirred(keras.Model([image, extra], outputs)))
    assert norms(made) == []
    paths = [v.path for v in made.weights]
    assert len(set(paths)) == len(paths)


def test_recurrent_layers_wrappers_and_operations_are_copied() -> None:
    steps = keras.Input((5, 4), name="steps")
    x = layers.TimeDistributed(layers.Dense(4, activation="relu"))(steps * 2.0)
    x = layers.Bidirectional(layers.LSTM(3, return_sequences=True))(x)
    model = stirred(keras.Model(steps, keras.ops.mean(layers.GRU(3)(x), axis=-1)))
    same(model)


def test_a_folded_model_is_saved_and_opened(tmp_path: Path) -> None:
    made = same(chain((6, 6, 2), layers.Conv2D(3, 3), Norm(), layers.Activation("tanh")))
    made.save(tmp_path / "made.keras")
    again = keras.models.load_model(tmp_path / "made.keras")
    x = np.ones((2, 6, 6, 2), "float32")
    np.testing.assert_array_equal(made(x), again(x))
    assert [v.path for v in folded(again).weights] == [v.path for v in made.weights]


def test_a_subclassed_model_is_refused() -> None:
    class Own(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

    with pytest.raises(ModelError, match="subclassed"):
        folded(Own())
