"""Small sound inputs of every format, made anew for each run: `python -m fuzz.seeds FOLDER`.

They are made in a process of their own, since TensorFlow must not have computed anything in a
process that others are forked from.
"""

from __future__ import annotations

import json
import shutil
import sys
import tomllib
import zipfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]

STUDY = """
title = "T"
seeds = [0]
[data.d]
spec = "x.npz"
preprocess = "scale=1/16"
[models.m]
file = "x.keras"
data = "d"
[recipes]
int8 = "--int8 --epochs 1"
half = ["prune sparsity=0.5 training.epochs=1", "int8"]
[[tables]]
name = "1"
title = "t"
columns = ["accuracy", "ms"]
figure = {x = "accuracy", y = "ms"}
rows = [{label = "a", model = "m"}, {label = "b", model = "m", recipe = "int8", x = 1.0}]
claims = [{against = "a", columns = ["accuracy"]}]
"""
RECIPE = """
seed = 3
without = ["strip"]
[training]
epochs = 2
lr = 0.001
[[step]]
method = "prune"
sparsity = 0.8
[step.training]
epochs = 1
[[step]]
method = "int8"
"""
WORDS = (
    ["--prune", "0.5", "--int8", "--epochs", "1", "--loss", "mse", "--max-drop", "2%"],
    ["--step", "prune sparsity=0.8 training.epochs=2", "--step", "int8"],
    ["--int8", "--preprocess", "scale=1/16,mean=0.5,std=0.5", "--input-shape", "1,8,8,1"],
    ["--distill", "width=0.5", "--time", "20m", "--device", "rpi4", "--metric", "top1"],
    ["--int8", "--max-bytes", "64KiB", "--max-ms", "p90<25", "--max-arena", "9kB", "--no-slower"],
)


def make(folder: Path) -> None:
    """Write the seeds: a folder for each format, and in it one entry for each seed."""
    _models(folder)
    _data(folder)
    _texts(folder)
    _reports(folder)
    _answers(folder)


def _at(folder: Path, kind: str, name: str) -> Path:
    (folder / kind).mkdir(parents=True, exist_ok=True)
    return folder / kind / name


def _models(folder: Path) -> None:
    import keras
    from tiny_models import converted

    from edgeshrink.tflite import ModelMetadata, TensorMetadata, pack, with_metadata

    layers = keras.layers
    image = keras.Input((8, 8, 1), name="image")
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, activation="relu")(image))
    x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same")(x)])
    x = layers.Dense(3, activation="softmax")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(image, x, name="net")
    model.compile("adam", "sparse_categorical_crossentropy")
    model.save(_at(folder, "keras", "net.keras"))
    sequence = keras.Sequential([keras.Input((6, 2)), layers.LSTM(3), layers.Dense(1)])
    sequence.save(_at(folder, "keras", "lstm.keras"))
    model.save(_at(folder, "h5", "net.h5"))
    model.export(str(_at(folder, "savedmodel", "served")), verbose=False)
    with zipfile.ZipFile(HERE.parent / "data" / "legacy.zip") as legacy:
        legacy.extractall(folder / "legacy")
    shutil.move(folder / "legacy" / "depthwise", _at(folder, "savedmodel", "depthwise"))
    shutil.move(folder / "legacy" / "assorted.keras", _at(folder, "keras", "assorted.keras"))
    shutil.move(folder / "legacy" / "branched.h5", _at(folder, "h5", "branched.h5"))
    shutil.rmtree(folder / "legacy")
    for name in ("float", "int8", "pair"):
        data = (converted() / f"{name}.tflite").read_bytes()
        _at(folder, "tflite", f"{name}.tflite").write_bytes(data)
        _at(folder, "esz", f"{name}.esz").write_bytes(pack(data).data)
    image = TensorMetadata("image", "image", "rgb", (127.5,), (127.5,))
    told = ModelMetadata((image,), (TensorMetadata("score", labels=tuple("abcdefgh")),))
    data = with_metadata((converted() / "int8.tflite").read_bytes(), told)
    _at(folder, "tflite", "described.tflite").write_bytes(data)


def _data(folder: Path) -> None:
    import numpy as np
    import PIL.Image

    rng = np.random.default_rng(0)
    arrays = {
        "x_train": rng.integers(0, 16, (60, 8, 8, 1)).astype("uint8"),
        "y_train": np.arange(60) % 3,
        "x_test": rng.integers(0, 16, (30, 8, 8, 1)).astype("uint8"),
        "y_test": np.arange(30) % 3,
    }
    np.savez(_at(folder, "npz", "stored.npz"), **arrays)
    np.savez_compressed(_at(folder, "npz", "packed.npz"), **arrays)
    np.save(_at(folder, "npy", "image.npy"), arrays["x_test"])
    rows = ["a,b,label", *(f"{i},{i * 0.5},{i % 3}" for i in range(40))]
    _at(folder, "csv", "table.csv").write_text("\n".join(rows) + "\n")
    grey = rng.integers(0, 255, (8, 8)).astype("uint8")
    for mode, names in {"L": ("png", "jpg", "bmp", "gif"), "RGB": ("webp", "tif", "png")}.items():
        for suffix in names:
            image = PIL.Image.fromarray(grey).convert(mode)
            for label in ("one", "two"):
                place = _at(folder, "images", f"{mode}-{suffix}") / label
                place.mkdir(parents=True)
                image.save(place / f"0.{suffix}")
    _folders(folder, rng)


