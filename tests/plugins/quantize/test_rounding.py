"""Grids of few bits, and rounding to them: what is on a grid stays, zeros stay zero."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra import numpy as arrays

from edgeshrink.errors import UsageError
from edgeshrink.nn.graph.fold import folded
from edgeshrink.nn.inputs.comparison import divergence
from edgeshrink.testing import tiny_model
from edgeshrink.testing.running import context
from edgeshrink_quantize.fewbits.channels import channel_kernels
from edgeshrink_quantize.fewbits.grids import LARGEST, codes, steps
from edgeshrink_quantize.fewbits.hessians import hessian
from edgeshrink_quantize.fewbits.lowbit import Int2
from edgeshrink_quantize.fewbits.rounding import STEPS, gptq, octav_step, rounded
from edgeshrink_quantize.fewbits.sensitive_layers import kept, most_hurt, named

layers = keras.layers
COLUMNS = arrays.arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.integers(1, 4)),
    elements=st.floats(-4, 4, width=32).map(lambda x: 0.0 if abs(x) < 1e-3 else x),
)


def some_hessian(count: int) -> np.ndarray:
    inputs = np.random.default_rng(count).normal(size=(3 * count, count))
    inputs[:, 0] += inputs[:, -1]
    return inputs.T @ inputs


@given(COLUMNS, st.sampled_from(sorted(LARGEST)), st.sampled_from([*STEPS]))
@settings(max_examples=60)
def test_rounding_is_idempotent_keeps_zeros_and_has_few_values(
    columns: np.ndarray, bits: int, method: str
) -> None:
    errors = some_hessian(len(columns))
    once = gptq(columns, bits, errors) if method == "gptq" else rounded(columns, bits, method)
    again = gptq(once, bits, errors) if method == "gptq" else rounded(once, bits, method)
    assert np.array_equal(once, again)
    assert not once[columns == 0].any()
    assert not np.isnan(steps(once, bits)).any()
    for column in once.T:
        assert len(np.unique(column)) <= 2**bits - 1


@given(
    arrays.arrays(
        np.int8, st.tuples(st.integers(1, 9), st.integers(1, 4)), elements=st.integers(-7, 7)
    ),
    st.floats(1e-6, 1e3),
)
@settings(max_examples=60)
def test_any_codes_are_found_again(multiples: np.ndarray, step: float) -> None:
    # also where no code is next to zero: 3 and 5, or 7 alone
    columns = (multiples * step).astype("float32")
    found = steps(columns, 4)
    np.testing.assert_allclose(codes(columns, found, 4) * found, columns, rtol=1e-6, atol=1e-30)


def test_what_is_on_no_grid_is_told() -> None:
    columns = np.array([[1.0, 0.0], [0.9, 0.0], [0.123, 0.0]], "float32")
    assert np.isnan(steps(columns, 4)).tolist() == [True, False]


def test_each_search_is_better_than_the_one_before() -> None:
    columns = np.random.default_rng(0).standard_t(3, (200, 8)).astype("float32")
    errors = {m: np.square(rounded(columns, 4, m) - columns).sum() for m in STEPS}
    assert errors["mse"] < errors["octav"] < errors["nearest"]


def test_octav_finds_the_clip_that_its_equation_fixes() -> None:
    columns = np.random.default_rng(1).normal(size=(5000, 1))
    clip = octav_step(columns, 4) * LARGEST[4]
    magnitudes = np.abs(columns)
    outside = magnitudes > clip
    fixed = magnitudes[outside].sum() / (4.0**-4 / 3 * (~outside).sum() + outside.sum())
    np.testing.assert_allclose(fixed, clip, rtol=1e-3)


def test_gptq_keeps_outputs_nearer_than_rounding_does() -> None:
    rng = np.random.default_rng(2)
    inputs = rng.normal(size=(400, 40)) @ rng.normal(size=(40, 40))
    columns = rng.normal(size=(40, 6)).astype("float32")
    wanted = inputs @ columns
    made = {
        "mse": rounded(columns, 4, "mse"),
        "gptq": gptq(columns, 4, inputs.T @ inputs),
    }
    far = {name: np.square(inputs @ value - wanted).sum() for name, value in made.items()}
    assert far["gptq"] < 0.5 * far["mse"]


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((7,), layers.Dense(3)),
        ((5, 7), layers.Dense(3)),
        ((9, 8, 4), layers.Conv2D(3, (3, 2), strides=2, padding="same")),
        ((9, 8, 4), layers.Conv2D(3, 3, dilation_rate=2)),
        ((12, 4), layers.Conv1D(3, 3, padding="causal", dilation_rate=2)),
        ((12, 4), layers.Conv1D(3, 3, strides=2, padding="same")),
    ],
)
def test_the_hessian_is_that_of_the_layers_own_outputs(
    shape: tuple[int, ...], layer: keras.Layer
) -> None:
    model = keras.Sequential([keras.Input(shape), layer.from_config(layer.get_config())])
    (kernel,) = channel_kernels(model)
    model.layers[0].bias.assign(np.zeros(3))
    samples = np.random.default_rng(0).normal(size=(4, *shape)).astype("float32")
    squares = np.square(np.asarray(model(samples)).reshape(-1, 3)).sum(axis=0)
    columns = kernel.columns().astype("float64")
    found = hessian(model, kernel, {model.inputs[0].name: samples})
    np.testing.assert_allclose(np.diag(columns.T @ found @ columns), squares, rtol=1e-4)
    assert "call" not in vars(model.layers[0])


def test_columns_are_channels_and_go_back_where_they_were() -> None:
    image = keras.Input((8, 8, 4))
    x = layers.DepthwiseConv2D(3, depth_multiplier=2)(image)
    x = layers.SeparableConv2D(5, 3)(x)
    x = layers.Conv2DTranspose(6, 2)(x)
    model = keras.Model(image, layers.Dense(3)(layers.Flatten()(x)))
    kernels = channel_kernels(model)
    assert [k.columns().shape for k in kernels] == [(9, 8), (9, 8), (8, 5), (20, 6), (150, 3)]
    for kernel in kernels:
        before = np.asarray(kernel.variable).copy()
        kernel.assign(kernel.columns() * 2)
        assert np.array_equal(np.asarray(kernel.variable), before * 2)


def test_layers_are_kept_by_harm_for_each_byte_within_the_budget() -> None:
    sizes = {"first": 100, "middle": 10_000, "last": 500, "fine": 10}
    harms = {"first": 0.5, "middle": 5.0, "last": 0.2, "fine": 0.001}
    assert most_hurt(harms, sizes, 4) == {"first", "last"}


def test_what_few_bits_hurt_most_is_kept_and_told(tmp_path: Path) -> None:
    model = folded(tiny_model())
    lent = context(Int2.of({}), model, model, None, tmp_path)
    found = kept(model, channel_kernels(model), ("auto",), 2, "mse", lent, lambda share: None)
    assert found == {"conv"}
    assert lent.notes[0].startswith("kept at 8 bits, by what 2 bits alone would do: conv (")


def test_a_layer_that_does_not_exist_is_refused_with_near_names() -> None:
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3, name="digits")])
    with pytest.raises(UsageError, match="no layer with a kernel is named 'digit'") as told:
        named(channel_kernels(model), ["digit"], "--int4-keep")
    assert "digits" in told.value.hint


def test_a_layer_that_folding_renames_is_known_by_its_own_name() -> None:
    kernels = channel_kernels(folded(tiny_model()))
    assert named(kernels, ["classes"], "--int4-keep") == {"classes_linear"}
    assert named(kernels, ["classes_linear", "conv"], "--int4-keep") == {"classes_linear", "conv"}


def test_divergence_is_in_nats_for_probabilities_and_relative_for_others() -> None:
    sure, unsure = np.array([[0.9, 0.1]]), np.array([[0.5, 0.5]])
    wanted = 0.9 * np.log(0.9 / 0.5) + 0.1 * np.log(0.1 / 0.5)
    assert divergence({"a": sure}, {"a": unsure}) == pytest.approx(wanted)
    values = np.array([[-1.0], [1.0]])
    assert divergence({"a": values}, {"a": values + 0.5}) == pytest.approx(0.25)
