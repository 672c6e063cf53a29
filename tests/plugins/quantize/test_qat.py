"""Quantization-aware training: the twin computes as the file, zeros and shared values stay."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays
from small_training import context, renamed

from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import ModelError, UsageError
from edgeshrink.nn.conversion.converter_process import Conversion
from edgeshrink.nn.conversion.keras_to_tflite import convert
from edgeshrink.nn.conversion.matching import matched_ranges, written_out
from edgeshrink.nn.conversion.verification import check_clusters, check_zeros
from edgeshrink.nn.graph.fold import folded
from edgeshrink.nn.graph.kernel_axes import quantized_weights
from edgeshrink.nn.learning.fake_quantization import Grid, LearnedStep, Range, largest_code
from edgeshrink.nn.learning.quantized_twin import (
    calibrated_ranges,
    observed_values,
    rounded_tensors,
    twin,
)
from edgeshrink.nn.learning.weight_sharing import scaled_values
from edgeshrink.recipes.method import Plan
from edgeshrink.samples import dataset as datasets
from edgeshrink.tflite.ranges import activation_values
from edgeshrink.tflite.reader import constant_values, float_operators, read_model
from edgeshrink_quantize import Int8, Qat
from edgeshrink_quantize.options import QatOptions
from edgeshrink_quantize.training.twin_training import trained

layers = keras.layers


def branched(activation: str = "softmax") -> keras.Model:
    """Every kind of operator that the runtime rounds in its own way."""
    keras.utils.set_random_seed(1)
    inputs = keras.Input((8, 8, 1))
    x = layers.Conv2D(6, 3, padding="same", use_bias=False)(inputs)
    x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
    left = layers.DepthwiseConv2D(3, padding="same", activation="relu")(x)
    right = layers.Conv2D(6, 1, activation="tanh")(x)
    x = layers.Add()([left, right])
    x = layers.Concatenate()([x, left])
    x = layers.SeparableConv2D(8, 3, activation="relu")(x)
    x = layers.AveragePooling2D(2)(x)
    x = layers.Conv2DTranspose(4, 2, activation="relu")(x)
    x = layers.Flatten()(layers.MaxPooling2D(2)(x))
    return keras.Model(inputs, layers.Dense(3, activation=activation)(x))


def images(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, 8, 8, 1)).astype("float32")


weights = arrays("float32", (6, 4), elements=st.floats(-4, 4, width=32))


@settings(max_examples=50)
@given(weights, st.sampled_from([2, 4, 8]), st.booleans())
def test_a_grid_has_few_values_keeps_zeros_and_is_kept(
    values: np.ndarray, bits: int, channels: bool
) -> None:
    grid = Grid(bits, (-1,) if channels else ())
    once = np.asarray(grid(values))
    assert (once[values == 0] == 0).all()
    columns = once.T if channels else [once]
    assert all(len(np.unique(column)) <= 2 * largest_code(bits) + 1 for column in columns)
    np.testing.assert_allclose(np.asarray(grid(once)), once, rtol=1e-5, atol=1e-9)


def test_a_learned_step_has_the_gradient_of_the_paper() -> None:
    import tensorflow as tf

    values = np.array([[0.9, -0.31], [0.2, 3.0]], "float32")
    forward = LearnedStep(values, 4, ())
    forward.step.assign(np.full((1, 1), 0.25, "float32"))
    master = keras.Variable(values)
    with tf.GradientTape() as tape:
        out = keras.ops.sum(forward(keras.ops.convert_to_tensor(master)))
    to_step, to_master = tape.gradient(out, [forward.step.value, master.value])
    scaled = values / 0.25
    inside = np.abs(scaled) <= 7
    expected = np.where(inside, np.round(scaled) - scaled, 7 * np.sign(scaled)).sum()
    assert float(np.asarray(to_step).item()) == pytest.approx(
        expected / np.sqrt(7 * values.size), rel=1e-4
    )
    np.testing.assert_array_equal(np.asarray(to_master), inside.astype("float32"))


def test_moving_ends_follow_batches_only_in_training() -> None:
    range_ = Range(0.0, 1.0, ends="moving")
    big = np.full((2, 3), 9.0, "float32")
    range_(big, training=False)
    assert range_.values.tolist() == [0.0, 1.0]
    range_(big, training=True)
    assert 1.0 < range_.values[1] < 9.0
    assert range_.values[0] == 0.0


def test_what_the_runtime_never_writes_out_is_not_rounded() -> None:
    plain = folded(branched())
    names = set(rounded_tensors(plain))
    kinds = {name: type(plain.get_layer(name)).__name__ for name in names if ":" not in name}
    assert not {"Flatten", "MaxPooling2D", "AveragePooling2D", "BatchNormalization"} & set(
        kinds.values()
    )
    # in front of tanh and softmax, and behind tanh; not behind softmax, where training ends
    assert "conv2d_tanh" in str(names) or "Activation" in kinds.values()
    assert plain.output_names[0] not in names


def test_every_rounded_tensor_is_found_in_the_file(tmp_path: Path) -> None:
    plain = folded(branched())
    samples = {plain.inputs[0].name: images(8)}
    made = convert(plain, {"float": Conversion()}, tmp_path)["float"]
    ends = {
        name: np.array([-1.0, place + 1.0])
        for place, name in enumerate(calibrated_ranges(plain, samples))
    }
    found = matched_ranges(made, plain, ends, samples)
    assert set(found.values()) == {(-1.0, place + 1.0) for place in range(len(ends))}


def test_the_twin_computes_what_the_file_computes(tmp_path: Path) -> None:
    plain = folded(branched("linear"))
    name = plain.inputs[0].name
    samples = {name: images(64)}
    # ends that clip, so that a file with other ranges than the twin's answers otherwise
    ends = {name: 0.6 * seen for name, seen in calibrated_ranges(plain, samples).items()}
    chains = {path: [Grid(8, axes)] for path, (_, axes) in quantized_weights(plain).items()}
    seen, placed = twin(plain, chains, ends)
    learned = {n: r.values for n, r in placed.items()}
    seen.settle()
    made = convert(
        plain,
        {"int8": Conversion("int8", "int8")},
        tmp_path,
        samples,
        ranges=lambda calibrated: matched_ranges(calibrated, plain, learned, samples),
    )["int8"]
    assert float_operators(read_model(made)) == []
    tests = images(200, seed=5)
    expected = seen.predict(tests, verbose=0)
    found, by_float = run(made, tests), plain.predict(tests, verbose=0)
    spread = expected.max() - expected.min()
    assert np.abs(found - expected).max() < 0.06 * spread
    assert np.abs(found - expected).mean() < 0.1 * np.abs(found - by_float).mean()


def run(model: bytes, samples: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    (given,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for sample in samples:
        interpreter.set_tensor(given["index"], sample[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(out["index"])[0])
    return np.stack(found)


def small() -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(32, activation="relu"),
            layers.BatchNormalization(),
            layers.Dense(3, activation="softmax"),
        ]
    )


def test_training_keeps_zeros_and_shared_values_to_the_file(
    blobs: datasets.Dataset,
    tmp_path: Path,
) -> None:
    model = small()
    kernel = model.layers[0].kernel
    values = np.round(np.asarray(kernel) * 6) / 6
    kernel.assign(values)
    data = renamed(blobs, model)
    given = context(data, tmp_path, epochs=2)
    made = trained(model, QatOptions(granularity="tensor"), given)
    after = np.asarray(made.layers[1].kernel)
    assert (after[values == 0] == 0).all()
    assert len(np.unique(after)) <= len(np.unique(values))
    assert not np.allclose(np.unique(after), np.unique(values)), "centroids were trained"
    inherited = replace(given, inherited=given.state, facts={}, notes=[], state={})
    samples = data.values(data.calibration, np.arange(50))
    from edgeshrink_quantize.precisions import int8

    file = int8(made, Int8.of({}).options, inherited)
    flat = read_model(file)
    check_zeros(made, file)
    assert float_operators(flat) == []
    largest = max(flat.weights, key=lambda t: t.elements)
    assert len(np.unique(constant_values(file, largest))) <= len(np.unique(values))
    assert samples


@pytest.mark.parametrize("steps", ["range", "learned"])
def test_values_that_channels_scale_stay_few_to_the_file(
    blobs: datasets.Dataset, tmp_path: Path, steps: str
) -> None:
    model, rng = small(), np.random.default_rng(0)
    levels = rng.choice([-1, -0.25, 0, 0.5, 1], (8, 32))
    levels[0] = 1
    model.layers[0].kernel.assign(levels * rng.uniform(0.05, 1, 32))
    given = context(renamed(blobs, model), tmp_path, epochs=2)
    made = trained(model, QatOptions(steps=steps), given)
    after = np.asarray(made.layers[1].kernel)
    assert scaled_values(after, (-1,)) == 4
    assert (after[levels == 0] == 0).all()
    from edgeshrink_quantize.precisions import int8

    inherited = replace(given, inherited=given.state, facts={}, notes=[], state={})
    file = int8(made, Int8.of({}).options, inherited)
    check_clusters(made, file)
    largest = max(read_model(file).weights, key=lambda t: t.elements)
    assert len(largest.scales) == 32
    assert len(np.unique(constant_values(file, largest))) == 5


def test_the_step_asks_for_training_data(tmp_path: Path) -> None:
    (step,) = Int8.of({"qat": True}).before()
    assert isinstance(step, Qat)
    assert Int8.of({}).before() == ()
    plan = Plan(None, (), (), None, DeviceProfile(name="x"))  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="training samples"):
        list(step.check(plan))


def test_a_layer_to_keep_that_is_not_there_is_told(
    blobs: datasets.Dataset,
    tmp_path: Path,
) -> None:
    model = small()
    with pytest.raises(UsageError, match="no layer 'dens'"):
        trained(model, QatOptions(keep=("dens",)), context(renamed(blobs, model), tmp_path))


def test_a_model_without_kernels_has_nothing_to_round(
    blobs: datasets.Dataset,
    tmp_path: Path,
) -> None:
    inputs = keras.Input((8,))
    model = keras.Model(inputs, layers.Softmax()(layers.LayerNormalization()(inputs)))
    with pytest.raises(ModelError, match="no layer of the model has weights"):
        trained(model, QatOptions(), context(renamed(blobs, model), tmp_path))


def test_values_between_operators_are_those_of_the_model(tmp_path: Path) -> None:
    plain = folded(small())
    name = plain.inputs[0].name
    samples = {name: np.random.default_rng(0).normal(size=(2, 8)).astype("float32")}
    made = convert(plain, {"float": Conversion()}, tmp_path)["float"]
    (first, second) = list(activation_values(made, samples))
    hidden = observed_values(plain, samples)[plain.layers[1].name]
    assert any(v.size == 32 and np.allclose(v, hidden[0], atol=1e-5) for v in first.values())
    assert any(v.size == 32 and np.allclose(v, hidden[1], atol=1e-5) for v in second.values())


def preprocessing(*, normalized: bool) -> keras.Model:
    """A Rescaling, which the converter folds into the kernel behind it, or a chain, which not."""
    keras.utils.set_random_seed(1)
    norm = layers.Normalization(axis=-1, name="normalization")
    norm.adapt(pixels() / 127.5 - 1)
    return keras.Sequential(
        [
            keras.Input((12, 12, 2), name="x"),
            layers.Rescaling(1 / 127.5, -1.0, name="rescaling"),
            *([norm] if normalized else []),
            layers.Conv2D(8, 3, 2, activation="relu"),
            layers.Flatten(),
            layers.Dense(4, kernel_initializer="he_normal"),
        ]
    )


def pixels(count: int = 200) -> np.ndarray:
    """Images of low contrast."""
    return np.random.default_rng(0).integers(100, 141, (count, 12, 12, 2)).astype("float32")


@pytest.mark.parametrize(("normalized", "gone"), [(False, {"rescaling"}), (True, set())])
def test_the_twin_rounds_where_the_file_does_behind_preprocessing(
    tmp_path: Path, normalized: bool, gone: set[str]
) -> None:
    model = preprocessing(normalized=normalized)
    plain = folded(model)
    np.testing.assert_allclose(np.asarray(plain(pixels())), np.asarray(model(pixels())), atol=1e-4)
    samples = {"x": pixels()}
    every = calibrated_ranges(plain, samples)
    ends = written_out(plain, every, samples, tmp_path)
    assert set(every) - set(ends) == gone
    chains = {path: [Grid(8, axes)] for path, (_, axes) in quantized_weights(plain).items()}
    seen, placed = twin(plain, chains, ends)
    learned = {name: range_.values for name, range_ in placed.items()}
    expected = seen.predict(pixels(), verbose=0)
    seen.settle()
    made = convert(
        plain,
        {"int8": Conversion("int8", "int8")},
        tmp_path,
        samples,
        ranges=lambda calibrated: matched_ranges(calibrated, plain, learned, samples),
    )["int8"]
    found = run(made, pixels())
    assert (found.argmax(-1) == expected.argmax(-1)).mean() > 0.95
    assert np.abs(found - expected).max() < 0.1 * np.ptp(expected)
