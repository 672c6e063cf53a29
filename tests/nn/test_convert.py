"""Conversion in the warm child: names, types, granularity, and what a crash becomes."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from edgeshrink.api import Task
from edgeshrink.errors import ConversionError, EdgeshrinkError, VerificationError
from edgeshrink.models.write_faults import VARIABLE
from edgeshrink.nn.conversion.converter_process import Conversion, shared_converter
from edgeshrink.nn.conversion.keras_to_tflite import convert
from edgeshrink.nn.conversion.verification import check_zeros
from edgeshrink.nn.inputs.comparison import agreement
from edgeshrink.tflite.reader import float_operators, read_model

layers = keras.layers


def two_inputs() -> keras.Model:
    keras.utils.set_random_seed(0)
    image, extra = keras.Input((6, 6, 1), name="image"), keras.Input((3,), name="extra")
    x = layers.Conv2D(4, 3, activation="relu")(image)
    x = layers.Concatenate()([layers.Flatten()(x), extra])
    return keras.Model(
        {"image": image, "extra": extra},
        [layers.Dense(5, activation="softmax", name="kind")(x), layers.Dense(1, name="size")(x)],
    )


def samples(model: keras.Model) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {t.name: rng.random((30, *t.shape[1:]), "float32") for t in model.inputs}


def test_names_types_and_zeros_survive_conversion(tmp_path: Path) -> None:
    model = two_inputs()
    kernel = model.get_layer("kind").kernel
    kernel.assign(np.where(np.random.default_rng(0).random(kernel.shape) < 0.7, 0, kernel))
    wants = {
        "float32": Conversion(),
        "float16": Conversion("float16"),
        "dynamic": Conversion("int8"),
        "int8": Conversion("int8", "int8", "int8"),
        "tensor": Conversion("int8", "int8", per_channel=False),
        "int16x8": Conversion("int8", "int16"),
    }
    made = convert(model, wants, tmp_path, samples(model), tmp_path / "log")
    read_back = {name: read_model(data) for name, data in made.items()}
    for name, flat in read_back.items():
        (signature,) = flat.signatures
        assert set(signature.inputs) == {"image", "extra"}
        assert list(signature.outputs) == ["kind", "size"]
        assert 0 < check_zeros(model, made[name]) < 1
    for name in ("int8", "tensor", "int16x8"):
        assert float_operators(read_back[name]) == []
    assert {t.dtype for t in read_back["int8"].inputs} == {"int8"}
    assert {t.dtype for t in read_back["tensor"].inputs} == {"float32"}
    scales = {
        name: max(len(t.scales) for t in read_back[name].tensors if t.constant)
        for name in ("int8", "tensor")
    }
    assert scales["int8"] > 1
    assert scales["tensor"] == 1


def test_lost_zeros_are_found(tmp_path: Path) -> None:
    model = two_inputs()
    made = convert(model, {"float32": Conversion()}, tmp_path)["float32"]
    kernel = model.get_layer("kind").kernel
    kernel.assign(np.where(np.arange(kernel.shape[0])[:, None] % 2, kernel, 0))
    with pytest.raises(VerificationError, match="zeros must stay zero"):
        check_zeros(model, made)


def test_dynamic_dimensions_are_refused_with_the_flag_that_fixes_them(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((None, None, 3), name="photo"), layers.Conv2D(2, 3)])
    with pytest.raises(ConversionError, match="dynamic dimensions") as told:
        convert(model, {"float32": Conversion()}, tmp_path)
    assert "--input-shape photo=1,224,224,3" in told.value.hint


@pytest.mark.heavy
def test_a_crash_of_the_converter_is_an_error_and_not_the_end(tmp_path: Path) -> None:
    # int8 of a recurrent loop kills TensorFlow's converter: a real crash, no stand-in
    recurrent = keras.Sequential([keras.Input((5, 4)), layers.GRU(3), layers.Dense(2)])
    want = {"int8": Conversion("int8", "int8")}
    with pytest.raises(ConversionError, match="killed by signal"):
        convert(recurrent, want, tmp_path / "first", samples(recurrent))
    made = convert(recurrent, {"dynamic": Conversion("int8")}, tmp_path / "second")
    assert read_model(made["dynamic"]).parameters > 0


@pytest.mark.heavy
def test_a_kill_of_the_converter_is_no_answer_about_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # methods answer a ConversionError with another precision; memory that ran out is none
    monkeypatch.setenv(VARIABLE, json.dumps({"log": str(tmp_path / "writes.txt"), "at": 1}))
    shared_converter.close()
    with pytest.raises(EdgeshrinkError, match="killed by signal 9") as told:
        convert(two_inputs(), {"float32": Conversion()}, tmp_path)
    assert not isinstance(told.value, ConversionError)
    assert told.value.hint == "memory may have run out"


@pytest.mark.heavy
def test_the_converter_finds_files_wherever_the_caller_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(2)])
    for name in ("one", "two"):
        here = tmp_path / name
        here.mkdir()
        monkeypatch.chdir(here)
        made = convert(model, {"float32": Conversion()}, Path("made"))
        assert read_model(made["float32"]).parameters == 8  # no bias of zeros


def test_a_refusal_of_the_converter_is_one_sentence(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((8,)), layers.Lambda(keras.ops.erfinv)])
    with pytest.raises(ConversionError, match="refused the model") as told:
        convert(model, {"float32": Conversion()}, tmp_path)
    assert len(str(told.value).splitlines()) == 1


def test_agreement_counts_classes_and_distance() -> None:
    reference = {"a": np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])}
    other = {"b": np.array([[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.3, 0.7]])}
    tasks = {"a": Task("a", "classification", (2,))}
    told = agreement(reference, other, tasks=tasks)
    assert told.top1 == 0.75
    assert told.max_error == pytest.approx(0.6 / 0.8)
    assert told.classes == 2
    same = agreement(reference, {"b": reference["a"]})
    assert same.top1 is None
    assert same.cosine == pytest.approx(1)
    assert same.max_error == 0


def test_agreement_refuses_what_is_not_finite_or_not_alike() -> None:
    reference, tasks = {"a": np.ones((4, 2))}, {"a": Task("a", "classification", (2,))}
    with pytest.raises(VerificationError, match="not finite"):
        agreement(reference, {"a": np.full((4, 2), np.nan)}, tasks=tasks)
    with pytest.raises(VerificationError, match="must have shape"):
        agreement(reference, {"a": np.ones((4, 3))}, tasks=tasks)
    with pytest.raises(VerificationError, match="must have 1 outputs"):
        agreement(reference, {"a": np.ones((4, 2)), "b": np.ones((4, 2))}, tasks=tasks)
