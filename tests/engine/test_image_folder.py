"""A folder of photos, from the command to the program that runs the result."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

import edgeshrink as package
from edgeshrink.results import Report
from edgeshrink.samples.files.images import decoder
from edgeshrink.tflite import read_model
from edgeshrink_reports import Markdown


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark and bright photos, with so much grain that smoothing would change each value."""
    root, rng = tmp_path_factory.mktemp("photos"), np.random.default_rng(0)
    for part, count in (("train", 20), ("test", 8)):
        for label, level in (("day", 170), ("night", 80)):
            (root / part / label).mkdir(parents=True)
            for number in range(count):
                grain = rng.normal(level, 40, (90, 120, 3)).clip(0, 255).astype(np.uint8)
                PIL.Image.fromarray(grain).save(root / part / label / f"{number}.jpg")
    return root


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Tells bright from dark: the mean of all values above 125, or not."""
    import keras

    file = tmp_path_factory.mktemp("model") / "light.keras"
    image = keras.Input((24, 32, 3))
    mean = keras.layers.GlobalAveragePooling2D()(keras.layers.AveragePooling2D(2)(image))
    dense = keras.layers.Dense(2, activation="softmax")
    made = keras.Model(image, dense(mean))
    dense.set_weights([np.array([[0.1, -0.1]] * 3, np.float32), np.array([-37.5, 37.5])])
    made.save(file)
    return file


@pytest.fixture(scope="module")
def result(photos: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return package.compress(
        model,
        step=["int8 io=uint8 granularity=channel"],
        data=str(photos),
        rules="smoke",
        output=tmp_path_factory.mktemp("out") / "light.tflite",
    )


@pytest.mark.heavy
def test_bytes_of_a_camera_are_the_input_as_they_are(result: Report) -> None:
    (taken,) = read_model(Path(result.output).read_bytes()).inputs
    assert taken.dtype == "uint8"
    assert (taken.scales[0], taken.zero_points[0]) == (pytest.approx(1), 0)


@pytest.mark.heavy
def test_the_report_tells_how_images_were_read(result: Report) -> None:
    assert (result.data["resize"], result.data["decoder"]) == ("keras", decoder())
    assert result.versions["pillow"] == PIL.__version__
    text = Markdown().render(result)
    assert "- resize: keras\n" in text
    assert f"- decoder: {decoder()}\n" in text
    assert f"pillow {PIL.__version__}" in text.splitlines()[-1]


@pytest.mark.heavy
@pytest.mark.parametrize("label", ["day", "night"])
def test_the_program_beside_the_result_runs_on_a_photo(
    label: str, result: Report, photos: Path
) -> None:
    out = Path(result.output)
    argv = [sys.executable, f"{out.stem}.infer.py", photos / "test" / label / "0.jpg"]
    done = subprocess.run(argv, cwd=out.parent, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == label


@pytest.mark.heavy
def test_smoothed_images_are_other_data(
    result: Report, photos: Path, model: Path, tmp_path: Path
) -> None:
    other = package.compress(
        model,
        step=["int8"],
        data=str(photos),
        resize="antialias",
        rules="smoke",
        output=tmp_path / "x.tflite",
    )
    assert other.data["resize"] == "antialias"
    assert other.data["digest"] != result.data["digest"]
    assert "upright=True" in other.snippet
