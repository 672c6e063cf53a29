"""Values of a file's activations, also where a loop hands on what nothing takes."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from edgeshrink.nn import Conversion, convert
from edgeshrink.tflite import activation_values, read_model


def test_a_loop_that_hands_on_all_it_was_given_has_values(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    gru, dense = keras.layers.GRU(4), keras.layers.Dense(3, name="end")
    model = keras.Sequential([keras.Input((6, 2), name="steps"), gru, dense])
    data = convert(model, {"float": Conversion()}, tmp_path)["float"]
    assert "WHILE" in {operator.name for operator in read_model(data).operators}
    steps = np.random.default_rng(0).normal(size=(3, 6, 2)).astype("float32")
    wanted = model.predict_on_batch(steps)
    (end,) = (tensor.index for tensor in read_model(data).outputs)
    found = np.concatenate([seen[end] for seen in activation_values(data, {"steps": steps})])
    np.testing.assert_allclose(found, wanted, atol=1e-5)