def _folders(folder: Path, rng: Any) -> None:
    import PIL.Image
    import scipy.io.wavfile

    for dtype in ("uint8", "int16", "int32", "float32", "float64"):
        for label in ("one", "two"):
            values = rng.integers(0, 100, (60, 1 + (label == "two"))).astype(dtype)
            place = _at(folder, "sound", dtype) / label
            place.mkdir(parents=True)
            scipy.io.wavfile.write(place / "0.wav", 800, values)
    for mode in ("L", "P", "1"):
        for kind in ("images", "masks"):
            place = _at(folder, "masks", mode) / kind
            place.mkdir(parents=True)
            for number in range(3):
                grey = PIL.Image.fromarray(rng.integers(0, 3, (8, 8)).astype("uint8"))
                grey.convert(mode).save(place / f"{number}.png")
    for kind, name in (("images", "L-png"), ("sound", "int16"), ("masks", "P")):
        made = shutil.make_archive(str(folder / f"made-{kind}"), "zip", folder / kind, name)
        shutil.move(made, _at(folder, "zip", f"{kind}.zip"))


def _texts(folder: Path) -> None:
    from edgeshrink.devices.trust import programs

    _at(folder, "recipe", "own.toml").write_text(RECIPE)
    for path in (ROOT / "examples" / "recipes").glob("*.toml"):
        shutil.copy(path, _at(folder, "recipe", path.name))
    _at(folder, "study", "own.toml").write_text(STUDY)
    shutil.copy(ROOT / "examples" / "study" / "digits.toml", _at(folder, "study", "digits.toml"))
    for path in (ROOT / "device_profiles").glob("*.toml"):
        if not programs(tomllib.loads(path.read_text())):  # else it is refused from outside
            shutil.copy(path, _at(folder, "profile", path.name))
    for number, words in enumerate(WORDS):
        _at(folder, "words", f"{number}.json").write_text(json.dumps(words))


def _reports(folder: Path) -> None:
    """Write a report and a study's tables with a value in every field."""
    from edgeshrink.devices import DeviceInfo, Energy
    from edgeshrink.recipes import Agreement, Column, Figure
    from edgeshrink.results import (
        Cell,
        Latency,
        Ledger,
        OnDevice,
        Report,
        Row,
        RowFound,
        Score,
        StudyReport,
        TableFound,
        Value,
        Verdict,
        json_text,
    )
    from edgeshrink.results.robustness import Case, Pair, Robustness

    score = Score("top1", 0.9, 0.8, 0.95, 100, True)
    on = OnDevice(
        "desktop", Latency("desktop", 1.0, 1.1, 0.01, 50, 1, True), 1, 2, 3, score, 0.0,
        Energy(1.0, None, 10.0, "meter"),
    )  # fmt: skip
    base = Row("base", "keras", "m.keras", "d" * 64, 100, 90, 1000, 500, 400, (score,))
    last = Row(
        "int8", "tflite", "m.tflite", "e" * 64, 100, 50, 1000, 200, 100, (score,), 0.5,
        Agreement(100, False, 0.9, 0.99, 0.1, 3), (on,), 1.0, False,
        {"training": {"loss": [1.0, 0.5]}}, ("a note",), {"net": 1.0},
    )  # fmt: skip
    pair = Pair(0.9, 0.8, 0.5)
    report = Report(
        "m.keras", "m.tflite", "edgeshrink compress m.keras --int8", RECIPE,
        {"desktop": DeviceInfo("desktop", "cpu", extra={"board": "b"})}, {"name": "d.npz"},
        Ledger((base, last)), Verdict("top1", 0.9, 0.8, 100, p_value=0.5, guess=0.3, allowed=0.1),
        ("a note",), "print(1)\n", {"keras": "3"}, "",
        Robustness("top1", True, 10, {"x": (0.0, 1.0)}, pair, pair,
                   (Case("noise", "deviations", (1.0,), (pair,), pair),)),
    )  # fmt: skip
    _at(folder, "report", "run.report.json").write_text(json_text(report.as_dict()))
    cell = Cell(Value(1.0, 0.5, 1.5, "samples", (1.0,)), 1.0)
    columns = (Column.parse("accuracy", ("desktop",)), Column.parse("ms", ("desktop",)))
    rows = tuple(
        RowFound(name, "", (cell, cell), runs=({"seed": 0, "digest": "d", "sources": "s"},) * 0)
        for name in ("a", "b")
    )
    table = TableFound("1", "t", "", columns, rows, Figure("accuracy", "ms"))
    found = StudyReport("T", "", "edgeshrink study s.toml", (table,), {"m": "m"}, {"desktop": {}})
    _at(folder, "tables", "s.json").write_text(json_text(found.as_dict()))


def _answers(folder: Path) -> None:
    """Write what this machine's runner truly answered."""
    from tiny_models import converted

    from edgeshrink.api import BenchPlan, DeviceProfile
    from edgeshrink_litert.litert import LiteRT
    from edgeshrink_litert.runner.result import read_result
    from edgeshrink_targets.local import Local

    heard = []

    class Listener(Local):
        def run(self, *argv, timeout=None, watch=None):
            asked = Path(argv[-1])
            known = json.loads(asked.read_text())["id"] if asked.name.startswith("job-") else ""
            done = super().run(*argv, timeout=timeout, watch=watch)
            heard.append(read_result(done.stdout, known))
            return done

    short = BenchPlan("short", runs=3, seconds=0.01, warmup_seconds=0.0)
    with Listener() as target:
        session = LiteRT().open(target, target.folder(), DeviceProfile("here"))
        with session:
            measured = session.time([converted() / "float.tflite"], short)[0]
    facts, timed = (one for one in heard if one and ("cpu" in one or "models" in one))
    answer = {"facts": facts, "time": timed["models"][0]}
    _at(folder, "answer", "runner.json").write_text(json.dumps(answer))
    _at(folder, "measurement", "kept.json").write_text(json.dumps(asdict(measured)))


if __name__ == "__main__":
    make(Path(sys.argv[1]))
