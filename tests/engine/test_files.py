"""What people hold on disk, from the command to the program that runs the result."""

from __future__ import annotations

import ast
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import scipy.io.wavfile

import edgeshrink as package
from edgeshrink import cli
from edgeshrink.errors import UsageError
from edgeshrink.part import PYARROW
from edgeshrink.python.asked import preprocess_of, reading_of
from edgeshrink.recipes.study import Source
from edgeshrink.results import Report

WINDOWS = ["--window", "20", "--window-step", "10", "--label-column", "activity"]
WINDOWS += ["--ignore-columns", "time"]
RNG = np.random.default_rng(0)


def answered(script: Path, *files: Path | str) -> str:
    argv = [sys.executable, str(script), *map(str, files)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def walks(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, np.ndarray]:
    """A series that is calm and shaken in turns, a model that tells it, and its rows."""
    import keras

    root = tmp_path_factory.mktemp("walks")
    shaken = np.arange(1200) // 50 % 2 == 1
    values = RNG.normal(0, 1, (1200, 3)).astype("float32") * np.where(shaken, 3, 0.2)[:, None]
    lines = [
        f"t{row},{','.join(f'{v:.6f}' for v in values[row])},{'ab'[int(shaken[row])]}"
        for row in range(1200)
    ]
    (root / "walks.csv").write_text("time,x,y,z,activity\n" + "\n".join(lines) + "\n")
    series = keras.Input((20, 3))
    size = keras.layers.GlobalMaxPooling1D()(keras.layers.ReLU()(series))
    dense = keras.layers.Dense(2, activation="softmax")
    model = keras.Model(series, dense(size))
    dense.set_weights([np.array([[-1.0, 1.0]] * 3, np.float32), np.array([6.0, -6.0], np.float32)])
    model.save(root / "walks.keras")
    return root, values


@pytest.mark.heavy
def test_a_series_is_compressed_by_the_window(walks: tuple[Path, np.ndarray]) -> None:
    root, values = walks
    out = root / "w.tflite"
    words = ["compress", str(root / "walks.keras"), "--int8", "--data", str(root / "walks.csv")]
    assert cli.run([*words, *WINDOWS, "--rules", "smoke", "-o", str(out)]) == 0
    report = Report.read(out)
    assert report.ledger.final.score.value > 0.75  # half of a window may be calm
    assert report.verdict.samples == report.data["counts"]["test"] == 23
    assert report.data["windows"] == "20 rows, every 10, label: most"
    assert report.data["class_names"] == ["a", "b"]
    for start, name in ((0, "a"), (60, "b")):
        np.save(root / "x.npy", values[start : start + 20])
        assert answered(out.with_suffix(".infer.py"), root / "x.npy") == name
    again = package.compress(
        root / "walks.keras",
        int8=True,
        data=str(root / "walks.csv"),
        window=20,
        window_step=10,
        label_column="activity",
        ignore_columns=["time"],
        rules="smoke",
        output=root / "p.tflite",
    )
    assert again.data["digest"] == report.data["digest"]
    assert (root / "p.tflite").read_bytes() == out.read_bytes()


@pytest.mark.heavy
def test_masks_of_a_folder_judge_a_segmentation(tmp_path: Path) -> None:
    import keras

    for part, count in (("train", 16), ("test", 8)):
        for number in range(count):
            mask = RNG.integers(0, 2, (4, 4)).repeat(4, 0).repeat(4, 1).astype("uint8")
            image = (mask[..., None] * 150 + RNG.integers(0, 60, (16, 16, 3))).astype("uint8")
            for kind, values in (("images", image), ("masks", mask)):
                (tmp_path / "scenes" / part / kind).mkdir(parents=True, exist_ok=True)
                PIL.Image.fromarray(values).save(
                    tmp_path / "scenes" / part / kind / f"{number}.png"
                )
    picture = keras.Input((16, 16, 3))
    layer = keras.layers.Conv2D(2, 1, activation="softmax")
    model = keras.Model(picture, layer(picture))
    weights = np.array([[[[-5.0, 5.0]] * 3]], np.float32)
    layer.set_weights([weights, np.array([6.0, -6.0], np.float32)])
    model.save(tmp_path / "seg.keras")
    out = tmp_path / "seg.tflite"
    report = package.compress(
        tmp_path / "seg.keras",
        int8=True,
        data=tmp_path / "scenes",
        preprocess="scale=1/255",
        rules="smoke",
        output=out,
        robustness=True,
    )
    assert report.failed == ""
    assert report.ledger.final.score.value > 0.99
    cases = {case.perturbation for case in report.robustness.cases}
    assert cases == {"noise", "blur", "brightness", "occlusion", "jpeg"}  # a mask does not turn
    assert "miou" in [score.metric for score in report.ledger.final.scores]
    told = answered(out.with_suffix(".infer.py"), tmp_path / "scenes/test/images/0.png")
    scores = np.array(told.replace("[", " ").replace("]", " ").split(), float).reshape(16, 16, 2)
    with PIL.Image.open(tmp_path / "scenes/test/masks/0.png") as mask:
        assert (scores.argmax(-1) == np.asarray(mask)).mean() > 0.99

    flat = tmp_path / "scenes" / "train" / "images"
    report = package.compress(
        tmp_path / "seg.keras",
        int8=True,
        data=flat,
        preprocess="scale=1/255",
        rules="smoke",
        output=tmp_path / "flat.tflite",
    )
    assert report.verdict.metric == "agreement"
    assert report.ledger.final.score is None
    with pytest.raises(UsageError, match="the metric miou needs labels"):
        package.compress(
            tmp_path / "seg.keras",
            int8=True,
            data=flat,
            metric="miou",
            output=tmp_path / "none.tflite",
        )


@pytest.mark.heavy
def test_the_program_runs_with_the_runtime_of_before(walks: tuple[Path, np.ndarray]) -> None:
    root, values = walks
    model, out = root / "walks.keras", root / "float.tflite"
    package.compress(model, output=out, float=True, rules="smoke")
    script = out.with_suffix(".infer.py")
    ast.parse(script.read_text(), feature_version=(3, 8))
    (root / "hidden" / "ai_edge_litert").mkdir(parents=True)
    (root / "hidden" / "ai_edge_litert" / "__init__.py").write_text("raise ImportError('none')")
    (root / "hidden" / "tflite_runtime").mkdir()
    (root / "hidden" / "tflite_runtime" / "__init__.py").touch()
    (root / "hidden" / "tflite_runtime" / "interpreter.py").write_text(
        "import sys\n"
        "sys.path = [place for place in sys.path if not place.endswith('hidden')]\n"
        "from ai_edge_litert.interpreter import Interpreter\n"
    )
    np.save(root / "x.npy", values[60:80])
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(script), str(root / "x.npy")],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": str(root / "hidden"), "PATH": ""},
    )
    scores = done.stdout.strip().strip("[]").split()
    assert float(scores[1]) > float(scores[0])


