"""Shifted training images: whole pixels, each way, nothing else; refused where there are none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import keras
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from edgeshrink.errors import UsageError
from edgeshrink.models import TensorFacts
from edgeshrink.nn.learning.augmentation import shifted
from edgeshrink.nn.learning.supervision import training_batches
from edgeshrink.recipes.context import Context
from edgeshrink.recipes.training import Training
from edgeshrink.samples import ModelOutputs, load_dataset
from edgeshrink.samples.dataset import Dataset
from edgeshrink.testing import tiny_data, tiny_model


def lent(data: Dataset, training: Training) -> Context:
    """Return what a pipeline of batches is lent."""
    return cast("Context", SimpleNamespace(data=data, training=training, seed=0))


@settings(max_examples=40)
@given(st.integers(1, 6), st.integers(1, 9), st.integers(1, 9), st.integers(0, 4))
def test_each_image_is_a_crop_of_the_padded_one(
    count: int, height: int, width: int, most: int
) -> None:
    images = np.random.default_rng(0).random((count, height, width, 2))
    moved = shifted(images, most, np.random.default_rng(1))
    border = ((0, 0), (most, most), (most, most), (0, 0))
    padded = np.pad(images, border, mode="edge")
    for one, whole in zip(moved, padded, strict=True):
        crops = (
            whole[y : y + height, x : x + width]
            for y in range(2 * most + 1)
            for x in range(2 * most + 1)
        )
        assert any((one == crop).all() for crop in crops)


def test_images_of_a_batch_move_each_by_themselves_and_anew() -> None:
    images = np.zeros((200, 5, 5, 1))
    images[:, 2, 2] = 1
    rng = np.random.default_rng(0)
    places = [shifted(images, 1, rng).reshape(200, -1).argmax(axis=1) for _ in range(2)]
    assert len(set(places[0])) == 9
    assert (places[0] != places[1]).any()


def test_training_batches_are_shifted_and_labels_stay_with_them() -> None:
    model, data = tiny_model(), tiny_data()
    assert data.train is not None
    labels = {"classes": np.asarray(data.train.labels)}
    still, moved, turned = (
        next(iter(training_batches(model, lent(data, training), labels, 60)))
        for training in (Training(), Training(shift=2), Training(flip=True))
    )
    for varied in (moved, turned):
        np.testing.assert_array_equal(still[1]["labels"]["classes"], varied[1]["labels"]["classes"])
    same = (still[0].numpy() == turned[0].numpy()).all(axis=(1, 2, 3))
    back = (still[0].numpy() == turned[0].numpy()[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same | back).all()
    assert 0.2 < back.mean() < 0.8
    differ = (still[0].numpy() != moved[0].numpy()).any(axis=(1, 2, 3))
    assert 0.8 < differ.mean() < 1  # one in 25 is moved by nothing


def test_masks_would_stay_where_they_were() -> None:
    model = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Conv2D(3, 1)])
    name = model.outputs[0].name
    image = np.random.default_rng(0).random((20, 8, 8, 1))
    arrays = {"x": image, "y": np.arange(20 * 64).reshape(20, 8, 8) % 3}
    outputs = ModelOutputs((TensorFacts(name, (None, 8, 8, 3)),))
    data = load_dataset("", hook=lambda spec: arrays, outputs=outputs)
    assert data.placed == (name,)
    assert data.train is not None
    labels = {name: np.asarray(data.train.labels)}
    for training in (Training(shift=1), Training(flip=True)):
        with pytest.raises(UsageError, match="labels are of places in them"):
            training_batches(model, lent(data, training), labels, 5)
    assert tiny_data().placed == ()


def test_a_model_without_images_is_refused() -> None:
    model = keras.Sequential([keras.Input((8,), name="row"), keras.layers.Dense(3)])
    with pytest.raises(UsageError, match="only images can be shifted"):
        training_batches(model, lent(tiny_data(), Training(shift=1)), {}, 10)
