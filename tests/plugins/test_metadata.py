"""Labels and normalization in the file: what is told to whom, and what cannot be."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import edgeshrink as package
from edgeshrink.cli.app import app
from edgeshrink.devices import DeviceProfile
from edgeshrink.errors import DataError, EdgeshrinkError, UsageError
from edgeshrink.models import facts
from edgeshrink.plugins import installed
from edgeshrink.recipes import Plan
from edgeshrink.results import Report
from edgeshrink.samples import Dataset, load_dataset
from edgeshrink.testing import check_method
from edgeshrink.tflite import read_metadata, tflite_bytes
from edgeshrink_metadata import Metadata

layers = keras.layers
COLORS = ("red", "green", "blue", "grey")
SPEC = "scale=1/127.5,offset=-1"


def pictures(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return noise in which one channel is brighter, or none, and which."""
    classes = np.arange(count) % len(COLORS)
    images = np.random.default_rng(seed).integers(0, 156, (count, 16, 16, 3))
    for image, color in zip(images, classes, strict=True):
        image[..., color : color + 1] += 100  # there is no fourth channel
    return images.astype("uint8"), classes


@pytest.fixture(scope="module")
def arrays() -> dict[str, Any]:
    (x_train, y_train), (x_test, y_test) = pictures(80), pictures(40, 1)
    return {
        "x_train": x_train,
        "y_train": y_train,
        "x_test": x_test,
        "y_test": y_test,
        "class_names": np.array(COLORS),
    }


def classifier(ends: str = "softmax", *inside: keras.Layer) -> keras.Model:
    """Tells the brightest channel from the mean of each, in pixels that SPEC scaled."""
    image = x = keras.Input((16, 16, 3), name="image")
    for layer in inside:
        x = layer(x)
    x = layers.GlobalAveragePooling2D()(layers.AveragePooling2D(2)(x))
    scores = layers.Dense(len(COLORS), activation=ends, name="scores")
    model = keras.Model(image, scores(x))
    kernel = np.zeros((3, len(COLORS)), np.float32)
    kernel[:, :3] = 4 * np.eye(3) - 2
    scores.set_weights([kernel, np.float32([0, 0, 0, 1.5])])
    return model


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("model") / "colors.keras"
    classifier().save(file)
    return file


@pytest.fixture
def names(tmp_path: Path) -> Path:
    file = tmp_path / "names.txt"
    file.write_text("cat\ndog\ngnu\nox\n", encoding="utf-8")
    return file


def loaded(arrays: Mapping[str, Any], preprocess: str = SPEC) -> Dataset:
    data = load_dataset("colors", preprocess=preprocess, hook=lambda spec: arrays)
    return data.for_model({"image": (None, 16, 16, 3)}, {"scores": (None, len(COLORS))})


def told(
    model: Path, data: Dataset | None, before: tuple[Any, ...] = (), **options: Any
) -> list[str]:
    """Return what the method says before it runs."""
    step = Metadata.of(options)
    return list(step.check(Plan(facts(model), before, (), data, DeviceProfile("test"))))


def test_names_and_preprocessing_of_the_data_are_enough(
    model: Path, arrays: dict[str, Any]
) -> None:
    assert told(model, loaded(arrays)) == []


def test_a_file_of_names_and_numbers_are_enough_without_data(model: Path, names: Path) -> None:
    assert told(model, None, labels=str(names), mean="127.5", std="127.5") == []


def test_a_model_that_scales_pixels_itself_takes_them_as_they_are(
    tmp_path: Path, names: Path
) -> None:
    classifier("softmax", layers.Rescaling(1 / 127.5, -1)).save(tmp_path / "inside.keras")
    assert told(tmp_path / "inside.keras", None, labels=str(names)) == []