def test_a_study_says_how_files_are_read() -> None:
    source = Source(spec="s.csv", window=8, ignore_columns=("time", "id"))
    assert source.reading == {"window": 8, "ignore_columns": "time,id"}
    with pytest.raises(ValueError, match="window_step is for windows of rows"):
        Source(spec="s.csv", window_step=3)


def bad(root: Path, what: str) -> list[str]:
    """Return words of a command whose data cannot be used."""
    rows = ["a,b,y", *(f"{row},{row % 7},{row % 2}" for row in range(60))]
    (root / "s.csv").write_text("\n".join(rows))
    for name in ("no", "yes"):
        for number in range(4):
            (root / "words" / name).mkdir(parents=True, exist_ok=True)
            values = RNG.normal(0, 0.1, 40).astype("float32")
            scipy.io.wavfile.write(root / "words" / name / f"{number}.wav", 800, values)
    if what == "cut":
        file = root / "words" / "no" / "1.wav"
        file.write_bytes(file.read_bytes()[:100])
    if what == "outside":
        with zipfile.ZipFile(root / "x.zip", "w") as archive:
            archive.writestr("../x.png", b"x")
    return {
        "cut": ["words"],
        "outside": ["x.zip"],
        "long": ["s.csv", "--window", "61"],
        "column": ["s.csv", "--label-column", "z"],
        "alone": ["s.csv", "--window-step", "2"],
        "idle": ["words", "--window", "2"],
        "folder": ["gone"],
        "front": ["words", "--preprocess", "nothing:here"],
        "parquet": ["s.parquet"],
    }[what]


@pytest.mark.parametrize(
    ("what", "code", "said"),
    [
        ("cut", 1, "words/no/1.wav cannot be read: it is cut off: 160 bytes of samples are told"),
        ("outside", 1, "x.zip names '../x.png'"),
        ("long", 1, "a window of 61 rows needs as many; s.csv has 60"),
        ("column", 2, "s.csv has no column 'z'; it has 'a', 'b', 'y'"),
        ("alone", 2, "window_step is for windows of rows; give window, their length, too"),
        ("idle", 2, "--window is for a .csv or .parquet file; words is none"),
        ("folder", 2, "gone"),
        ("front", 2, "preprocessing 'nothing:here' needs a module that is not there: nothing"),
        ("parquet", 2, "s.parquet needs pyarrow"),
    ],
)
def test_data_that_cannot_be_used_is_a_sentence_and_a_code(
    what: str,
    code: int,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    import keras

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(type(PYARROW), "version", lambda self: "")
    (tmp_path / "s.parquet").write_bytes(b"PAR1")
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)]).save("m.keras")
    words = bad(tmp_path, what)
    assert cli.run(["compress", "m.keras", "--int8", "--dry-run", "--data", *words]) == code
    told = " ".join(capsys.readouterr().err.split())
    assert f"error: {said}" in told or said in told
    assert "Traceback" not in told


def mean(batch: np.ndarray) -> np.ndarray:
    return batch.mean(axis=-1, keepdims=True)


def test_a_function_of_python_is_named_by_its_module() -> None:
    assert preprocess_of(mean) == f"{mean.__module__}:mean"
    assert preprocess_of("scale=1/255") == "scale=1/255"
    with pytest.raises(UsageError, match="must have a name in its module"):
        preprocess_of(lambda batch: batch)
    assert reading_of(resize="keras", window=None, ignore_columns=(), label_column="") == {}
    assert reading_of(window=3, ignore_columns=("a", "b")) == {"window": 3, "ignore_columns": "a,b"}
    assert reading_of(ignore_columns="a") == {"ignore_columns": "a"}
