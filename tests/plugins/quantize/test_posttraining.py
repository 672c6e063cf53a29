"""Accuracy without training: ranges, equalization, bias correction and adaptive rounding."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import UsageError
from edgeshrink.models.config import ModelFacts
from edgeshrink.nn.conversion.converter_process import Conversion
from edgeshrink.nn.conversion.keras_to_tflite import convert
from edgeshrink.nn.graph.fold import folded
from edgeshrink.nn.graph.kernel_axes import quantized_weights
from edgeshrink.nn.learning.fake_quantization import Grid
from edgeshrink.recipes.context import Context
from edgeshrink.recipes.method import Method, Plan
from edgeshrink.testing import check_method, running
from edgeshrink.testing.samples import tiny_data, tiny_model
from edgeshrink.tflite.reader import read_model
from edgeshrink_quantize import Int8, estimators
from edgeshrink_quantize.posttraining.adaptive import Relaxed, rounded
from edgeshrink_quantize.posttraining.correction import corrected, linear_mean
from edgeshrink_quantize.posttraining.equalization import equalized, pairs
from edgeshrink_quantize.posttraining.layerwise import assign_rounded, rounded_kernels
from edgeshrink_quantize.posttraining.methods import (
    AdaptiveRounding,
    BatchNormReestimation,
    BiasCorrection,
    Equalize,
)

layers = keras.layers


def context(step: Method, model: keras.Model, folder: Path) -> Context:
    return running.context(step, model, model, tiny_data(), folder)


def inputs() -> np.ndarray:
    data = tiny_data()
    assert data.calibration is not None
    return data.values(data.calibration, np.arange(len(data.calibration)))["image"]


# ---------------------------------------------------------------- ranges


@settings(max_examples=40)
@given(
    seed=st.integers(0, 1000),
    spread=st.floats(1e-3, 1e3),
    shift=st.floats(-2, 2),
    method=st.sampled_from(sorted(estimators.ENDS)),
)
def test_ends_lie_within_what_was_seen_with_zero_between(
    seed: int, spread: float, shift: float, method: str
) -> None:
    values = spread * (np.random.default_rng(seed).standard_t(3, 5000) + shift)
    low, high = min(0.0, values.min()), max(0.0, values.max())
    counts = estimators.histogram(values, low, high)
    assert counts.sum() == values.size
    left, right = estimators.ENDS[method](counts, low, high)
    assert low <= left <= 0 <= right <= high
    assert left < right


@settings(max_examples=25)
@given(seed=st.integers(0, 1000), degrees=st.floats(1.5, 20))
def test_mse_ends_never_cost_more_than_the_ends_seen(seed: int, degrees: float) -> None:
    values = np.random.default_rng(seed).standard_t(degrees, 20_000)
    low, high = float(values.min()), float(values.max())
    ends = estimators.mse(estimators.histogram(values, low, high), low, high)

    def cost(*pair: float) -> float:
        return float(np.square(estimators.rounded(values, *pair) - values).mean())

    assert cost(*ends) <= cost(low, high) * 1.001  # bins stand for values


def test_outliers_are_left_out_where_there_are_values_enough() -> None:
    values = np.append(np.random.default_rng(0).random(200_000), [100.0])
    counts = estimators.histogram(values, 0.0, 100.0)
    for method in estimators.ENDS.values():
        assert method(counts, 0.0, 100.0)[1] < 100
    assert estimators.percentile(counts, 0.0, 100.0)[1] < 2
    few = np.append(np.random.default_rng(0).random(1000), [100.0])
    counts = estimators.histogram(few, 0.0, 100.0)
    assert estimators.percentile(counts, 0.0, 100.0) == (0.0, 100.0)


def test_entropy_is_not_led_by_the_zeros_of_a_relu() -> None:
    values = np.maximum(np.random.default_rng(0).normal(-3, 1, 200_000), 0)
    high = float(values.max())
    assert (values == 0).mean() > 0.99
    _, end = estimators.entropy(estimators.histogram(values, 0.0, high), 0.0, high)
    assert (values > end).sum() < 0.1 * (values > 0).sum()


def test_estimated_ranges_are_in_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, x = tiny_model(), inputs()
    seen: list[int] = []

    def half(counts: np.ndarray, low: float, high: float) -> tuple[float, float]:
        seen.append(int(counts.sum()))
        return low / 2, high / 2

    monkeypatch.setitem(estimators.ENDS, "half", half)
    made = convert(
        model,
        {"int8": Conversion("int8", "int8")},
        tmp_path,
        {"image": x},
        None,
        lambda calibrated: estimators.estimated(calibrated, {"image": x}, "half"),
    )["int8"]
    flat = read_model(made)
    first = next(o for o in flat.operators if "CONV" in o.name)
    given, result = (float(flat.tensor(0, i[0]).scales[0]) for i in (first.inputs, first.outputs))
    # the ends of the input are what was seen, those of the convolution half of that
    assert given == pytest.approx((max(x.max(), 0) - min(x.min(), 0)) / 255, rel=1e-3)
    activated = keras.Model(model.input, model.get_layer("relu").output)(x)
    assert result == pytest.approx(float(np.asarray(activated).max()) / 2 / 255, rel=1e-2)
    assert len(x) * 8 * 8 * 4 in seen


# ---------------------------------------------------------------- equalization


def uneven() -> keras.Model:
    """A model whose channels differ a lot in range, with pairs and with what looks like some."""
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(6, 3, activation="relu", name="first")(image)
    x = layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = layers.MaxPooling2D(2)(layers.BatchNormalization()(x))
    x = layers.ReLU()(x)
    x = layers.Conv2D(6, 1, activation="relu6", name="bounded")(x)
    x = layers.Conv2D(6, 1, name="linear")(x)
    x = layers.Add()([x, layers.Conv2D(6, 1, name="branch")(x)])
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dense(5, activation="relu", name="hidden")(x)
    model = keras.Model(image, layers.Dense(3, name="scores")(x))
    rng = np.random.default_rng(4)
    for variable in model.trainable_variables:
        wide = np.exp(rng.normal(0, 1.5, variable.shape[-1]))
        variable.assign(rng.normal(0, 0.3, variable.shape) * wide)
    kernel = model.get_layer("depthwise").kernel
    values = np.array(kernel)
    values[:, :, 2] = 0  # a channel without weights
    kernel.assign(values)
    return model


def test_equalized_neighbours_share_their_ranges_and_answers_stay(tmp_path: Path) -> None:
    model = uneven()
    x = np.random.default_rng(0).random((16, 8, 8, 3)).astype("float32")
    before = np.asarray(model(x))
    lent = context(Equalize(), tiny_model(), tmp_path)
    made = equalized(model, lent)
    np.testing.assert_allclose(np.asarray(made(x)), before, rtol=1e-3, atol=1e-4)
    named = [(first.name, second.name) for first, second in pairs(made)]
    assert named == [("first", "depthwise"), ("depthwise", "bounded"), ("hidden", "scores")]
    assert lent.facts["equalized_pairs"] == 3
    said = "pairs of layers equalized: 3; the widest channel of a kernel was "
    assert lent.notes[-1].startswith(said)
    dense = keras.Sequential([keras.Input((8, 8, 1), name="image"), layers.Flatten()])
    dense.add(layers.Dense(3, use_bias=False))
    equalized(dense, lent)
    assert lent.notes[-1] == "no two layers are joined so that their scales could be equalized"
    corrected(dense, BiasCorrection.of({}).options, lent)
    assert lent.notes[-1] == "no dense layer or convolution has a bias: nothing was corrected"
    kernels = {
        name: np.abs(np.asarray(made.get_layer(name).kernel)) for name in ("hidden", "scores")
    }
    np.testing.assert_allclose(kernels["hidden"].max(0), kernels["scores"].max(1), rtol=0.01)
    depthwise = np.asarray(made.get_layer("depthwise").kernel)
    assert (depthwise[:, :, 2] == 0).all()
    assert (depthwise[:, :, [0, 1, 3, 4, 5]] != 0).all()


# ---------------------------------------------------------------- bias correction


@pytest.mark.parametrize(
    ("shape", "layer"),
    [
        ((7,), layers.Dense(5, activation="relu")),
        ((6, 7), layers.Dense(5)),
        ((9, 3), layers.Conv1D(4, 3, padding="causal", activation="relu")),
        ((8, 8, 3), layers.Conv2D(4, 3, strides=2, padding="same", activation="relu6")),
        ((8, 8, 3), layers.DepthwiseConv2D(3, depth_multiplier=2)),
        ((5, 5, 3), layers.Conv2DTranspose(4, 3, strides=2)),
        ((8, 8, 3), layers.SeparableConv2D(4, 3, padding="same")),
    ],
)
def test_the_mean_of_outputs_is_that_in_front_of_the_activation(
    shape: tuple[int, ...], layer: keras.layers.Layer
) -> None:
    x = np.random.default_rng(0).normal(size=(6, *shape)).astype("float32")
    layer(x)
    for variable in layer.weights:
        variable.assign(np.random.default_rng(1).normal(size=variable.shape))
    mean = linear_mean(layer, x)
    layer.activation = keras.activations.linear
    outputs = np.asarray(layer(x), "float64")
    expected = outputs.reshape(-1, outputs.shape[-1]).mean(axis=0)
    np.testing.assert_allclose(mean, expected, rtol=1e-4, atol=1e-5)


def test_corrected_biases_bring_the_mean_back(tmp_path: Path) -> None:
    model, x = folded(tiny_model()), inputs()
    bits = {"weights": 3, "activations": 32}
    step = BiasCorrection.of(bits)
    lent = context(step, model, tmp_path)
    made = corrected(model, step.options, lent)
    said = "biases corrected: 3; rounding had shifted the mean of a layer by "
    assert lent.notes[-1].startswith(said)

    def mean(source: keras.Model, *, of_rounded: bool) -> np.ndarray:
        copy = folded(source)
        if of_rounded:
            for layer in copy.layers:
                assign_rounded(layer, 3, rounded_kernels(copy, 3, "channel"))
        before = copy.get_layer("classes")
        return linear_mean(before, keras.Model(copy.input, before.input)(x))

    wanted = mean(model, of_rounded=False)
    plain = np.abs(mean(model, of_rounded=True) - wanted).max()
    assert plain > 0.01
    assert np.abs(mean(made, of_rounded=True) - wanted).max() < 0.01 * plain
    for path, (variable, _) in quantized_weights(made).items():
        assert (np.asarray(variable) == np.asarray(quantized_weights(model)[path][0])).all()


# ---------------------------------------------------------------- adaptive rounding


def test_adaptive_rounding_beats_nearest_and_stays_on_the_grid(tmp_path: Path) -> None:
    model, x = folded(tiny_model(zeros=True)), inputs()
    step = AdaptiveRounding.of({"weights": 3, "activations": 32, "iterations": 150})
    lent = context(step, model, tmp_path)
    made = rounded(model, step.options, lent)
    nearest = folded(model)
    for layer in nearest.layers:
        assign_rounded(layer, 3, rounded_kernels(nearest, 3, "channel"))
    wanted = np.asarray(model(x))
    assert (
        np.square(np.asarray(made(x)) - wanted).mean()
        < 0.7 * np.square(np.asarray(nearest(x)) - wanted).mean()
    )
    moved = 0
    for path, (variable, axes) in quantized_weights(made).items():
        values, old = np.asarray(variable), np.asarray(quantized_weights(model)[path][0])
        np.testing.assert_allclose(np.asarray(Grid(3, axes)(values)), values, atol=1e-6)
        assert (values[old == 0] == 0).all()
        largest = np.abs(old).max(axis=tuple(range(old.ndim - 1)))
        assert (np.abs(values - old) <= largest / 3 * 1.001).all()  # up or down, no further
        moved += int((values != np.asarray(Grid(3, axes)(old))).sum())
    assert moved
    assert lent.facts["adaptively_rounded"] == 3
    said = "layers rounded adaptively: 3; the squared error of their outputs is "
    assert lent.notes[-1].startswith(said)


def test_shared_values_are_not_rounded_apart(tmp_path: Path) -> None:
    model = tiny_model(clusters=True)
    step = AdaptiveRounding.of({"weights": 4, "iterations": 2})
    made = rounded(model, step.options, context(step, model, tmp_path))
    for variable, _ in quantized_weights(made).values():
        assert len(np.unique(np.asarray(variable))) <= 8


def test_a_relaxed_kernel_begins_as_it_is_and_ends_up_or_down() -> None:
    values = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    values[0] = 0
    relaxed = Relaxed(keras.Variable(values), 4, (-1,))
    np.testing.assert_allclose(np.asarray(relaxed.value()), values, atol=1e-3)
    assert not relaxed.open[0].any()
    codes = relaxed.decided() / relaxed.step
    np.testing.assert_allclose(codes, np.round(codes), atol=1e-5)
    assert np.abs(relaxed.decided() - values).max() <= relaxed.step.max() / 2 * 1.001


# ---------------------------------------------------------------- batch norms


def test_batch_norms_that_are_estimated_anew_or_not_are_told(tmp_path: Path) -> None:
    step, model = BatchNormReestimation(), tiny_model()
    lent = context(step, model, tmp_path)
    step.apply(model, lent)
    step.apply(folded(model), lent)  # has none
    assert lent.notes == [
        "batch-norm statistics were estimated anew",
        "batch-norm statistics stayed: there are none, or new ones score worse",
    ]


# ---------------------------------------------------------------- as steps


@pytest.mark.parametrize(
    ("method", "options"),
    [
        (Equalize, {}),
        pytest.param(BiasCorrection, {}, marks=pytest.mark.slow),
        (AdaptiveRounding, {"iterations": 5}),
        (BatchNormReestimation, {}),
        pytest.param(Int8, {"equalize": True}, marks=pytest.mark.slow),
    ],
)
def test_the_method_keeps_the_rules(method: type[Method], options: dict[str, object]) -> None:
    check_method(method, options)


def test_options_of_int8_become_steps_in_their_order() -> None:
    options = {
        "equalize": True,
        "rounding": "adaptive",
        "correct_bias": True,
        "granularity": "tensor",
    }
    asked = Int8.of(options).before()
    assert [str(step) for step in asked] == [
        "equalize",
        "round_adaptively(granularity=tensor)",
        "correct_bias(granularity=tensor)",
    ]
    assert Int8.of({}).before() == ()


@pytest.mark.parametrize(
    "options", [{"ranges": "mse"}, {"rounding": "adaptive"}, {"correct_bias": True}]
)
def test_what_needs_samples_or_is_learned_anyway_is_refused(options: dict[str, object]) -> None:
    facts, profile = ModelFacts("keras"), DeviceProfile("test")
    with pytest.raises(UsageError, match="needs samples"):
        list(Int8.of(options).check(Plan(facts, (), (), None, profile)))
    with pytest.raises(UsageError, match="--int8-qat learns what"):
        list(Int8.of({**options, "qat": True}).check(Plan(facts, (), (), tiny_data(), profile)))
    for step in (AdaptiveRounding(), BiasCorrection(), BatchNormReestimation()):
        with pytest.raises(UsageError, match="samples"):
            list(step.check(Plan(facts, (), (), None, profile)))
