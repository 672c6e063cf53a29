"""Models that Keras itself quantized: read as the floats that their codes stand for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgeshrink.errors import ModelError
from edgeshrink.models import facts, refuse
from edgeshrink.nn.loading import load_model, load_stored, save_model
from edgeshrink.nn.loading.quantized import as_floats

layers = keras.layers
BLOCKS = keras.quantizers.Int4QuantizationConfig
MODES = {
    "int8": "int8",
    "int4 in blocks": BLOCKS(block_size=4),
    "int4": BLOCKS(block_size=-1),
    "float8": "float8",
}
pytestmark = [
    pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method"),
    pytest.mark.filterwarnings("ignore:Invalid quantization mode"),  # an Embedding in float8
]


def images() -> keras.Model:
    given = keras.Input((6, 6, 1))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(given))
    x = layers.Dropout(0.2)(layers.Flatten()(x))
    x = layers.Dense(9, activation="relu", name="hidden")(x)
    return keras.Model(given, layers.Dense(5, activation="softmax", name="top")(x))


def tokens() -> keras.Model:
    given = keras.Input((6,), dtype="int32")
    x = layers.Embedding(20, 16)(given)
    heads = layers.EinsumDense("abc,cde->abde", output_shape=(6, 3, 4), bias_axes="de")(x)
    x = layers.EinsumDense("abde,def->abf", output_shape=(6, 16))(heads) + x
    x = layers.EinsumDense("xhc,hcd->xhd", output_shape=(6, 7), activation="gelu")(x)
    return keras.Model(given, layers.Dense(3)(layers.GlobalAveragePooling1D()(x)))


def nested() -> keras.Model:
    inner = keras.Sequential([keras.Input((4,)), layers.Dense(5, activation="relu")], name="inner")
    return keras.Sequential([keras.Input((4,)), inner, layers.Dense(2)])


def quantized(model: keras.Model, mode: Any) -> keras.Model:
    for layer in model._flatten_layers():
        if getattr(layer, "bias", None) is not None:
            layer.bias.assign(
                np.linspace(-1, 1, int(np.prod(layer.bias.shape))).reshape(layer.bias.shape)
            )
    if isinstance(mode, str):
        model.quantize(mode)
    else:
        model.quantize(config=mode)
    return model


def samples(model: keras.Model) -> np.ndarray:
    random = np.random.default_rng(0)
    (given,) = model.inputs
    shape = (64, *given.shape[1:])
    return random.integers(0, 20, shape) if given.dtype == "int32" else random.random(shape, "f")


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("network", [images, tokens, nested])
def test_the_float_model_answers_as_the_quantized_one(
    tmp_path: Path, network: Callable[[], keras.Model], mode: str
) -> None:
    keras.utils.set_random_seed(0)
    path = tmp_path / "model.keras"
    quantized(network(), MODES[mode]).save(path)
    assert facts(path).quantized == (mode.partition(" ")[0],)
    stored, plain = load_stored(path), load_model(path)
    assert {layer.quantization_mode for layer in plain._flatten_layers()} == {None}
    assert plain.count_params() == network().count_params()
    x = samples(plain)
    wanted, said = (model.predict(x, verbose=0) for model in (stored, plain))
    # what Keras rounds besides: inputs of layers, in int8 and float8, and biases in float8
    room = {"int8": 0.02, "float8": 0.2}.get(mode, 1e-5)
    assert np.abs(said - wanted).max() <= room * np.abs(wanted).max()


def test_weights_are_codes_times_their_steps(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    path = tmp_path / "model.keras"
    quantized(images(), "int8").save(path)
    stored, plain = load_stored(path), load_model(path)
    for name in ("hidden", "top"):
        coded = stored.get_layer(name)
        steps = 1 / np.asarray(coded.kernel_scale)
        kernel = np.asarray(plain.get_layer(name).kernel)
        codes = np.asarray(coded.kernel)
        assert codes.dtype == np.int8
        np.testing.assert_allclose(kernel, codes * steps, rtol=1e-5)
        assert np.array_equal(np.round(kernel / steps), codes)
        assert np.array_equal(plain.get_layer(name).bias, coded.bias)


def test_float8_keeps_the_weights_that_keras_keeps(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = images()
    kernel = np.asarray(model.get_layer("hidden").kernel)
    plain = as_floats(quantized(model, "float8"))
    assert np.array_equal(plain.get_layer("hidden").kernel, kernel)


@pytest.mark.parametrize("mode", ["gptq", "awq"])
def test_calibrated_codes_are_read_too(mode: str) -> None:
    keras.utils.set_random_seed(0)
    given = keras.Input((16,), dtype="int32")
    embedding = layers.Embedding(20, 16)
    block = keras.Sequential(
        [keras.Input((16, 16)), layers.Dense(24, activation="relu"), layers.Dense(16)]
    )
    model = keras.Model(given, layers.GlobalAveragePooling1D()(block(embedding(given))))
    model.get_quantization_layer_structure = lambda mode: {
        "pre_block_layers": [embedding],
        "sequential_blocks": [block],
    }
    random = np.random.default_rng(0)
    settings = {
        "dataset": [random.integers(0, 20, (1, 64)) for _ in range(4)],
        "tokenizer": lambda text: text,
        "num_samples": 4,
        "sequence_length": 16,
        "group_size": 8,
    }
    config = {"gptq": keras.quantizers.GPTQConfig, "awq": keras.quantizers.AWQConfig}[mode]
    model.quantize(mode, config=config(**settings))
    x = random.integers(0, 20, (32, 16))
    np.testing.assert_allclose(
        as_floats(model).predict(x, verbose=0), model.predict(x, verbose=0), atol=1e-6
    )


@pytest.mark.heavy
def test_what_keras_does_not_load_again_is_refused_with_what_to_do(tmp_path: Path) -> None:
    given = keras.Input((6, 8))
    path = tmp_path / "attention.keras"
    heads = layers.MultiHeadAttention(2, 4)(given, given)
    quantized(keras.Model(given, layers.Dense(2)(heads)), "int8").save(path)
    with pytest.raises(ModelError, match=r"Keras cannot load attention\.keras") as told:
        load_model(path)
    assert "Keras quantized it (int8)" in told.value.hint
    assert "before model.quantize" in told.value.hint


def test_a_layer_that_cannot_be_asked_is_refused() -> None:
    given = keras.Input((6,), dtype="int32")
    model = keras.Model(given, layers.ReversibleEmbedding(20, 8)(given))
    model.quantize("int8")
    with pytest.raises(ModelError, match="a ReversibleEmbedding that Keras quantized cannot be"):
        as_floats(model)


def test_a_model_that_is_not_quantized_is_itself() -> None:
    model = images()
    assert as_floats(model) is model


def test_the_plan_and_inspect_tell_it(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    quantized(images(), "int4").save(path)
    (warning,) = refuse(facts(path), source="model.keras")
    assert warning.startswith("model.keras was quantized by Keras (int4): its weights are read as")
    save_model(images(), path)
    assert facts(path).quantized == ()
    assert refuse(facts(path)) == ()
