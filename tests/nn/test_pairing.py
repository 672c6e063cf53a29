"""Which constant of a file is which kernel: what shows whether zeros were kept."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from edgeshrink.errors import VerificationError
from edgeshrink.nn.conversion import Conversion, check_zeros, convert
from edgeshrink.nn.conversion.pairing import _agree, _orders, pairs
from edgeshrink.nn.graph import folded
from edgeshrink.nn.learning import kernel_weights

layers = keras.layers
RNG = np.random.default_rng(0)


def images() -> keras.Model:
    """Two kernels of one shape, a depthwise, transposed and separable one, and folded norms."""
    x = keras.Input((9, 9, 4), name="x")
    y = layers.Conv2D(8, 3, name="first")(
        layers.Normalization(mean=[1, 2, 3, 4], variance=[4, 3, 2, 1])(x)
    )
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.Conv2D(8, 3, padding="same", name="one")(y)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    y = layers.Conv2D(8, 3, padding="same", name="two")(y)
    y = layers.DepthwiseConv2D(3, depth_multiplier=2, name="depthwise")(y)
    y = layers.BatchNormalization()(y)
    y = layers.SeparableConv2D(8, 3, name="separable")(y)
    y = layers.Conv2DTranspose(8, 3, name="transposed")(y)
    y = layers.Conv2D(8, 3, groups=2, name="grouped")(y)
    y = layers.Flatten()(y)
    return keras.Model(x, layers.Dense(8, name="a")(layers.Dense(8, name="b")(y)))


def sequences() -> keras.Model:
    x = keras.Input((6, 8), name="x")
    y = layers.Conv1D(8, 3, padding="same", name="conv")(x)
    y = layers.LSTM(8, return_sequences=True, name="lstm")(y)
    y = layers.MultiHeadAttention(2, 4, name="attention")(y, y)
    y = layers.EinsumDense("abc,cd->abd", (6, 8), name="einsum")(y)
    return keras.Model(x, layers.Dense(8, name="dense")(layers.GRU(8, unroll=True)(y)))


def films() -> keras.Model:
    """The recurrent kernel's gates have as many values as the whole kernel of one channel."""
    x = keras.Input((3, 8, 8, 1), name="x")
    return keras.Model(x, layers.ConvLSTM2D(4, 3, padding="same")(x))


def lines() -> keras.Model:
    x = keras.Input((3, 12, 4), name="x")
    y = layers.ConvLSTM1D(4, 3, padding="same", return_sequences=True)(x)
    return keras.Model(x, layers.Conv3D(8, 2)(layers.Reshape((3, 12, 4, 1))(y)))


def pruned(model: keras.Model) -> keras.Model:
    """Give every weight a value of its own, and kernels zeros at random."""
    for variable in model.weights:
        if "norm" in variable.path and "variance" in variable.path:
            variable.assign(RNG.uniform(0.5, 2, variable.shape))
        elif "float" in str(variable.dtype):
            variable.assign(RNG.normal(size=variable.shape))
    for variable in kernel_weights(model):
        values = np.asarray(variable)
        variable.assign(np.where(RNG.random(values.shape) < 0.5, 0, values))
    return model


WANTS = {
    "float32": Conversion(),
    "float16": Conversion("float16"),
    "dynamic": Conversion("int8"),
    "int8": Conversion("int8", "int8"),
    "tensor": Conversion("int8", "int8", per_channel=False),
}
KINDS = {"images": images, "sequences": sequences, "films": films, "lines": lines}


@pytest.mark.heavy
@pytest.mark.parametrize("kind", KINDS)
def test_every_kernel_is_found_and_keeps_its_zeros(tmp_path: Path, kind: str) -> None:
    model = pruned(KINDS[kind]())
    loops = kind in ("films", "lines")  # integer activations of a loop are not converted
    wants = {n: w for n, w in WANTS.items() if w.activations == "float32" or not loops}
    samples = {"x": RNG.normal(size=(8, *model.input_shape[1:])).astype("float32")}
    kernels = {v.path for v in kernel_weights(model) if "bias" not in v.path}
    for name, data in convert(model, wants, tmp_path, samples, tmp_path / "log").items():
        found = list(pairs(model, data))
        assert {pair.path for pair in found} >= kernels, name
        check_zeros(model, data)
        for variable in kernel_weights(model):
            if variable.path not in kernels:
                continue
            values = np.asarray(variable)
            # a quarter of what is there had to be zero
            variable.assign(np.where(RNG.random(values.shape) < 0.25, 0, values))
            message = f"zeros must stay zero: .*{variable.path}"
            with pytest.raises(VerificationError, match=message):
                check_zeros(model, data)
            variable.assign(values)


def test_a_folded_model_is_paired_with_its_own_file(tmp_path: Path) -> None:
    model = folded(pruned(images()))
    data = convert(model, {"float": Conversion()}, tmp_path)["float"]
    assert {p.path for p in pairs(model, data)} == {v.path for v in kernel_weights(model)}
    check_zeros(model, data)


shapes = st.lists(st.integers(1, 5), min_size=2, max_size=4).map(tuple)


@settings(max_examples=100)
@given(shapes, st.integers(0, 2**32 - 1), st.booleans(), st.data())
def test_a_kernel_is_known_in_any_order_scale_and_rounding(
    shape: tuple[int, ...], seed: int, scaled: bool, data: st.DataObject
) -> None:
    rng = np.random.default_rng(seed)
    kernel = rng.normal(size=shape).astype("float32")
    kernel[rng.random(shape) < 0.3] = 0
    order = data.draw(st.permutations(range(len(shape))))
    stored = (
        kernel * rng.uniform(0.2, 5, (*[1] * (len(shape) - 1), shape[-1])) if scaled else kernel
    )
    step = np.full_like(kernel, np.abs(stored).max() / 127 or 1.0)
    stored = np.round(stored / step) * step
    turned = [np.transpose(array, order) for array in (kernel, stored, step)]
    wide = [axis for axis in order if shape[axis] > 1]
    orders = [[axis for axis in o if shape[axis] > 1] for o in _orders(shape, turned[0].shape)]
    assert wide in orders
    # found, or too few values to tell
    assert _agree(*turned, order) is not False


def test_a_vast_weight_is_paired_without_overflow(tmp_path: Path) -> None:
    values = keras.Input((16,), name="values")
    model = keras.Model(values, layers.Dense(8, name="dense")(values))
    kernel = RNG.normal(size=(16, 8)).astype("float32")
    kernel[0], kernel[1] = 1e30, 0
    model.get_layer("dense").kernel.assign(kernel)
    data = convert(model, {"float": Conversion()}, tmp_path)["float"]
    assert check_zeros(model, data) == pytest.approx(1 / 16)
    (pair,) = pairs(model, data)
    np.testing.assert_array_equal(np.sort(pair.stored, axis=None), np.sort(kernel, axis=None))
