"""What makes each output of a model, through nested models and what moves values."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

import edgeshrink as package
from edgeshrink.errors import ModelError
from edgeshrink.models import facts
from edgeshrink.nn.graph import functional
from edgeshrink.nn.learning import activation_of, output_facts

layers = keras.layers


def heads() -> keras.Model:
    x = keras.Input((4,))
    kinds = layers.Dense(3, activation="softmax")(x)
    return keras.Model(x, [kinds, layers.Dense(1, activation="sigmoid")(x)], name="heads")


def told(model: keras.Model) -> list[str]:
    return [activation_of(model, place) for place in range(len(model.outputs))]


def test_outputs_of_a_nested_model_are_told_apart_in_any_order() -> None:
    x = keras.Input((4,))
    kinds, box = heads()(x)
    assert told(keras.Model(x, [kinds, box])) == ["softmax", "sigmoid"]
    assert told(keras.Model(x, [box, kinds])) == ["sigmoid", "softmax"]
    assert told(keras.Model(x, {"a": box, "b": kinds})) == ["sigmoid", "softmax"]


def test_outputs_of_one_nested_model_have_names_shapes_and_files_of_their_own(
    tmp_path: Path,
) -> None:
    x = keras.Input((4,), name="x")
    model = keras.Model(x, heads()(x))
    wanted = [("heads", (None, 3), "softmax"), ("heads_1", (None, 1), "sigmoid")]
    assert [(o.name, o.shape, o.activation) for o in output_facts(model)] == wanted
    model.save(tmp_path / "model.keras")
    read = facts(tmp_path / "model.keras").outputs
    assert [(o.name, o.shape, o.activation) for o in read] == wanted
    report = package.compress(
        tmp_path / "model.keras", output=tmp_path / "small.tflite", float=True, rules="smoke"
    )
    assert report.ledger.final.agreement.max_error < 1e-4


def test_a_layer_that_moves_values_of_several_is_told_by_its_call() -> None:
    x, moving = keras.Input((4,)), layers.Reshape((3, 1))
    outputs = [moving(heads()(x)[0]), moving(layers.Dense(3)(x))]
    assert told(keras.Model(x, outputs)) == ["softmax", "linear"]


def test_a_model_that_is_called_at_each_step_is_opened() -> None:
    x = keras.Input((4,))
    inner = keras.Model(x, layers.Dense(3, activation="softmax")(x))
    steps = keras.Input((6, 4))
    assert told(keras.Model(steps, layers.TimeDistributed(inner)(steps))) == ["softmax"]


def test_a_sequential_without_an_input_is_refused_in_words() -> None:
    with pytest.raises(ModelError, match="not built: the shape of its input is open") as error:
        functional(keras.Sequential([layers.Dense(3)], name="open"))
    assert "keras.Input" in error.value.hint
