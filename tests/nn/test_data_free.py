"""Inputs from batch norms: they fit the statistics, stay in range, and stand in for data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

import edgeshrink as package
from edgeshrink.engine.planning import data_free
from edgeshrink.engine.running import sample_sets
from edgeshrink.errors import DataError, ModelError, UsageError
from edgeshrink.models import config
from edgeshrink.nn.inputs.inversion import distance, inverted
from edgeshrink.nn.inputs.noise import made_up
from edgeshrink.nn.inputs.synthetic import synthetic_inputs
from edgeshrink.samples.preprocess import Preprocess

layers = keras.layers


def taught(scale: float = 1.0, offset: float = 0.0) -> keras.Model:
    """A model whose batch norms know smooth images with values from `offset` to that + `scale`."""
    image = keras.Input((8, 8, 3), name="image")
    inner_input = keras.Input((8, 8, 3))
    x = layers.Conv2D(6, 3, name="first")(inner_input)
    inner = keras.Model(inner_input, layers.BatchNormalization(momentum=0)(x), name="inner")
    x = layers.ReLU()(inner(image))
    x = layers.Conv2D(6, 3, name="second")(x)
    x = layers.ReLU()(layers.BatchNormalization(momentum=0)(x))
    model = keras.Model(image, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        if len(variable.shape) > 1:
            variable.assign(
                rng.normal(0, 0.4, variable.shape) / (scale if "first" in variable.path else 1)
            )
    model(known(scale, offset), training=True)  # the norms take these statistics
    return model


def known(scale: float, offset: float) -> np.ndarray:
    rng = np.random.default_rng(1)
    smooth = rng.random((256, 2, 2, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return (offset + scale * smooth).astype("float32")


@pytest.fixture(scope="module")
def of_bytes() -> keras.Model:
    return taught(255.0)


@pytest.fixture(scope="module")
def file(of_bytes: keras.Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "bytes.keras"
    of_bytes.save(path)
    return path


def test_inputs_have_the_statistics_of_the_training_data(of_bytes: keras.Model) -> None:
    made = inverted(of_bytes, 70, steps=40)["image"]
    noise = np.random.default_rng(0).random((64, 8, 8, 3), dtype="float32") * 255
    assert made.shape == (70, 8, 8, 3)
    assert made.dtype == np.float32
    assert distance(of_bytes, {"image": known(255.0, 0.0)}) < 1e-3
    assert distance(of_bytes, {"image": made}) < 0.3 * distance(of_bytes, {"image": noise})


@pytest.mark.parametrize(("scale", "offset"), [(1.0, 0.0), (2.0, -1.0), (255.0, 0.0)])
def test_the_range_is_found_and_never_left(scale: float, offset: float) -> None:
    made = inverted(taught(scale, offset), 16, steps=10)["image"]
    assert made.min() >= offset
    assert made.max() <= offset + scale
    assert made.max() - made.min() > scale / 2


def test_ends_for_each_channel_hold(of_bytes: keras.Model) -> None:
    low, high = np.array([0, 10, 20], "float32"), np.array([100, 200, 255], "float32")
    made = inverted(of_bytes, 8, ends={"image": (low, high)}, steps=10)["image"]
    assert (made >= low - 1e-3).all()
    assert (made <= high + 1e-3).all()


def test_the_same_seed_makes_the_same_inputs(of_bytes: keras.Model) -> None:
    one, same, other = (inverted(of_bytes, 8, steps=10, seed=s)["image"] for s in (3, 3, 4))
    assert (one == same).all()
    assert (one != other).any()


def test_what_cannot_be_inverted_is_told() -> None:
    plain = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    with pytest.raises(ModelError, match="no batch norms"):
        inverted(plain, 4)
    tokens = keras.Sequential(
        [keras.Input((4,), dtype="int32"), layers.Embedding(5, 2), layers.BatchNormalization()]
    )
    with pytest.raises(ModelError, match="only inputs of floats"):
        inverted(tokens, 4)
    broken = taught()
    broken.layers[1].layers[-1].moving_variance.assign([np.nan] * 6)
    with pytest.raises(ModelError, match="no number"):
        inverted(broken, 4)


def made(file: Path, preprocess: str = "none", **options: object) -> package.data.Dataset:
    return data_free.synthesised_dataset(
        config.facts(file),
        {"image": (None, 8, 8, 3)},
        lambda: keras.models.load_model(file),
        lambda: "digest",
        lambda share, note: None,
        preprocess=preprocess,
        **{"calibration": 10, "trains": False, "seed": 0, **options},
    )


def test_a_synthesised_data_set_has_no_test_and_no_labels(file: Path) -> None:
    data = made(file)
    assert data.counts() == {"train": 10, "validation": 0, "calibration": 10, "test": 0}
    assert data.train is not None
    assert data.train.labels is None
    assert made(file, trains=True).counts()["train"] == data_free.TRAINED_ON
    assert made(file, calibration=999).counts()["calibration"] == data_free.CALIBRATED_ON
    assert made(file, seed=1).digest != data.digest
    assert made(file).digest == data.digest


def test_preprocessing_tells_the_range_of_stored_bytes(file: Path) -> None:
    data = made(file, "scale=2 offset=-1")
    assert data.calibration is not None
    seen = data.values(data.calibration, np.arange(10))["image"]
    stored = data.calibration.take(np.arange(10))["image"]
    assert stored.min() >= -1e-3
    assert stored.max() <= 255.001
    np.testing.assert_allclose(seen, stored * 2 - 1, rtol=1e-5)
    with pytest.raises(UsageError, match="alone; received 'numpy:sqrt'"):
        made(file, "numpy:sqrt")


@pytest.mark.heavy
def test_a_compression_without_data_is_calibrated_and_judged_on_other_inputs(
    file: Path, tmp_path: Path
) -> None:
    report = package.compress(
        file,
        output=tmp_path / "small.tflite",
        int8=True,
        data_free=True,
        rules="smoke",
        calibration=16,
    )
    rows = report.ledger.rows
    assert any(row.facts.get("calibration_samples") == 16 for row in rows)
    assert rows[-1].agreement is not None
    assert rows[-1].agreement.synthetic
    assert rows[-1].agreement.top1 is not None
    assert rows[-1].agreement.top1 > 0.9
    assert any("16 inputs are synthesised" in note for note in report.notes)
    assert report.data["name"] == "data-free"
    kept = json.loads((tmp_path / "small.report.json").read_text())
    assert kept["data"]["split"] == {"seed": 0, "calibration": 16, "count": 16}


@pytest.mark.slow
def test_training_without_data_learns_the_original_s_answers(
    digits_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(data_free, "TRAINED_ON", 256)
    agreed = {}
    for epochs in (0, 3):
        report = package.compress(
            digits_model,
            output=tmp_path / f"pruned-{epochs}.keras",
            prune=0.9,
            data_free=True,
            calibration=16,
            epochs=epochs,
            lr=0.001,
            rules="smoke",
        )
        first, final = report.ledger.rows[0], report.ledger.rows[-1]
        assert final.nonzeros < first.nonzeros
        assert final.agreement is not None
        agreed[epochs] = final.agreement.cosine
    assert agreed[3] > agreed[0]


def test_wrong_requests_are_told_before_any_work(
    edgeshrink: Callable[..., object], file: Path, tmp_path: Path
) -> None:
    plain = keras.Sequential([keras.Input((4,)), layers.Dense(2)])
    plain.save(tmp_path / "plain.keras")
    for model, flags, error, said in (
        (file, {"data": "keras:mnist"}, UsageError, "received data= keras:mnist too"),
        (tmp_path / "plain.keras", {}, ModelError, "the model has none"),
    ):
        with pytest.raises(error, match=said):
            package.compress(
                model, output=tmp_path / "x.tflite", int8=True, data_free=True, **flags
            )


def test_data_that_cannot_calibrate_is_refused(file: Path, tmp_path: Path) -> None:
    images = known(255.0, 0.0)[:20]
    cases = {
        "samples must differ; .* are all the same": np.full_like(images, 7),
        "NaN or infinity, first in sample 3": np.where(
            np.arange(20)[:, None, None, None] == 3, np.nan, images
        ),
        "must fit the model's input 'image' of shape": images[:, :4],
    }
    for place, (said, x) in enumerate(cases.items()):
        np.savez(tmp_path / f"{place}.npz", x_train=x)
        with pytest.raises(DataError, match=said):
            package.compress(
                file, output=tmp_path / "x.tflite", int8=True, data=str(tmp_path / f"{place}.npz")
            )


def test_preprocessing_that_makes_no_numbers_is_told() -> None:
    with pytest.raises(DataError, match="made NaN or infinity"):
        Preprocess.from_spec("numpy:log")(np.zeros((2, 3)))
    with pytest.raises(DataError, match="made NaN or infinity"):
        Preprocess.from_spec("scale=2")(np.full((2, 3), 1e300))


def dim(path: Path) -> Path:
    """A network that knows values from 0 to 1 by its batch norm, and names class 0 for nearly all.

    Class 1 is for images that are brighter than any noise of that range.
    """
    image = keras.Input((8, 8, 3), name="image")
    x = layers.GlobalAveragePooling2D()(layers.BatchNormalization()(image))
    model = keras.Model(image, layers.Dense(2, activation="softmax")(x))
    model.layers[1].set_weights([np.ones(3), np.zeros(3), np.full(3, 0.5), np.full(3, 0.08)])
    model.layers[-1].set_weights([np.array([[0, 1.0]] * 3), np.array([0, -5.4])])
    model.save(path)
    return path


def test_made_up_inputs_spread_the_answers_where_noise_names_one_class(tmp_path: Path) -> None:
    model = keras.models.load_model(dim(tmp_path / "dim.keras"))
    rng = np.random.default_rng(0)
    noise = made_up(model, model.inputs[0], 0.0, 1.0, 256, rng)
    assert set(model.predict(noise, verbose=0).argmax(-1)) == {0}
    files = synthetic_inputs(model, tmp_path / "made")
    named = model.predict(np.load(files["image"]), verbose=0).argmax(-1)
    assert 100 < named.sum() <= 128


def test_without_data_a_good_file_is_no_error_where_noise_names_one_class(tmp_path: Path) -> None:
    report = package.compress(
        dim(tmp_path / "dim.keras"), output=tmp_path / "dim.tflite", dynamic=True, rules="smoke"
    )
    assert report.failed == ""
    assert report.verdict.guess < 1
    assert report.verdict.after > 0.95


@pytest.mark.heavy
def test_a_model_of_many_multiplications_is_compared_on_fewer_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3), layers.Flatten()])
    model.save(tmp_path / "large.keras")
    for macs, samples in ((12 * 36 * 36, 12), (1.0, sample_sets.LEAST)):
        monkeypatch.setattr(sample_sets, "MACS", macs)
        out = tmp_path / f"large-{samples}.tflite"
        report = package.compress(tmp_path / "large.keras", output=out, dynamic=True, rules="smoke")
        assert report.verdict.samples == samples
        assert report.notes[-1] == (
            f"the model takes so long that it is compared on {samples} synthetic inputs alone; "
            "pass --data to judge it on more"
        )
