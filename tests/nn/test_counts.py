"""Multiply-accumulates, against the operators of a .tflite and against sums by hand."""

from __future__ import annotations

from pathlib import Path

import keras
import pytest

from edgeshrink.nn.conversion import Conversion, convert
from edgeshrink.nn.graph import count
from edgeshrink.tflite import read_model

layers = keras.layers


def of(shape: tuple[int, ...], layer: keras.layers.Layer) -> int:
    x = keras.Input(shape)
    return count(keras.Model(x, layer(x))).macs


def test_macs_are_those_of_the_operators(tmp_path: Path) -> None:
    x = keras.Input((10, 9, 3))
    y = layers.SeparableConv2D(5, 3, strides=2, depth_multiplier=2, padding="same")(x)
    y = layers.Conv2DTranspose(4, 3, strides=2)(y)
    y = layers.Conv2D(6, 3, groups=2)(y)
    y = layers.DepthwiseConv2D(3, strides=2)(y)
    model = keras.Model(x, layers.Dense(7)(y))
    made = convert(model, {"float": Conversion()}, tmp_path)["float"]
    assert count(model).macs == sum(operator.macs for operator in read_model(made).operators)


@pytest.mark.parametrize(
    ("layer", "config"),
    [
        (layers.Conv2D, {"filters": 4, "kernel_size": 3, "strides": 2}),
        (layers.DepthwiseConv2D, {"kernel_size": 3}),
        (layers.SeparableConv2D, {"filters": 4, "kernel_size": 3, "padding": "same"}),
        (layers.Conv2DTranspose, {"filters": 4, "kernel_size": 3, "strides": 2}),
    ],
)
def test_channels_first_has_the_macs_of_channels_last(
    layer: type[keras.layers.Layer], config: dict[str, object]
) -> None:
    last = of((8, 6, 3), layer(**config))
    assert of((3, 8, 6), layer(**config, data_format="channels_first")) == last > 0


@pytest.mark.parametrize("sequences", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_a_convolutional_lstm_convolves_at_each_place_of_each_step(
    sequences: bool, first: bool
) -> None:
    form = "channels_first" if first else "channels_last"
    made = layers.ConvLSTM2D(4, 3, return_sequences=sequences, data_format=form)
    # 5 steps of 6 x 5 places: four gates of 4 filters, over 2 channels and over 4 of the state
    assert of((5, 2, 8, 7) if first else (5, 8, 7, 2), made) == 5 * 6 * 5 * 9 * (2 + 4) * 16


def test_cells_on_top_of_each_other_all_count() -> None:
    cells = [layers.LSTMCell(3), layers.GRUCell(5)]
    # 6 steps: four gates of 3 from 2 and 3, three gates of 5 from 3 and 5
    assert of((6, 2), layers.RNN(cells)) == 6 * (12 * (2 + 3) + 15 * (3 + 5))
    both = layers.Bidirectional(layers.RNN(layers.LSTMCell(3)))
    assert of((6, 2), both) == 2 * 6 * 12 * (2 + 3)


@pytest.mark.parametrize(
    ("equation", "shape", "made", "macs"),
    [
        ("ab,bc->ac", (4,), (5,), 4 * 5),
        ("abc,cd->abd", (3, 4), (None, 5), 3 * 4 * 5),
        ("abc,cde->abde", (3, 4), (None, 5, 2), 3 * 4 * 5 * 2),
        ("abcd,cde->abe", (3, 4, 2), (None, 5), 3 * 4 * 2 * 5),
        ("...x,xy->...y", (3, 2, 4), (5,), 3 * 2 * 4 * 5),
    ],
)
def test_an_einsum_multiplies_each_pair_once(
    equation: str, shape: tuple[int, ...], made: tuple[int | None, ...], macs: int
) -> None:
    assert of(shape, layers.EinsumDense(equation, made)) == macs
