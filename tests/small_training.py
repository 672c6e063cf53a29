"""A small model, and what a step is lent that trains it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.recipes.context import Context
from edgeshrink.recipes.training import Training
from edgeshrink.samples import dataset as datasets

layers = keras.layers


def small(norm: bool = False) -> keras.Model:
    keras.utils.set_random_seed(0)
    extra = [layers.BatchNormalization()] if norm else []
    return keras.Sequential(
        [
            keras.Input((8,)),
            layers.Dense(16, activation="relu"),
            *extra,
            layers.Dense(3, activation="softmax"),
        ]
    )


def renamed(data: datasets.Dataset, model: keras.Model) -> datasets.Dataset:
    return data.for_model({model.inputs[0].name: (None, 8)})


def context(data: datasets.Dataset, folder: Path, **settings: Any) -> Context:
    def evaluate(model: keras.Model) -> float | None:
        part = data.validation
        values = data.values(part, np.arange(len(part)))
        outputs = np.asarray(model.predict_on_batch(next(iter(values.values()))))
        return float((outputs.argmax(-1) == part.labels).mean())

    chosen = Training(epochs=3, lr=1e-2, batch_size=32, teacher="none")
    return Context(
        data=data,
        profile=DeviceProfile("test"),
        folder=folder,
        seed=0,
        training=Training(**settings).over(chosen),
        progress=lambda share, note: None,
        original=small,
        evaluate=evaluate,
        agreement=lambda model: None,
        measure=lambda model: None,
        log=folder / "log",
    )
