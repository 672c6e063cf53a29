"""Models that give their input back: trained towards it, judged by what they give back badly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import edgeshrink
from edgeshrink.errors import DataError, EdgeshrinkError, UsageError
from edgeshrink.results import Report

TRAIN, TEST = 192, 80


def sounds(count: int, rng: np.random.Generator, odd: float = 0.0) -> tuple[Any, Any]:
    """Waves of 16 steps; those that are anomalous have a rate of their own."""
    anomalous = (rng.random(count) < odd).astype("uint8")
    steps, shift = np.arange(16), rng.random((count, 1)) * 6
    rate = np.where(anomalous, rng.uniform(0.2, 0.6, count), 0.4)[:, None]
    waves = np.sin(rate * steps + shift) + rng.normal(0, 0.15, (count, 16))
    return waves.astype("float32"), anomalous


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, np.ndarray]]:
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    normal, _ = sounds(TRAIN, rng)
    test, anomalous = sounds(TEST, rng, odd=0.4)
    model = keras.Sequential(
        [
            keras.Input((16,)),
            keras.layers.Dense(24, activation="relu"),
            keras.layers.Dense(3),
            keras.layers.Dense(24, activation="relu"),
            keras.layers.Dense(16),
        ]
    )
    model.compile(keras.optimizers.Adam(5e-3), "mse")
    model.fit(normal * 2, normal * 2, epochs=40, batch_size=16, verbose=0)
    path = tmp_path_factory.mktemp("made") / "auto.keras"
    model.save(path)
    return path, {"x_train": normal, "x_test": test, "y_test": anomalous}


def run(made: tuple[Path, Any], folder: Path, arrays: dict[str, Any], **how: Any) -> Report:
    np.savez(folder / "d.npz", **arrays)
    how = {"preprocess": "scale=2", "rules": "smoke", "epochs": 2, "lr": 1e-3} | how
    return edgeshrink.compress(
        made[0], output=folder / "m.tflite", data=str(folder / "d.npz"), **how
    )


def scored_by_others(model: keras.Model, arrays: dict[str, Any]) -> tuple[float, float]:
    """Return the area of the errors, and the root of their mean, as scikit-learn has them."""
    from sklearn.metrics import mean_squared_error, roc_auc_score

    seen = arrays["x_test"] * np.float32(2)
    said = model.predict(seen, verbose=0)
    each = np.square(said.astype("float64") - seen.astype("float64")).mean(1)
    return (
        float(roc_auc_score(arrays["y_test"], each)),
        float(np.sqrt(mean_squared_error(seen.ravel(), said.ravel()))),
    )


@pytest.mark.heavy
def test_an_autoencoder_is_judged_by_what_it_gives_back_badly(
    made: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    pytest.importorskip("sklearn")
    report = run(made, tmp_path, made[1], prune=0.5, int8=True, max_drop="none")
    area, missed = scored_by_others(keras.models.load_model(made[0]), made[1])
    scores = {score.metric: score for score in report.ledger.base.scores}
    assert list(scores) == ["anomaly_auc", "mae", "rmse"]
    assert scores["anomaly_auc"].value == pytest.approx(area, abs=1e-6)
    assert scores["rmse"].value == pytest.approx(missed, abs=1e-6)
    assert 0.8 < area < 1
    assert scores["anomaly_auc"].low < area < scores["anomaly_auc"].high
    verdict = report.verdict
    assert (verdict.metric, verdict.samples, verdict.guess) == ("anomaly_auc", TEST, 0.5)
    assert verdict.before == pytest.approx(area, abs=1e-6)
    assert verdict.p_value is not None
    assert 0 <= verdict.p_value <= 1
    assert report.data["tasks"] == {next(iter(report.data["tasks"])): "reconstruction"}


@pytest.mark.heavy
def test_it_is_trained_towards_its_input_as_it_sees_it(
    made: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    normal, _ = sounds(TEST, np.random.default_rng(2))
    arrays = {"x_train": made[1]["x_train"], "x_test": normal}
    how = {"task": "reconstruction", "metric": "rmse", "max_drop": "none", "prune": 0.6}
    long: dict[str, Any] = {"epochs": 30, "lr": 1e-2, "force": True}
    rough = run(made, tmp_path, arrays, epochs=0, **how)
    trained = run(made, tmp_path, arrays, **long, **how)
    assert rough.ledger.base.score is not None
    base, pruned, better = (
        row.score.value  # type: ignore[union-attr]
        for row in (rough.ledger.base, rough.ledger.final, trained.ledger.final)
    )
    assert pruned > 1.5 * base
    assert better < base + 0.5 * (pruned - base)  # of inputs as stored it would learn the half
    labels = {"y_train": arrays["x_train"], "y_test": arrays["x_test"]}
    named = run(made, tmp_path, arrays | labels, **long, **how | {"task": ""})
    assert named.ledger.final.score == trained.ledger.final.score


def test_what_labels_may_be_is_told(
    made: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    x, test, y = (made[1][name] for name in ("x_train", "x_test", "y_test"))

    def refused(kind: type[EdgeshrinkError], **arrays: Any) -> str:
        how = arrays.pop("how", {"task": "reconstruction"})
        with pytest.raises(kind) as told:
            run(made, tmp_path, {"x_train": x, "x_test": test} | arrays, float=True, **how)
        return f"{told.value} / {told.value.hint}"

    assert "y_test in" in (said := refused(DataError, y_test=y * 3))
    assert "0 (normal) and 1 (anomalous), one for each sample" in said
    assert said.split(" / ")[0].endswith("has 0 to 3")
    assert "is of (80, 2)" in refused(DataError, y_test=np.stack([y, y], 1))
    assert "y_test in" in (said := refused(DataError, y_test=y * 0))
    assert "is all 0, normal" in said
    assert "is all 1, anomalous" in refused(DataError, y_test=y * 0 + 1)
    said = refused(UsageError, y_test=y, how={"metric": "top1"})
    assert "top1 does not fit a model that gives its input back / anomaly_auc, mae, rmse" in said
    said = refused(UsageError, how={"task": "reconstruction", "metric": "anomaly_auc"})
    assert "anomaly_auc needs test labels" in said
    said = refused(DataError, y_train=np.ones(len(x)), y_test=y)
    assert "training samples of" in said
    assert "are anomalous" in said


def test_an_output_that_is_not_of_the_inputs_shape_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((16,)), keras.layers.Dense(8)])
    model.save(tmp_path / "m.keras")
    x = np.random.default_rng(0).normal(size=(40, 16)).astype("float32")
    with pytest.raises(DataError, match=r"a reconstruction has the shape of an input; .*\(8,\)"):
        run((tmp_path / "m.keras", None), tmp_path, {"x_train": x, "x_test": x}, float=True,
            task="reconstruction")  # fmt: skip


def test_training_samples_that_are_anomalous_are_left_out(
    made: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    x, y = sounds(200, np.random.default_rng(1), odd=0.3)
    np.savez(tmp_path / "d.npz", x=x, y=y)
    from edgeshrink.models import TensorFacts
    from edgeshrink.samples import ModelOutputs, load_dataset

    outputs = ModelOutputs((TensorFacts("out", (None, 16)),), given="reconstruction")
    data = load_dataset(str(tmp_path / "d.npz"), outputs=outputs)
    assert data.train is not None
    assert data.validation is not None
    assert data.test is not None
    assert data.train.truth is not None
    assert not data.train.truth.any()
    assert data.validation.truth is not None
    assert data.validation.truth.any()
    assert data.test.truth is not None
    assert data.test.truth.mean() == pytest.approx(y.mean(), abs=0.02)
    left = int(y.sum() - data.test.truth.sum() - data.validation.truth.sum())
    assert any(f"{left} of {left + len(data.train)} training samples" in n for n in data.notes)


def test_a_base_that_tells_nothing_apart_is_refused_in_true_words(
    made: tuple[Path, dict[str, np.ndarray]], tmp_path: Path
) -> None:
    arrays = {**made[1], "y_test": np.arange(TEST) % 2}
    with pytest.raises(DataError, match=r"model's anomaly_auc is 0\.\d+, where guessing gets 0\.5"):
        run(made, tmp_path, arrays, float=True)


def test_folders_of_images_beside_the_normal_one_are_anomalous(tmp_path: Path) -> None:
    import PIL.Image

    from edgeshrink.models import TensorFacts
    from edgeshrink.samples import ModelOutputs, load_dataset

    rng = np.random.default_rng(0)
    for name, count in {"train/good": 8, "test/good": 3, "test/bent": 2, "test/cut": 2}.items():
        (tmp_path / name).mkdir(parents=True)
        for place in range(count):
            image = PIL.Image.fromarray(rng.integers(0, 255, (8, 8), np.uint8))
            image.save(tmp_path / name / f"{place}.png")
    outputs = ModelOutputs((TensorFacts("out", (None, 8, 8, 1)),), given="reconstruction")
    data = load_dataset(str(tmp_path), outputs=outputs)
    assert data.test is not None
    assert data.test.truth is not None
    assert sorted(data.test.truth.tolist()) == [0, 0, 0, 1, 1, 1, 1]
    with pytest.raises(DataError, match="labels must be of two classes or more"):
        load_dataset(str(tmp_path))


def test_of_classes_with_names_that_of_the_training_samples_is_the_normal_one(
    tmp_path: Path,
) -> None:
    from edgeshrink.models import TensorFacts
    from edgeshrink.samples import ModelOutputs, load_dataset

    x = np.random.default_rng(0).normal(size=(12, 16)).astype("float32")
    names = np.array(["good"] * 4 + ["bent"] * 4 + ["scratched"] * 4)
    outputs = ModelOutputs((TensorFacts("out", (None, 16)),), given="reconstruction")
    spec = str(tmp_path / "d.npz")
    np.savez(spec, x_train=x, y_train=["good"] * 12, x_test=x, y_test=names)
    data = load_dataset(spec, outputs=outputs)
    assert data.test is not None
    assert data.test.truth is not None
    assert data.test.truth.tolist() == [0] * 4 + [1] * 8
    np.savez(spec, x_train=x, y_train=names, x_test=x, y_test=names)
    with pytest.raises(DataError, match="that of the training samples is the normal one"):
        load_dataset(spec, outputs=outputs)
