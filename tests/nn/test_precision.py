"""Models of other floats than those of 32 bits are rebuilt in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import given, strategies as st

from edgeshrink.models import facts, in_float32, refuse
from edgeshrink.models.policies import OTHER_FLOATS, other_floats_in
from edgeshrink.nn.conversion import Conversion, convert
from edgeshrink.nn.loading import load_model

layers = keras.layers
X = np.random.default_rng(0).normal(size=(4, 6, 6, 3))
COPIES = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")


def mixed(policy: Any, inputs: str = "float32", cast: bool = True) -> keras.Model:
    keras.utils.set_random_seed(0)
    inner = keras.Input((6, 6, 4), dtype=inputs)
    y = layers.BatchNormalization(dtype=policy)(layers.Conv2D(4, 3, dtype=policy)(inner))
    block = keras.Model(inner, layers.ReLU(dtype=policy)(y))
    x = keras.Input((6, 6, 3), dtype=inputs, name="x")
    y = block(layers.Conv2D(4, 3, padding="same", dtype=policy)(x))
    y = layers.Flatten(dtype=policy)(y)
    y = keras.ops.cast(y, "float16") if cast else y  # Keras opens no .h5 with operations
    return keras.Model(x, layers.Dense(3, activation="softmax", dtype=policy, name="float16")(y))


def in_bits(model: keras.Model, source: keras.Model) -> None:
    """Check that all is float32, and the weights those of the source."""
    assert {str(layer.compute_dtype) for layer in model._flatten_layers()} == {"float32"}
    assert {str(tensor.dtype) for tensor in (*model.inputs, *model.outputs)} == {"float32"}
    for made, known in zip(model.weights, source.weights, strict=True):
        np.testing.assert_array_equal(
            np.asarray(made), np.asarray(keras.ops.cast(known, "float32"))
        )


@COPIES
@pytest.mark.parametrize(
    ("policy", "suffix"),
    [
        *((policy, ".keras") for policy in sorted(OTHER_FLOATS)),
        # Keras 3.15 writes bfloat16 weights to .h5, and cannot read them
        *((policy, ".h5") for policy in sorted(OTHER_FLOATS - {"bfloat16"})),
    ],
)
def test_any_policy_is_rebuilt_in_float32_and_said(
    tmp_path: Path, policy: str, suffix: str
) -> None:
    pure = policy if "mixed" not in policy else "float32"
    model, path = mixed(policy, pure, suffix == ".keras"), tmp_path / f"model{suffix}"
    model.save(path)
    found = facts(path)
    assert [note for note in refuse(found, source="it") if "float" in note] == [
        f"it computes in {found.dtype_policy}: rebuilt in float32"
    ]
    assert found.inputs[0].dtype == "float32"
    made = load_model(path)
    in_bits(made, model)
    apart = np.abs(np.asarray(made(X)) - np.asarray(keras.ops.cast(model(X), "float32")))
    assert apart.max() < 0.05
    data = convert(made, {"float": Conversion()}, tmp_path / "work")["float"]
    assert len(data) > 0


def test_maps_of_policies_are_rebuilt_too() -> None:
    policies = keras.dtype_policies.DTypePolicyMap(
        keras.DTypePolicy("float16"), {"key": keras.DTypePolicy("mixed_bfloat16")}
    )
    told = keras.saving.serialize_keras_object(layers.Dense(2, dtype=policies))
    assert set(other_floats_in(told)) == {"float16", "mixed_bfloat16"}
    assert list(other_floats_in(in_float32(told))) == []


def test_the_type_of_an_input_is_not_that_of_the_model(tmp_path: Path) -> None:
    x = keras.Input((5,), dtype="int32", name="tokens")
    model = keras.Model(x, layers.Flatten()(layers.Embedding(9, 2)(x)))
    model.save(tmp_path / "model.keras")
    found = facts(tmp_path / "model.keras")
    assert (found.dtype_policy, found.inputs[0].dtype) == ("float32", "int32")
    assert refuse(found) == ()


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
@COPIES
def test_what_keras_quantized_in_mixed_precision_is_read_too(tmp_path: Path) -> None:
    x = keras.Input((8,), name="x")
    y = layers.Dense(6, dtype="mixed_bfloat16")(x)
    model = keras.Model(x, layers.Dense(3, dtype="mixed_bfloat16")(y))
    before = [np.asarray(weight) for weight in model.weights]
    model.quantize("int8")
    model.save(tmp_path / "model.keras")
    made = load_model(tmp_path / "model.keras")
    for known, weight in zip(before, made.weights, strict=True):
        assert np.abs(np.asarray(weight) - known).max() <= 0.02 * max(np.abs(known).max(), 1e-9)
    assert {str(layer.compute_dtype) for layer in made._flatten_layers()} == {"float32"}


policies = st.sampled_from([*sorted(OTHER_FLOATS), "float32", "int32", "int8_from_mixed_float16"])
configurations = st.recursive(
    policies | st.none() | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["dtype", "name", "config", "units"]), inner, max_size=3)
    ),
)


@given(configurations)
def test_rebuilding_is_done_once_and_changes_nothing_else(value: Any) -> None:
    once = in_float32(value)
    assert in_float32(once) == once
    assert not list(other_floats_in(once))
    assert (once == value) == (not list(other_floats_in(value)))


def test_inspect_tells_the_shapes_that_a_loaded_model_has(tmp_path: Path) -> None:
    from edgeshrink.cli.shared import registry
    from edgeshrink.engine import inspected

    x = keras.Input((8, 8, 1), name="x")
    keras.Model(x, layers.Conv2D(2, 3, name="out")(x)).save(tmp_path / "model.keras")
    told = inspected(tmp_path / "model.keras", registry())
    assert [(o["name"], o["shape"]) for o in told["outputs"]] == [("out", (None, 6, 6, 2))]
