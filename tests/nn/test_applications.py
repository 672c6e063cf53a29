"""Well-known architectures lose a third of their channels, and still run, saved and converted."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from random_models import inputs_for, randomize

from edgeshrink.nn.conversion.converter_process import Conversion
from edgeshrink.nn.conversion.keras_to_tflite import convert
from edgeshrink.nn.graph.channel_groups import channel_graph
from edgeshrink.nn.graph.counts import count
from edgeshrink.nn.graph.surgery import narrowed, zeroed
from edgeshrink.testing.running import outputs

SIZES = {
    "MobileNetV2": 64,
    "ResNet50": 64,
    "DenseNet121": 64,
    "EfficientNetB0": 64,
    "InceptionV3": 75,
    "NASNetMobile": 224,
    "ConvNeXtTiny": 64,
}


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", SIZES)
def test_a_third_of_the_channels_goes(name: str, tmp_path: Path) -> None:
    shape = (SIZES[name], SIZES[name], 3)
    model = getattr(keras.applications, name)(weights=None, input_shape=shape, classes=10)
    randomize(model, 0)
    graph = channel_graph(model)
    rng, removed = np.random.default_rng(0), np.zeros(graph.numbers, bool)
    for group in graph.free:
        removed[rng.permutation(group.channels)[: int(0.3 * len(group))]] = True
    assert removed.sum() > 2000
    made = narrowed(graph, removed)
    assert count(made).macs < 0.75 * count(model).macs
    inputs = inputs_for(model, 2)[0]
    wanted = np.asarray(zeroed(graph, removed)(inputs, training=False))
    assert wanted.std() > 1e-3  # it tells inputs apart
    np.testing.assert_allclose(np.asarray(made(inputs, training=False)), wanted, atol=1e-4)
    made.save(tmp_path / "small.keras")
    again = keras.models.load_model(tmp_path / "small.keras", compile=False)
    np.testing.assert_allclose(np.asarray(again(inputs, training=False)), wanted, atol=1e-4)
    file = convert(again, {"float": Conversion()}, tmp_path / "files")["float"]
    np.testing.assert_allclose(outputs(file, inputs), wanted, atol=1e-3)
