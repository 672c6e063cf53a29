"""What a model answers is told by the model: masks, several outputs, numbers in a table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import edgeshrink
from edgeshrink.errors import DataError, UsageError
from edgeshrink.results import Report

layers = keras.layers


def compressed(model: keras.Model, folder: Path, data: str, **how: Any) -> Report:
    model.save(folder / "m.keras")
    return edgeshrink.compress(
        folder / "m.keras", output=folder / "m.tflite", data=data, rules="smoke", **how
    )


def stored(folder: Path, **arrays: np.ndarray) -> str:
    np.savez(folder / "d.npz", **arrays)
    return str(folder / "d.npz")


@pytest.mark.heavy
@pytest.mark.parametrize("one_hot", [False, True])
def test_masks_are_judged_by_pixel_and_compared_by_image(tmp_path: Path, one_hot: bool) -> None:
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 1))
    x = layers.Conv2D(4, 3, padding="same", activation="relu")(image)
    model = keras.Model(image, layers.Conv2D(2, 1, activation="softmax")(x))
    rng = np.random.default_rng(0)
    inputs = rng.normal(size=(120, 8, 8, 1)).astype("float32")
    numbers = (inputs[..., 0] > 0.5) * 1
    labels = np.eye(2, dtype="float32")[numbers] if one_hot else numbers
    loss = "categorical_crossentropy" if one_hot else "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(0.03), loss, metrics=["accuracy"])
    model.fit(inputs[:80], labels[:80], epochs=12, verbose=0)
    data = stored(
        tmp_path,
        x_train=inputs[:80],
        y_train=labels[:80],
        x_test=inputs[80:],
        y_test=labels[80:],
    )
    report = compressed(model, tmp_path, data, int8=True)
    accuracy, iou = report.ledger.base.scores
    said = model.predict(inputs[80:], verbose=0).argmax(-1)
    assert accuracy.metric == "top1"
    assert accuracy.value == pytest.approx((said == numbers[80:]).mean(), abs=1e-3)
    assert accuracy.count == 40
    theirs = keras.metrics.MeanIoU(2)
    theirs.update_state(numbers[80:], said)
    assert (iou.metric, iou.beside) == ("miou", True)
    assert iou.value == pytest.approx(float(theirs.result()), abs=2e-3)
    assert report.verdict.guess == pytest.approx((numbers[80:] == 0).mean())
    assert report.ledger.final.agreement is not None
    assert report.ledger.final.agreement.answers == 40 * 64
    assert report.ledger.final.agreement.share > 0.95
    assert report.verdict.worst is None


def test_a_mask_that_is_near_chance_is_refused_in_true_words(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4, 4, 1)), layers.Conv2D(1, 1, activation="sigmoid")])
    inputs = np.random.default_rng(0).normal(size=(60, 4, 4, 1)).astype("float32")
    labels = np.zeros((60, 4, 4, 1), "uint8")
    labels[:, 0] = 1
    data = stored(tmp_path, x_train=inputs, y_train=labels, x_test=inputs, y_test=labels)
    with pytest.raises(DataError, match=r"answers .* naming the commonest class gets 75\.0%"):
        compressed(model, tmp_path, data, float=True)


def two_outputs() -> tuple[keras.Model, dict[str, np.ndarray]]:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((8,))
    x = layers.Dense(8, activation="relu")(inputs)
    cls = layers.Dense(1, activation="sigmoid", name="cls")(x)
    model = keras.Model(inputs, {"box": layers.Dense(4, name="box")(x), "cls": cls})
    model.compile("adam", loss={"box": "mse", "cls": "binary_crossentropy"})
    x = np.random.default_rng(0).normal(size=(120, 8)).astype("float32")
    labels = {"box": x[:, :4], "cls": x[:, 0] > 0}
    named = {f"y_{part}/{name}": y for part in ("train", "test") for name, y in labels.items()}
    return model, {"x_train": x, "x_test": x, **named}


@pytest.mark.heavy
@pytest.mark.parametrize("loss", [None, "box=mae"])
def test_a_model_with_a_loss_for_each_output_is_trained(tmp_path: Path, loss: str | None) -> None:
    model, arrays = two_outputs()
    training: dict[str, Any] = {"epochs": 2, "lr": 1e-2} | ({"loss": loss} if loss else {})
    report = compressed(
        model, tmp_path, stored(tmp_path, **arrays), prune=0.5, force=True, **training
    )
    told = {(score.metric, score.output) for score in report.ledger.final.scores}
    assert told == {("mae", "box"), ("rmse", "box"), ("top1", "cls")}
    assert report.data["tasks"] == {"box": "regression", "cls": "binary"}
    assert ("loss" in report.recipe) == bool(loss)


def test_a_loss_for_an_output_that_there_is_not_is_refused_in_the_plan(tmp_path: Path) -> None:
    model, arrays = two_outputs()
    with pytest.raises(UsageError, match="loss=: no output 'bax'"):
        compressed(model, tmp_path, stored(tmp_path, **arrays), prune=0.5, loss="bax=mse")


def table(folder: Path) -> str:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(100, 4)).round(3)
    rows = [",".join(map(str, (*row, int(20 + 5 * row[0])))) for row in features]
    (folder / "age.csv").write_text("\n".join(["a,b,c,d,target", *rows]))
    return str(folder / "age.csv")


def test_whole_numbers_of_a_table_are_numbers_where_the_model_says_so(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1)])
    model.compile("adam", loss="mae")
    report = compressed(model, tmp_path, table(tmp_path), float=True, max_drop="none")
    assert [score.metric for score in report.ledger.base.scores] == ["mae", "rmse"]
    assert list(report.data["tasks"].values()) == ["regression"]


def test_the_task_can_be_said(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(1, activation="sigmoid")])
    spec = table(tmp_path)
    with pytest.raises(DataError, match="must be 0 and 1") as told:
        compressed(model, tmp_path, spec, float=True)
    assert 'task="regression"' in told.value.hint
    report = compressed(model, tmp_path, spec, float=True, task="regression", max_drop="none")
    assert report.ledger.base.scores[0].metric == "mae"
    with pytest.raises(UsageError, match="received 'regresion'") as wrong:
        compressed(model, tmp_path, spec, float=True, task="regresion")
    assert wrong.value.hint == "did you mean 'regression'?"


@pytest.mark.heavy
def test_columns_that_int8_hardly_tells_apart_are_named(tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.Input((4,)), layers.Dense(3)])
    kernel = np.zeros((4, 3), "float32")
    kernel[0], kernel[1, 1], kernel[2, 2] = (60, 0, 0), 50, 0.1  # pixels, pixels, a probability
    model.layers[-1].set_weights([kernel, np.array([112, 112, 0.5], "float32")])
    inputs = np.random.default_rng(0).normal(size=(100, 4)).astype("float32")
    labels = model.predict(inputs, verbose=0)
    data = stored(tmp_path, x_train=inputs, y_train=labels, x_test=inputs, y_test=labels)
    report = compressed(model, tmp_path, data, int8=True, max_drop="none")
    said = [note for note in report.ledger.final.notes if "too coarse for" in note]
    assert len(said) == 1
    assert "too coarse for 1 of its 3 columns: column 2 spans" in said[0]
    assert "an output of its own for each unit" in said[0]
