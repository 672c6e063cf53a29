"""Ranges that kernels of integers cannot reach are widened, or refused in words."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgeshrink.errors import ModelError
from edgeshrink.nn import Conversion, convert
from edgeshrink.tflite import too_steep

layers = keras.layers
INT8 = {"int8": Conversion("int8", "int8")}


def gated(bias: float, weight: float = 1.0) -> keras.Model:
    """Return a model with a dense layer behind a ReLU that opens or not, and one beside it."""
    keras.utils.set_random_seed(0)
    values = keras.Input((8,), name="values")
    gate = layers.Dense(4, activation="relu", name="gate")
    opened = layers.Dense(4, name="behind")(gate(values))
    model = keras.Model(values, layers.Add(name="sum")([opened, layers.Dense(4)(values)]))
    gate.bias.assign(np.full(4, bias))
    kernel = np.array(gate.kernel)
    kernel[0, 0] *= weight
    gate.kernel.assign(kernel)
    return model


def samples() -> dict[str, np.ndarray]:
    values = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    values[:, 0] = 0  # the vast weight meets zeros
    return {"values": values}


def answers(data: bytes, values: np.ndarray) -> np.ndarray:
    interpreter = Interpreter(model_content=data)
    interpreter.allocate_tensors()
    run = interpreter.get_signature_runner()
    return np.concatenate([run(values=values[n : n + 1])["sum"] for n in range(len(values))])


@pytest.mark.parametrize("bias", [0.0, -100.0])
@pytest.mark.parametrize("given", [False, True], ids=["seen", "given"])
def test_a_relu_that_never_opens_still_runs(tmp_path: Path, bias: float, given: bool) -> None:
    model, taken = gated(bias), samples()
    ranges = (lambda calibrated: {}) if given else None  # as a trained model brings them
    made = convert(model, INT8, tmp_path, taken, ranges=ranges)["int8"]
    assert not too_steep(made)
    wanted = model.predict_on_batch(taken["values"])
    error = np.abs(answers(made, taken["values"]) - wanted).max()
    assert error < 0.05 * np.ptp(wanted)


def test_weights_that_no_integer_reaches_are_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"cannot hold the weights at \S*gate\S*, which go up to "):
        convert(gated(0.0, 1e30), INT8, tmp_path, samples())


def test_a_weight_far_beyond_the_others_widens_what_is_put_out(tmp_path: Path) -> None:
    made = convert(gated(0.0, 1e5), INT8, tmp_path, samples())["int8"]
    assert not too_steep(made)
    assert np.isfinite(answers(made, samples()["values"])).all()