def test_a_normalization_by_channel_is_told_to_be_none_for_mediapipe(
    model: Path, arrays: dict[str, Any]
) -> None:
    (said,) = told(model, loaded(arrays, "mean=120,110,100 std=60"))
    assert said.startswith("MediaPipe takes one mean and one std for all channels")
    baked = installed().methods["bake_preprocess"].of({})
    assert told(model, loaded(arrays, "mean=120,110,100 std=60"), (baked,)) == []


def test_one_channel_is_told_to_be_none_for_mediapipe(tmp_path: Path, names: Path) -> None:
    image = keras.Input((8, 8, 1))
    model = keras.Model(image, layers.Dense(4)(layers.Flatten()(image)))
    model.save(tmp_path / "grey.keras")
    (said,) = told(tmp_path / "grey.keras", None, labels=str(names), mean="0", std="255")
    assert said.startswith("MediaPipe takes images of three channels")


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        (b"cat\ndog\ngnu\n", DataError, r"there are 4, and .*names\.txt has 3 names"),
        (b"cat\ndog\ngnu\ncat\n", DataError, r"names\.txt has 'cat' 2 times"),
        (b"cat\n\ngnu\nox\n", DataError, r"number 2 in .*names\.txt is empty"),
        (b"", DataError, r"number 1 in .*names\.txt is empty"),
        (b"c\xe4t\ndog\ngnu\nox\n", UsageError, r"is no UTF-8 text"),
        (None, UsageError, r"no labels file"),
    ],
)
def test_names_that_cannot_be_used_are_refused(
    model: Path, names: Path, text: bytes | None, error: type[EdgeshrinkError], said: str
) -> None:
    names.unlink() if text is None else names.write_bytes(text)
    with pytest.raises(error, match=said) as raised:
        told(model, None, labels=str(names), mean="0", std="255")
    assert raised.value.hint


@pytest.mark.parametrize("text", ["\ufeffcat\r\ndog\r\ngnu\r\nox\r\n\r\n", "cat\ndog \ngnu\nox"])
def test_names_are_read_as_editors_write_them(model: Path, names: Path, text: str) -> None:
    names.write_bytes(text.encode())
    assert told(model, None, labels=str(names), mean="0", std="255") == []


