"""Losses, weights and metrics are read as Keras wrote them, output by output."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import pytest

from edgeshrink.models.compiled import Compiled, LossFacts, Objective, by_output
from edgeshrink.models.config import facts

layers = keras.layers
SMOOTHED = keras.losses.BinaryCrossentropy(label_smoothing=0.1)


def two_outputs(*, named: bool) -> keras.Model:
    """Return a model whose outputs box and cls have the keys b and a, which Keras sorts."""
    inputs = keras.Input((8,))
    box = layers.Dense(4, name="box")(inputs)
    cls = layers.Dense(1, activation="sigmoid", name="cls")(inputs)
    return keras.Model(inputs, {"b": box, "a": cls} if named else [box, cls])


def objectives(model: keras.Model, path: Path) -> dict[str, Objective]:
    model.save(path)
    found = facts(path)
    return {
        output.name: found.compiled.objective(
            place, len(found.outputs), [n for n in (output.key, output.name) if n]
        )
        for place, output in enumerate(found.outputs)
    }


@pytest.mark.parametrize(
    ("named", "given"),
    [
        (True, {"loss": {"b": "mse", "a": SMOOTHED}, "loss_weights": {"b": 2.0, "a": 0.5}}),
        (False, {"loss": {"box": "mse", "cls": SMOOTHED}, "loss_weights": {"box": 2.0}}),
        (False, {"loss": ["mse", SMOOTHED], "loss_weights": [2.0, 0.5]}),
    ],
)
def test_each_output_has_its_own_loss_and_weight(
    tmp_path: Path, named: bool, given: dict[str, Any]
) -> None:
    model = two_outputs(named=named)
    model.compile("adam", **given)
    found = objectives(model, tmp_path / "m.keras")
    assert found["box"].loss == LossFacts("mse")
    assert found["box"].loss.class_name == "MeanSquaredError"
    assert found["box"].weight == 2
    assert found["cls"].loss is not None
    assert found["cls"].loss.class_name == "BinaryCrossentropy"
    assert found["cls"].loss.options["label_smoothing"] == 0.1


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_metrics_are_those_of_the_output(tmp_path: Path, suffix: str) -> None:
    model = two_outputs(named=False)
    model.compile("adam", ["mse", "binary_crossentropy"], metrics=[["mae"], ["accuracy"]])
    found = objectives(model, tmp_path / f"m.{suffix}")
    assert {name: one.metrics for name, one in found.items()} == {
        "box": ("mae",),
        "cls": ("accuracy",),
    }


def test_one_loss_is_that_of_all_outputs(tmp_path: Path) -> None:
    model = two_outputs(named=True)
    model.compile("adam", "mae")
    found = objectives(model, tmp_path / "m.keras")
    assert [one.loss for one in found.values()] == [LossFacts("mae"), LossFacts("mae")]


def test_an_output_without_a_loss_has_none() -> None:
    compiled = Compiled({"box": "mse"}, None, None)
    assert compiled.objective(1, 2, ["cls"]) == Objective()


def test_losses_that_are_nested_are_told_by_place() -> None:
    compiled = Compiled({"head": {"b": "mse", "a": "mae"}, "tail": "huber"})
    spelled = [compiled.objective(place, 3, [f"dense_{place}"]).loss for place in range(3)]
    assert [loss.spelled for loss in spelled if loss] == ["mae", "mse", "huber"]


@pytest.mark.parametrize(
    "spelled",
    [
        "mse",
        "mean_squared_error",
        "bce",
        "kld",
        "log_cosh",
        "sparse_categorical_crossentropy",
        "categorical_focal_crossentropy",
        "huber",
    ],
)
def test_a_name_is_of_the_class_that_keras_makes_of_it(spelled: str) -> None:
    made = getattr(keras.losses, LossFacts(spelled).class_name)()
    assert made.fn is keras.losses.get(spelled)


def test_a_text_says_it_for_one_output_or_for_all() -> None:
    assert by_output("box=mse, mae") == {"box": "mse", "": "mae"}
    assert by_output("") == {}
