"""The page on Python: its blocks run, on a small model and few samples."""

from __future__ import annotations

import inspect
import re
import sys
import types
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import edgeshrink
from edgeshrink.results import Report

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "use-from-python.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S)
# What the page asks of a board, of half an hour and of a file that only its reader has.
INSTEAD = {
    'device="rpi4"': 'device="desktop", rules="smoke"',
    'time="30m"': 'trials=2, goals="bytes", epochs=1, rules="smoke", force=True, '
    'output="s.tflite", preprocess="scale=1/255"',
    'data=(x, y))\nedgeshrink.study("grid.toml", output="results")': "data=(x, y), "
    'preprocess="scale=1/255")',
}


GRID = """
title = "T"

[models.digits]
file = "digits.keras"
data = "digits"

[data.digits]
spec = "digits.npz"

[recipes]
small = "--int8"

[[tables]]
name = "1"
title = "One row"
columns = ["accuracy", "on_disk"]
rows = [{label = "int8", model = "digits", recipe = "small"}]
"""


def small_digits() -> tuple[keras.Model, tuple[Any, Any]]:
    """Return a model and arrays: a bright row tells the class."""
    random = np.random.default_rng(0)
    y = np.arange(240, dtype=np.uint8) % 10
    x = random.integers(0, 60, (240, 28, 28), np.uint8)
    x[np.arange(240), 2 * y] = 255
    parts = ((x[:160], y[:160]), (x[160:], y[160:]))
    model = keras.Sequential(
        [
            keras.Input((28, 28)),
            keras.layers.Flatten(),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(10, activation="softmax"),
        ],
        name="digits",
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(parts[0][0] / 255, parts[0][1], epochs=20, verbose=0)
    return model, parts


@pytest.mark.heavy
def test_the_example_of_each_function_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    model, ((x, y), (x_test, y_test)) = small_digits()
    x, x_test = x / np.float32(255), x_test / np.float32(255)
    model.save("digits.keras")
    np.savez("digits.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    Path("grid.toml").write_text(GRID)
    known = {"edgeshrink": edgeshrink, "model": model}
    known |= {"x": x, "y": y, "x_test": x_test, "y_test": y_test}
    ran = []
    for name in ("compress", "bench", "inspect", "sensitivity", "search", "study"):
        blocks = re.findall(
            r"```python\n(.*?)```", inspect.cleandoc(getattr(edgeshrink, name).__doc__), re.S
        )
        assert blocks, name
        for block in blocks:
            exec(block, known)
        if name == "compress":
            assert known["answers"].shape == (80, 10)
            for copy in ("float.tflite", "small.tflite"):
                Path(copy).write_bytes(Path("digits.tflite").read_bytes())
        ran.append(name)
    assert sorted(ran) == sorted(name for name in edgeshrink.__all__ if name[0] != "_")
    assert "litert" in known["programs"]
    assert known["front"]
    assert known["most"] in {layer.name for layer in model.layers}


@pytest.mark.heavy
def test_the_blocks_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    model, parts = small_digits()
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: parts)
    page = types.ModuleType("page")
    monkeypatch.setitem(sys.modules, "page", page)
    known: dict[str, Any] = page.__dict__
    known |= {"model": model, "np": np}
    first, own, second, third = BLOCKS
    quick = 'epochs=1, rules="smoke", max_drop="none"'
    exec(first.replace("epochs=3", quick), known)
    assert "prune=0.8,\n" in own
    exec(own.replace("prune=0.8,", f'prune=0.8, output="own.tflite", {quick},'), known)
    judged = Report.read(Path("own.report.json"))
    assert judged.ledger.base.score.metric == "sure"
    exec(second, known)
    report = known["report"]
    assert Path("report.html").is_file()
    right = (known["net"](parts[1][0] / 255).argmax(-1) == parts[1][1]).mean()
    assert right == pytest.approx(report.ledger.final.score.value)
    for name in ("float.tflite", "small.tflite"):
        Path(name).write_bytes(Path(report.output).read_bytes())
    for told, instead in INSTEAD.items():
        assert told in third
        third = third.replace(told, instead)
    third = third.replace('"small.tflite",', '"small.tflite", preprocess="scale=1/255",')
    exec(third, {**known, "edgeshrink": edgeshrink})
    assert Path("s.tflite").is_file()