def test_data_without_names_is_refused(model: Path, arrays: dict[str, Any]) -> None:
    unnamed = {key: value for key, value in arrays.items() if key != "class_names"}
    with pytest.raises(UsageError, match="metadata needs the names of the classes; colors has no"):
        told(model, loaded(unnamed))
    with pytest.raises(UsageError, match="there is no data to take them from"):
        told(model, None, mean="0", std="255")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mean": "0"}, "mean and std go together"),
        ({"mean": "0,0,0", "std": "1"}, "must be as many numbers; received 3 and 1"),
        ({"mean": "0,0", "std": "1,1"}, "one for each of the 3 channels; received 2"),
        ({"mean": "0", "std": "0"}, "above 0"),
        ({}, "neither data nor a layer of the model"),
    ],
)
def test_numbers_that_cannot_be_used_are_refused(
    model: Path, names: Path, options: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        told(model, None, labels=str(names), **options)


@pytest.mark.parametrize(
    ("scale", "preprocess", "error", "said"),
    [
        (1 / 255, "none", DataError, "are stored as numbers from 0 to 1"),
        (1, "numpy:float32", UsageError, "--preprocess is 'numpy:float32'"),
        (1, "scale=-1/255 offset=1", UsageError, "turns dark into bright"),
    ],
)
def test_data_that_does_not_tell_what_is_done_to_pixels_is_refused(
    model: Path,
    arrays: dict[str, Any],
    scale: float,
    preprocess: str,
    error: type[EdgeshrinkError],
    said: str,
) -> None:
    stored = {k: v if k[0] != "x" or scale == 1 else v * scale for k, v in arrays.items()}
    with pytest.raises(error, match=said) as raised:
        told(model, loaded(stored, preprocess))
    assert raised.value.hint


@pytest.mark.parametrize(
    ("shape", "make", "said"),
    [
        ((12,), lambda x: layers.Dense(4)(x), "an input of shape"),
        ((8, 8, 2), lambda x: layers.Dense(4)(layers.Flatten()(x)), "an input of shape .×8×8×2"),
        ((8, 8, 3), lambda x: layers.Dense(4)(x), "an output of shape .×8×8×4"),
        ((8, 8, 3), lambda x: [layers.Flatten()(x), x], "1 inputs and 2 outputs"),
    ],
)
def test_what_is_no_classifier_of_images_is_refused(
    tmp_path: Path, names: Path, shape: tuple[int, ...], make: Any, said: str
) -> None:
    taken = keras.Input(shape)
    keras.Model(taken, make(taken)).save(tmp_path / "other.keras")
    with pytest.raises(UsageError, match=said) as raised:
        told(tmp_path / "other.keras", None, labels=str(names), mean="0", std="255")
    assert raised.value.hint == "drop --metadata"


def test_tables_that_would_drop_metadata_are_refused(model: Path, arrays: dict[str, Any]) -> None:
    lut = installed().methods["lut"].of({})
    plan = Plan(facts(model), (), (lut,), loaded(arrays), DeviceProfile("test"))
    with pytest.raises(UsageError, match="--lut makes a file for microcontrollers"):
        list(Metadata().check(plan))


def test_numbers_as_output_are_refused(tmp_path: Path, arrays: dict[str, Any]) -> None:
    taken = keras.Input((16, 16, 3), name="image")
    made = keras.Model(taken, layers.Dense(4, name="scores")(layers.Flatten()(taken)))
    made.compile(loss="mse")
    made.save(tmp_path / "values.keras")
    measured = {
        k: np.random.default_rng(0).normal(size=(len(v), 4)) if k[0] == "y" else v
        for k, v in arrays.items()
    }
    with pytest.raises(UsageError, match="numbers, not classes, as output"):
        told(tmp_path / "values.keras", loaded(measured))


def test_the_method_keeps_the_rules(names: Path) -> None:
    names.write_text("a\nb\nc\n", encoding="utf-8")  # the kit's model has three classes
    check_method(Metadata, {"labels": str(names), "mean": (0.0,), "std": (1.0,)})


@pytest.fixture(scope="module")
def made(model: Path, arrays: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Return what makes a file with metadata, in one run folder: `made(name, *steps)`."""
    folder = tmp_path_factory.mktemp("made")
    np.savez(folder / "colors.npz", **arrays)

    def make(name: str, *steps: str, source: Path = model, preprocess: str = SPEC) -> Report:
        return package.compress(
            source,
            output=folder / name,
            step=list(steps),
            data=str(folder / "colors.npz"),
            preprocess=preprocess,
            rules="smoke",
        )

    return make


def notes_of(report: Report) -> str:
    return "\n".join(n for row in report.ledger.rows if "metadata" in row.step for n in row.notes)


@pytest.fixture(scope="module")
def packed(made: Any) -> Report:
    return made("plain.esz", "int8", "strip", "metadata", "pack")


@pytest.mark.heavy
def test_the_file_answers_as_before_and_tells_what_it_holds(packed: Report) -> None:
    stripped, told_, _ = packed.ledger.rows[-3:]
    assert told_.agreement.max_error == stripped.agreement.max_error
    assert "((pixel - 127.5) / 127.5) are in the file, which answers as before" in notes_of(packed)
    assert f"{stripped.size_bytes:,} bytes before, {told_.size_bytes:,} after" in notes_of(packed)
    found = read_metadata(tflite_bytes(Path(packed.output)))
    (image,), (scores,) = found.inputs, found.outputs
    assert (image.colors, image.mean, image.std) == ("rgb", (127.5,), (127.5,))
    assert scores.labels == COLORS


@pytest.mark.heavy
def test_inspect_shows_what_the_file_holds(packed: Report) -> None:
    shown = CliRunner().invoke(app, ["inspect", packed.output]).output
    assert "metadata  image: rgb; mean 127.5, std 127.5\n" in shown
    assert "metadata  score: 4 labels: red, green, blue, grey\n" in shown
    assert "metadata  files: labels.txt\n" in shown


@pytest.mark.heavy
def test_types_that_mediapipe_refuses_are_told(made: Any) -> None:
    said = notes_of(made("int8.tflite", "int8 io=int8", "metadata"))
    assert "refuses this input of int8 and output of int8: --int8-io float32 is what it" in said


@pytest.mark.heavy
def test_bytes_that_are_no_pixels_are_told(made: Any) -> None:
    said = notes_of(made("wrong.tflite", "int8 io=uint8", "metadata mean=0 std=255"))
    assert "to a uint8 input as they are, and this one reads 0 as -0.9961 where 0 is" in said
    assert "uint8 input" not in notes_of(made("right.tflite", "int8 io=uint8", "metadata"))


@pytest.mark.heavy
def test_scores_that_are_no_probabilities_are_told(made: Any, tmp_path: Path) -> None:
    classifier("linear").save(tmp_path / "logits.keras")
    said = notes_of(made("logits.tflite", "metadata", source=tmp_path / "logits.keras"))
    assert "without softmax or sigmoid: scores in apps are no probabilities" in said
    assert "without softmax" not in notes_of(made("spelled.tflite", "metadata"))


READ_BACK = """
import json, sys
import mediapipe, numpy as np
from mediapipe.tasks.python import BaseOptions
from mediapipe.tasks.python.vision import ImageClassifier, ImageClassifierOptions

found = []
for file in sys.argv[2:]:
    options = ImageClassifierOptions(base_options=BaseOptions(model_asset_path=file))
    with ImageClassifier.create_from_options(options) as classifier:
        for image in np.load(sys.argv[1]):
            taken = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=image)
            answer = classifier.classify(taken).classifications[0]
            found.append({one.category_name: one.score for one in answer.categories})
print(json.dumps(found))
"""


def scores_of(file: Path, images: np.ndarray, normalized: np.ndarray) -> np.ndarray:
    """Return LiteRT's scores: of pixels where the input takes bytes, else as they are given."""
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(str(file))
    net.allocate_tensors()
    (taken,), (given,) = net.get_input_details(), net.get_output_details()
    scores = []
    for image, values in zip(images, normalized, strict=True):
        net.set_tensor(taken["index"], (image if taken["dtype"] == np.uint8 else values)[None])
        net.invoke()
        scores.append(net.get_tensor(given["index"])[0])
    return np.array(scores)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("mediapipe") is None, reason="needs mediapipe: pip install mediapipe")
