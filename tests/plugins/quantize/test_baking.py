"""Preprocessing inside the file: raw samples get the answers that preprocessed ones got before."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

import edgeshrink as package
from edgeshrink.devices import DeviceProfile
from edgeshrink.errors import UsageError
from edgeshrink.nn.conversion.converter_process import Conversion
from edgeshrink.nn.conversion.keras_to_tflite import convert
from edgeshrink.plugins import installed
from edgeshrink.recipes import Context, Recipe, Training
from edgeshrink.samples import load_dataset
from edgeshrink.tflite.reader import read_model
from edgeshrink_quantize import BakePreprocess

layers = keras.layers
RAW = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3)).astype("uint8")
WANTS = {"float": Conversion(), "int8": Conversion("int8", "int8")}


def network() -> keras.Model:
    """A convolution that pads, so that a mean is not the same as a bias."""
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3), name="image")
    x = layers.Conv2D(6, 3, padding="same", activation="relu", name="conv")(image)
    return keras.Model(image, layers.Dense(4, name="values")(layers.Flatten()(x)))


def dataset(spec: str, raw: np.ndarray = RAW) -> Any:
    arrays = {"x_train": raw, "y_train": np.arange(len(raw)) % 4}
    data = load_dataset("raw", preprocess=spec, calibration=20, hook=lambda _: arrays)
    return data.for_model({"image": (None, 8, 8, 3)})


def answers(file: bytes, samples: np.ndarray) -> np.ndarray:
    """Run a file on samples as they are, without the quantization of its input."""
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(model_content=file)
    net.allocate_tensors()
    taken, given_ = net.get_input_details()[0], net.get_output_details()[0]
    made = []
    for sample in samples:
        net.set_tensor(taken["index"], sample[None].astype(taken["dtype"]))
        net.invoke()
        made.append(net.get_tensor(given_["index"])[0].copy())
    return np.array(made)


def never(*args: Any, **kwargs: Any) -> Any:
    raise AssertionError("nothing is judged, measured or loaded")


def baked(model: keras.Model, data: Any, folder: Path) -> keras.Model:
    context = Context(
        data=data,
        profile=DeviceProfile("test"),
        folder=folder,
        seed=0,
        training=Training(),
        progress=lambda share, note: None,
        original=never,
        evaluate=never,
        agreement=never,
        measure=never,
        log=folder / "run.log",
    )
    return BakePreprocess().apply(model, context)


numbers = st.floats(0.5, 2.0)


@pytest.mark.heavy
@settings(max_examples=6, suppress_health_check=list(HealthCheck))
@given(
    mean=st.lists(st.floats(-50, 300), min_size=3, max_size=3),
    std=st.lists(numbers, min_size=3, max_size=3),
    unit=st.sampled_from([1.0, 60.0, 255.0]),
)
def test_raw_samples_get_the_answers_of_preprocessed_ones(
    tmp_path_factory: pytest.TempPathFactory, mean: list[float], std: list[float], unit: float
) -> None:
    folder = tmp_path_factory.mktemp("bake")
    spec = f"mean={','.join(map(str, mean))} std={','.join(str(s * unit) for s in std)}"
    model, data = network(), dataset(spec)
    prepared = data.preprocess(RAW)
    inside = baked(model, data, folder)
    plain = convert(model, WANTS, folder / "plain", {"image": prepared})
    whole = convert(inside, WANTS, folder / "baked", {"image": RAW})
    wanted = answers(plain["float"], prepared)
    spread = wanted.max() - wanted.min()
    np.testing.assert_allclose(answers(whole["float"], RAW), wanted, atol=1e-4 * spread)
    # in 8 bits both are as far from the float file, but for one more rounding of the input
    error, more = (
        np.abs(answers(files["int8"], x) - wanted).mean() / spread
        for files, x in ((plain, prepared), (whole, RAW))
    )
    assert more < error + 0.02
    for name, quantized in (("float", False), ("int8", True)):
        taken = read_model(whole[name]).inputs[0]
        assert taken.dtype == "uint8"
        if quantized:  # a byte is the quantized input as it is
            assert (taken.scales, taken.zero_points) == ((1.0,), (0,))


def test_a_single_scale_costs_no_accuracy_in_integers(tmp_path: Path) -> None:
    model, data = network(), dataset("scale=1/127.5 offset=-1")
    prepared = data.preprocess(RAW)
    wanted = answers(convert(model, {"float": Conversion()}, tmp_path / "a")["float"], prepared)
    plain = convert(model, {"int8": WANTS["int8"]}, tmp_path / "b", {"image": prepared})["int8"]
    made = baked(model, data, tmp_path)
    whole = convert(made, {"int8": WANTS["int8"]}, tmp_path / "c", {"image": RAW})["int8"]
    error, more = (
        np.abs(answers(f, x) - wanted).max() for f, x in ((plain, prepared), (whole, RAW))
    )
    assert more < 1.3 * error + 1e-3


def test_floats_that_are_stored_stay_floats(tmp_path: Path) -> None:
    raw = RAW.astype("float32") / 7
    model, data = network(), dataset("scale=1/36", raw)
    made = baked(model, data, tmp_path)
    assert made.inputs[0].dtype == "float32"
    np.testing.assert_allclose(
        made.predict(raw, verbose=0), model.predict(raw / 36, verbose=0), atol=1e-4
    )


def run(folder: Path, model: Path, data: Path, **flags: Any) -> Any:
    return package.compress(
        model,
        output=folder / "baked.tflite",
        data=str(data),
        preprocess="scale=1/16",
        bake_preprocess=True,
        rules="smoke",
        **flags,
    )


@pytest.mark.heavy
def test_a_baked_file_is_judged_told_and_run_on_raw_samples(
    tmp_path: Path, digits_model: Path, digits: Path, monkeypatch: Any, capsys: Any
) -> None:
    report = run(tmp_path, digits_model, digits, int8=True)
    assert report.failed == ""
    assert report.ledger.final.agreement.top1 > 0.97
    row = next(r for r in report.ledger.rows if r.step == "bake_preprocess")
    assert row.agreement.top1 == 1.0
    assert row.notes[0] == (
        "preprocessing (scale=1/16) is inside from here on; samples are taken as they are stored: "
        "image in uint8"
    )
    with np.load(digits) as arrays:
        x, y = arrays["x_test"], arrays["y_test"]
    made = answers((tmp_path / "baked.tflite").read_bytes(), x).argmax(-1)
    assert (made == y).mean() == pytest.approx(report.ledger.final.score.value)
    script = tmp_path / "baked.infer.py"
    assert "1/16" not in script.read_text()
    assert "0.0625" not in script.read_text()
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", x[0])
    monkeypatch.setattr(sys, "argv", [str(script), "x.npy"])
    runpy.run_path(str(script))
    assert capsys.readouterr().out.startswith("[")
    again = Recipe.from_toml(report.recipe, installed().methods)
    assert next(step.name for step in again.steps) == "bake_preprocess"


@pytest.mark.heavy
def test_training_for_integers_goes_before_and_its_ranges_move_behind(
    tmp_path: Path, digits_model: Path, digits: Path
) -> None:
    tuned: dict[str, Any] = {"epochs": 1, "lr": 1e-4}
    report = run(tmp_path, digits_model, digits, int8=True, int8_qat=True, **tuned)
    names = [row.step.partition("(")[0] for row in report.ledger.rows[2:]]
    assert names == ["qat", "bake_preprocess", "int8", "strip"]
    assert report.ledger.final.agreement.top1 > 0.97
    taken = read_model((tmp_path / "baked.tflite").read_bytes()).inputs[0]
    assert (taken.dtype, taken.scales) == ("uint8", (1.0,))


def test_made_up_inputs_are_stored_as_bytes_and_read_back(tmp_path: Path) -> None:
    data = dataset("scale=1/127.5 offset=-1")
    made = np.random.default_rng(0).uniform(-1.5, 1.5, (16, 8, 8, 3)).astype("float32")
    np.save(tmp_path / "image.npy", made)
    stored = np.load(data.made_stored({"image": tmp_path / "image.npy"}, tmp_path / "s")["image"])
    assert stored.dtype == np.uint8
    np.testing.assert_array_equal(np.load(tmp_path / "image.npy"), data.preprocess(stored))
    np.testing.assert_allclose(data.preprocess(stored), made.clip(-1, 1), atol=0.5 / 127.4)


@pytest.mark.heavy
def test_without_data_a_baked_file_is_compared_on_made_up_inputs(
    tmp_path: Path, digits_model: Path
) -> None:
    report = package.compress(
        digits_model,
        output=tmp_path / "baked.tflite",
        data_free=True,
        calibration=16,
        preprocess="scale=1/255",
        bake_preprocess=True,
        int8=True,
        rules="smoke",
    )
    assert report.ledger.final.agreement.synthetic
    assert report.ledger.final.agreement.cosine > 0.95


def test_what_cannot_be_put_inside_is_refused(
    tmp_path: Path, digits_model: Path, digits: Path
) -> None:
    base = {"output": tmp_path / "x.tflite", "data": str(digits)}
    for flags, said in (
        ({"preprocess": "numpy:sqrt", "bake_preprocess": True}, "only scale, offset, mean and std"),
        (
            {"preprocess": "scale=1/16", "step": ("bake_preprocess", "prune sparsity=0.5")},
            "prune comes after it",
        ),
        ({"bake_preprocess": True, "data": ""}, "bake_preprocess needs data"),
    ):
        with pytest.raises(UsageError, match=said):
            package.compress(digits_model, **{**base, **flags})
    with np.load(digits) as arrays:
        floats = {k: v.astype("float32") if k[0] == "x" else v for k, v in arrays.items()}
        np.savez(tmp_path / "floats.npz", **floats)
    with pytest.raises(UsageError, match="there is no preprocessing to put into the file"):
        package.compress(
            digits_model,
            output=tmp_path / "x.tflite",
            data=str(tmp_path / "floats.npz"),
            bake_preprocess=True,
        )
