"""Training on few levels: what comes out lies on them, and is stored in as few bits."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, strategies as st
from keras import ops

from edgeshrink.api import Context
from edgeshrink.errors import UsageError
from edgeshrink.testing import check_method, running, tiny_data, tiny_model
from edgeshrink.tflite.reader import read_model
from edgeshrink_quantize.fewbits.channels import channel_kernels
from edgeshrink_quantize.fewbits.forwards import (
    BinaryForward,
    PowerForward,
    TernaryForward,
    powers_of_two,
)
from edgeshrink_quantize.fewbits.grids import steps
from edgeshrink_quantize.fewbits.levels import Binary, Inq, Ternary, TrainLevels


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (TrainLevels, {"levels": "binary", "scales": "learned", "keep": ("none",)}),
        pytest.param(Inq, {"bits": 5}, marks=pytest.mark.slow),
    ],
)
def test_each_method_does_what_a_method_must(method: type, options: dict[str, object]) -> None:
    check_method(method, options)


def context_for(step: object, model: keras.Model, folder: Path) -> Context:
    return running.context(step, model, model, tiny_data(), folder)


@pytest.mark.parametrize("method", [Ternary, Binary])
def test_trained_levels_are_stored_in_two_bits(method: type, tmp_path: Path) -> None:
    model = tiny_model()
    step = method.of({"keep": ("conv",), "scales": "learned"}, {"epochs": 1})
    (training,) = step.before()
    assert training.tuning.epochs == 1
    trained = training.apply(model, context_for(training, model, tmp_path))
    for kernel in channel_kernels(trained):
        on_levels = not np.isnan(steps(kernel.columns(), 2)).any()
        assert on_levels == (kernel.layer.name != "conv")
        if on_levels and method is Binary:
            assert kernel.columns().all()
    context = context_for(step, trained, tmp_path)
    made = step.apply(trained, context)
    types = {t.elements: t.dtype for t in read_model(made).weights if len(t.shape) > 1}
    assert types == {36: "float32", 16 * 64: "int2", 16 * 3: "int2"}
    assert context.agreement(made).cosine > 0.99
    assert context.notes[-1] == "weights of kernels: 1,072 in int2, 36 in float32"


def test_the_first_and_the_last_layer_stay_by_default(tmp_path: Path) -> None:
    model = tiny_model()
    step = TrainLevels.of({"levels": "ternary"})
    trained = step.apply(model, context_for(step, model, tmp_path))
    on_levels = {
        k.layer.name for k in channel_kernels(trained) if not np.isnan(steps(k.columns(), 2)).any()
    }
    assert on_levels == {"hidden"}


def test_a_layer_to_keep_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    model = tiny_model()
    step = Inq.of({"bits": 4, "keep": ("hiden",)})
    with pytest.raises(UsageError, match="no layer with a kernel is named 'hiden'"):
        step.apply(model, context_for(step, model, tmp_path))


@pytest.mark.parametrize("bits", [5, 8])
def test_incremental_quantization_ends_on_powers_of_two_of_their_own_layer(
    tmp_path: Path, bits: int
) -> None:
    model = tiny_model()
    step = Inq.of({"bits": bits}, {"epochs": 2})
    trained = step.apply(model, context_for(step, model, tmp_path))
    for kernel in channel_kernels(trained):
        values = np.abs(np.asarray(kernel.variable, "float64"))
        exponents = np.log2(values[values > 0])
        assert np.array_equal(exponents, np.round(exponents))
        assert np.ptp(exponents) < 2 ** (bits - 2)


def test_what_was_fixed_stays_while_the_rest_moves() -> None:
    values = np.array([[0.9, -0.3], [0.05, 0.6]], "float32")
    forward = PowerForward(values, 3)
    variable = keras.Variable(values)
    forward.fix(variable, 0.5)
    assert forward.powers.tolist() == [0.5, 1.0]
    assert np.asarray(forward(variable.value)) == pytest.approx(np.array([[1, -0.3], [0.05, 0.5]]))
    variable.assign([[9, -0.4], [0.1, 9]])
    assert np.asarray(forward(variable.value)) == pytest.approx(np.array([[1, -0.4], [0.1, 0.5]]))
    forward.fix(variable, 1.0)
    assert np.asarray(forward(variable.value)) == pytest.approx(np.array([[1, -0.5], [0, 0.5]]))


@given(st.floats(-3, 3), st.integers(-4, 1), st.integers(1, 8))
def test_a_power_of_two_is_the_nearest_that_there_is(value: float, last: int, count: int) -> None:
    powers = 2.0 ** np.arange(last - count + 1, last + 1)
    (found,) = powers_of_two(np.array([value]), powers)
    levels = np.concatenate([-powers, [0.0], powers])
    assert abs(found - value) == pytest.approx(np.abs(levels - value).min())


def test_ternary_weights_are_those_of_the_paper_by_channel() -> None:
    values = np.array([[1.0, 4.0], [-3.0, 0.0], [0.5, 0.2]], "float32")
    forward = TernaryForward((-1,))
    forward.start(values)
    # thresholds 0.7 * 1.5 and 0.7 * 1.4
    wanted = [[0, 4], [-3, 0], [0, 0]]
    assert np.asarray(forward(ops.convert_to_tensor(values))).tolist() == wanted


def test_binary_weights_keep_zeros_and_learned_scales_get_their_gradient() -> None:
    import tensorflow as tf

    values = np.array([[1.0, -4.0], [-3.0, 0.0]], "float32")
    forward = BinaryForward((-1,), learned=True)
    forward.start(values)
    master = tf.Variable(values)
    with tf.GradientTape() as tape:
        made = forward(tf.convert_to_tensor(master))
        total = tf.reduce_sum(made * [[1.0, 2.0], [3.0, 4.0]])
    assert made.numpy().tolist() == [[2, -4], [-2, 0]]
    to_master, to_scale = tape.gradient(total, [master, forward.scale.value])
    assert to_scale.numpy().tolist() == [[1 - 3, -2]]
    assert to_master.numpy().tolist() == [[2, 8], [6, 4]]