def test_mediapipe_tells_the_names_and_the_scores_of_litert(
    made: Any, arrays: dict[str, Any], tmp_path: Path
) -> None:
    files = {
        "float": made("float_m.tflite", "float", "strip", "metadata"),
        "int8": made("int8_m.tflite", "int8", "strip", "metadata"),
        "baked": made(
            "baked_m.tflite",
            "bake_preprocess",
            "int8",
            "metadata",
            preprocess="mean=127,127.5,128 std=127.5",
        ),
    }
    images = arrays["x_test"][:8]
    np.save(tmp_path / "images.npy", images)
    outputs = [report.output for report in files.values()]
    done = subprocess.run(
        [sys.executable, "-c", READ_BACK, tmp_path / "images.npy", *outputs],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = json.loads(done.stdout.splitlines()[-1])
    wanted = np.concatenate(
        [scores_of(Path(file), images, (images - np.float32(127.5)) / 127.5) for file in outputs]
    )
    assert [max(one, key=one.get) for one in answers[:8]] == [COLORS[n % 4] for n in range(8)]
    found = np.array([[one[name] for name in COLORS] for one in answers])
    np.testing.assert_allclose(found[:8], wanted[:8], atol=1e-5)
    # MediaPipe has a LiteRT of its own, whose integer kernels may round otherwise
    np.testing.assert_allclose(found[8:], wanted[8:], atol=2 / 256)
