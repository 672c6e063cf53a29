"""The page on Python: its blocks run, on a small model and few samples."""

from __future__ import annotations

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


@pytest.mark.heavy
def test_the_blocks_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("optuna")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    y = np.arange(240, dtype=np.uint8) % 10
    x = random.integers(0, 60, (240, 28, 28), np.uint8)
    x[np.arange(240), 2 * y] = 255  # a bright row tells the class
    parts = ((x[:160], y[:160]), (x[160:], y[160:]))
    monkeypatch.setattr(keras.datasets.mnist, "load_data", lambda: parts)
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
