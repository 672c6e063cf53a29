"""Masks and several answers at once: scored as Keras and scikit-learn score them, then judged."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import edgeshrink
from edgeshrink.results import Report

layers = keras.layers
TRAIN, TEST = 96, 64


def run(model: keras.Model, folder: Path, arrays: dict[str, Any], **how: Any) -> Report:
    model.save(folder / "m.keras")
    np.savez(folder / "d.npz", **arrays)
    how = {"prune": 0.5, "int8": True, "epochs": 3, "lr": 3e-3, "rules": "smoke"} | how
    return edgeshrink.compress(
        folder / "m.keras", output=folder / "m.tflite", data=str(folder / "d.npz"), **how
    )


def judged(report: Report, metric: str) -> None:
    """Check that there is a verdict with an interval and a paired test."""
    score, verdict = report.ledger.base.score, report.verdict
    assert score is not None
    assert (score.metric, score.count, verdict.samples) == (metric, TEST, TEST)
    assert score.low < score.value < score.high
    assert (verdict.metric, verdict.before) == (metric, score.value)
    assert report.ledger.final.score is not None
    assert verdict.after == report.ledger.final.score.value
    assert verdict.p_value is not None
    assert 0 <= verdict.p_value <= 1
    assert verdict.outcome in ("better", "worse", "no difference shown")


@pytest.mark.heavy
def test_a_unet_is_judged_by_its_mean_iou(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    images = rng.normal(0.1, 0.3, (TRAIN + TEST, 16, 16, 1)).astype("float32")
    masks = np.zeros((TRAIN + TEST, 16, 16), "int64")
    for image, mask in zip(images, masks, strict=True):
        top, left = rng.integers(0, 10, 2)
        image[top : top + 6, left : left + 6] += 0.8
        mask[top : top + 6, left : left + 6] = 1
    image = keras.Input((16, 16, 1))
    wide = layers.Conv2D(8, 3, padding="same", activation="relu")(image)
    deep = layers.Conv2D(16, 3, padding="same", activation="relu")(layers.MaxPooling2D()(wide))
    x = layers.Concatenate()([layers.UpSampling2D()(deep), wide])
    x = layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    model = keras.Model(image, layers.Conv2D(2, 1, activation="softmax")(x))
    model.compile(keras.optimizers.Adam(5e-3), "sparse_categorical_crossentropy")
    model.fit(images[:TRAIN], masks[:TRAIN], epochs=12, batch_size=16, verbose=0)
    said = model.predict(images[TRAIN:], verbose=0)
    arrays = {"x_train": images[:TRAIN], "y_train": masks[:TRAIN]}
    report = run(
        model, tmp_path, arrays | {"x_test": images[TRAIN:], "y_test": masks[TRAIN:]}, metric="miou"
    )
    theirs = keras.metrics.MeanIoU(2, sparse_y_pred=False)
    theirs.update_state(masks[TRAIN:], said)
    judged(report, "miou")
    assert report.verdict.before == pytest.approx(float(theirs.result()), abs=1e-6)


@pytest.mark.heavy
def test_a_class_and_a_number_are_scored_each_by_its_own_metric(tmp_path: Path) -> None:
    from sklearn.metrics import accuracy_score, mean_absolute_error

    keras.utils.set_random_seed(0)
    x = np.random.default_rng(0).normal(size=(TRAIN + TEST, 12)).astype("float32")
    labels = {
        "kind": np.digitize(x[:, 0] + 0.3 * x[:, 1], [-0.5, 0.5]),
        "size": (2 * x[:, 2:3] - x[:, 3:4]).astype("float32"),
    }
    inputs = keras.Input((12,))
    inner = layers.Dense(32, activation="relu")(inputs)
    kind = layers.Dense(3, activation="softmax", name="kind")(inner)
    model = keras.Model(inputs, {"kind": kind, "size": layers.Dense(1, name="size")(inner)})
    losses = {"kind": "sparse_categorical_crossentropy", "size": "mse"}
    metrics = {"kind": "accuracy", "size": "mae"}
    model.compile(keras.optimizers.Adam(1e-2), losses, metrics=metrics)
    model.fit(x[:TRAIN], {n: y[:TRAIN] for n, y in labels.items()}, epochs=30, verbose=0)
    said = model.predict(x[TRAIN:], verbose=0)
    arrays = {"x_train": x[:TRAIN], "x_test": x[TRAIN:]}
    arrays |= {f"y_train/{n}": y[:TRAIN] for n, y in labels.items()}
    arrays |= {f"y_test/{n}": y[TRAIN:] for n, y in labels.items()}
    report = run(model, tmp_path, arrays)
    told = {(one.metric, one.output): one.value for one in report.ledger.base.scores}
    assert set(told) == {("top1", "kind"), ("mae", "size"), ("rmse", "size")}
    wanted = accuracy_score(labels["kind"][TRAIN:], said["kind"].argmax(1))
    assert told["top1", "kind"] == pytest.approx(wanted, abs=1e-6)
    wanted = mean_absolute_error(labels["size"][TRAIN:], said["size"])
    assert told["mae", "size"] == pytest.approx(wanted, abs=1e-6)
    judged(report, "top1")
    again = run(model, tmp_path, arrays, metric="mae", force=True)
    judged(again, "mae")
