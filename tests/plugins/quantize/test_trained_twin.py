"""A converted file answers as the model that was trained for it, or it is not kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import edgeshrink as package
from edgeshrink.api import Context, Method, hookimpl
from edgeshrink.errors import CheckFailed
from edgeshrink.nn.conversion import Conversion, convert, matched_ranges, parting_layer
from edgeshrink.nn.graph import folded
from edgeshrink.nn.learning import calibrated_ranges, trained_twin
from edgeshrink.plugins import installed
from edgeshrink.tflite import activation_values
from edgeshrink_quantize import Int8

layers = keras.layers
RUN: dict[str, Any] = {"preprocess": "scale=1/16", "rules": "smoke", "epochs": 1}


class Elsewhere(Int8):
    """A conversion that goes wrong: the range of one activation is not the trained one."""

    name, title = "elsewhere", "Ranges from elsewhere"

    def apply(self, model: keras.Model, context: Context) -> Any:
        """Return the .tflite, the range of the layer `hidden` too narrow by far."""
        ends = dict(context.inherited)
        ends["ranges/hidden"] = ends["ranges/hidden"] / 200
        return super().apply(model, replace(context, inherited=ends))


@pytest.fixture
def elsewhere() -> Iterator[None]:
    class Plugin:
        @hookimpl
        def edgeshrink_methods(self) -> list[type[Method]]:
            return [Elsewhere]

    plugins = installed()
    plugins.register(Plugin(), "elsewhere")
    yield
    plugins.unregister("elsewhere")


@pytest.mark.heavy
def test_a_file_that_left_its_twin_is_not_kept_and_the_layer_is_named(
    elsewhere: None, digits: Path, digits_model: Path, tmp_path: Path
) -> None:
    out = tmp_path / "small.tflite"
    with pytest.raises(CheckFailed) as error:
        package.compress(
            digits_model, output=out, step=["qat", "elsewhere"], data=str(digits), **RUN
        )
    said = str(error.value)
    assert "a converted file must answer as the model that was trained for it" in said
    assert "validation samples" in said
    assert "they part most at 'hidden'" in said
    assert "the last good model is" in said
    assert "int8=" in error.value.hint
    assert error.value.exit_code == 4
    assert not out.exists()


@pytest.mark.heavy
def test_a_healthy_file_is_kept(digits: Path, digits_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "small.tflite"
    flags = {"int8": True, "int8_qat": True}
    report = package.compress(digits_model, output=out, data=str(digits), **flags, **RUN)
    assert report.failed == ""
    trained, converted = report.ledger.rows[2:4]
    assert trained.facts["trained_quantized"] == "8-bit weights"
    assert converted.score.value > 0.9
    assert out.exists()


def chain(activation: str = "linear") -> keras.Model:
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((6, 6, 2), name="x"),
            layers.Conv2D(4, 3, activation="relu", name="first"),
            layers.Conv2D(5, 3, activation="relu", name="second"),
            layers.AveragePooling2D(2, name="average"),
            layers.Flatten(name="flat"),
            layers.Dense(6, activation="relu", name="third"),
            layers.Dense(3, activation=activation, name="answer"),
        ]
    )


def inputs(count: int = 32) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(2).random((count, 6, 6, 2)).astype("float32")}


@pytest.mark.parametrize(
    ("place", "io"), [("x", "float32"), ("second", "int8"), ("third", "float32")]
)
def test_the_layer_is_found_whose_range_is_another(tmp_path: Path, place: str, io: str) -> None:
    plain, samples = folded(chain()), inputs()
    ends = calibrated_ranges(plain, samples)
    name = place if place in ends else f"input:{place}"
    narrow = {**ends, name: ends[name] / 10}
    made = convert(
        plain,
        {"int8": Conversion("int8", "int8", io)},
        tmp_path,
        samples,
        ranges=lambda calibrated: matched_ranges(calibrated, plain, narrow, samples),
    )["int8"]
    twin = trained_twin(plain, {f"ranges/{one}": value for one, value in ends.items()})
    assert parting_layer(made, twin, samples, tmp_path) == name


def test_without_trained_ranges_the_layer_is_found_whose_weights_are_others(
    tmp_path: Path,
) -> None:
    plain, samples = folded(chain("softmax")), inputs()
    twin = trained_twin(plain, {})
    other = folded(plain)
    other.get_layer("second").kernel.assign(-np.asarray(other.get_layer("second").kernel))
    made = convert(other, {"float": Conversion()}, tmp_path)["float"]
    assert parting_layer(made, twin, samples, tmp_path) == "second"


def test_codes_are_the_numbers_that_they_stand_for(tmp_path: Path) -> None:
    plain, samples = folded(chain()), inputs(4)
    wants = {"float": Conversion(), "bytes": Conversion("int8", "int8", "uint8")}
    made = convert(plain, wants, tmp_path, samples)
    of_floats, of_codes = ([*activation_values(made[name], samples)] for name in wants)
    for floats, codes in zip(of_floats, of_codes, strict=True):
        hidden = next(v for v in floats.values() if v.size == 6)
        assert min(np.abs(v - hidden).max() for v in codes.values() if v.size == 6) < 0.05
