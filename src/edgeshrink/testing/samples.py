"""A tiny model and a tiny data set that fits it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras

    from edgeshrink.samples import Dataset

SIDE = 8
CLASSES = 3


def tiny_model(*, zeros: bool = False, clusters: bool = False) -> keras.Model:
    """Return a small convolutional classifier with fixed weights: 8×8×1 in, 3 classes out.

    Args:
        zeros: half of each kernel's weights are zero, as after pruning.
        clusters: each kernel has four values other than zero, as after clustering.
    """
    import keras
    import numpy as np

    inputs = keras.Input((SIDE, SIDE, 1), name="image")
    x = keras.layers.Conv2D(4, 3, padding="same", use_bias=False, name="conv")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.MaxPooling2D(2, name="pool")(x)
    x = keras.layers.Flatten(name="flatten")(x)
    x = keras.layers.Dense(16, activation="relu", name="hidden")(x)
    outputs = keras.layers.Dense(CLASSES, activation="softmax", name="classes")(x)
    model = keras.Model(inputs, outputs, name="tiny")
    random = np.random.default_rng(7)
    for variable in model.trainable_variables:
        if len(variable.shape) < 2:
            continue
        values = random.normal(0, 0.3, variable.shape).astype("float32")
        if clusters:
            values = random.choice(np.array([-0.4, -0.1, 0.1, 0.4], "float32"), variable.shape)
        if zeros:
            values *= random.permutation(values.size).reshape(values.shape) % 2
        variable.assign(values)
    return model


def tiny_data(*, labels: bool = True) -> Dataset:
    """Return a data set for `tiny_model`: in each class another third of the image is bright.

    Args:
        labels: without them, there are inputs alone.
    """
    import numpy as np

    from edgeshrink.samples import load_dataset

    random = np.random.default_rng(11)
    arrays: dict[str, Any] = {}
    for part, count in (("train", 120), ("test", 60)):
        classes = np.arange(count) % CLASSES
        images = random.normal(0.2, 0.1, (count, SIDE, SIDE, 1))
        for row, label in enumerate(classes):
            images[row, label * 3 : label * 3 + 2] += 0.7
        arrays[f"x_{part}"] = images.astype("float32")
        if labels:
            arrays[f"y_{part}"] = classes
    loaded = load_dataset("tiny", calibration=24, hook=lambda spec: arrays)
    return loaded.for_model({"image": (None, SIDE, SIDE, 1)}, {"classes": (None, CLASSES)})
