"""Normalization computes with constants that it derives from its weights: copies must too."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from edgeshrink.nn.graph import folded, rewritten, untrained
from edgeshrink.nn.loading import load_model, save_model
from edgeshrink.nn.loading.load import fix_input_shapes

RNG = np.random.default_rng(0)
PIXELS = RNG.uniform(100, 140, (64, 6, 6, 2)).astype("float32")


def adapted(size: int | None = 6) -> keras.Model:
    keras.utils.set_random_seed(0)
    norm = keras.layers.Normalization(name="norm")
    norm.adapt(PIXELS / 127.5 - 1)
    return keras.Sequential(
        [
            keras.Input((size, size, 2), name="x"),
            keras.layers.Rescaling(1 / 127.5, -1.0),
            norm,
            keras.layers.Conv2D(3, 3, name="conv"),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, name="dense"),
        ]
    )


def answers(model: keras.Model) -> np.ndarray:
    return np.asarray(model(PIXELS, training=False))


def test_a_folded_copy_normalizes_as_the_model() -> None:
    model = adapted()
    np.testing.assert_allclose(answers(folded(model)), answers(model), atol=1e-4)


def test_a_nested_copy_normalizes_as_the_model() -> None:
    inner = adapted()
    x = keras.Input((6, 6, 2))
    model = keras.Model(x, keras.layers.Softmax()(inner(x)))
    copy = rewritten(model, lambda layer, name: None)
    np.testing.assert_allclose(answers(copy), answers(model), atol=1e-5)


def test_a_copy_of_fixed_shape_normalizes_as_the_model() -> None:
    model = adapted(None)
    np.testing.assert_allclose(
        answers(fix_input_shapes(model, {"x": (1, 6, 6, 2)})), answers(model), atol=1e-5
    )


@pytest.mark.filterwarnings("ignore:Layer .* does not have a `quantize` method")
def test_what_keras_quantized_normalizes_as_the_model(tmp_path: Path) -> None:
    model = adapted()
    before = answers(model)
    model.quantize("int8")
    save_model(model, tmp_path / "model.keras")
    made = answers(load_model(tmp_path / "model.keras"))
    assert np.abs(made - before).max() < 0.02 * np.ptp(before)


def test_an_untrained_copy_keeps_what_data_are_normalized_by() -> None:
    model = adapted()
    fresh = untrained(model)
    np.testing.assert_allclose(fresh.get_layer("norm").mean, model.get_layer("norm").mean)
    assert np.abs(answers(fresh) - answers(model)).max() > 0.01
