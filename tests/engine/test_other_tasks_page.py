"""The page on other tasks: its blocks run, on small models, and its commands are planned."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from test_detectors import scenes
from test_reconstruction import sounds

import edgeshrink

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "other-tasks.md").read_text("utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE, re.M | re.S)
COMMANDS = re.findall(r"^edgeshrink .*$", PAGE, re.M)
QUICK: dict[str, Any] = {"epochs": 1, "lr": 1e-3, "rules": "smoke", "max_drop": "none"}


def known() -> dict[str, Any]:
    """Return what the page takes as given: data of each kind, and a model of it."""
    keras.utils.set_random_seed(0)
    layers, rng = keras.layers, np.random.default_rng(0)
    images, _, grids = scenes(96, rng)
    test_images, test_boxes, _ = scenes(48, rng)
    masks, test_masks = ((one[..., 0] > 0.4).astype("int64") for one in (images, test_images))
    unet = keras.Sequential(
        [keras.Input((16, 16, 1)), layers.Conv2D(8, 3, padding="same", activation="relu"),
         layers.Conv2D(2, 1, activation="softmax")], name="unet"
    )  # fmt: skip
    unet.compile(keras.optimizers.Adam(1e-2), "sparse_categorical_crossentropy")
    unet.fit(images, masks, epochs=10, batch_size=16, verbose=0)
    detector = keras.Sequential(
        [keras.Input((16, 16, 1)), layers.Conv2D(16, 3, 2, padding="same", activation="relu"),
         layers.Conv2D(32, 3, 2, padding="same", activation="relu"),
         layers.Conv2D(7, 1, name="grid")], name="detector"
    )  # fmt: skip
    detector.compile(keras.optimizers.Adam(5e-3), "mse")
    detector.fit(images, grids, epochs=60, batch_size=16, verbose=0)
    normal, _ = sounds(128, rng)
    noises, anomalous = sounds(64, rng, odd=0.4)
    autoencoder = keras.Sequential(
        [keras.Input((16,)), layers.Dense(24, activation="relu"), layers.Dense(3),
         layers.Dense(24, activation="relu"), layers.Dense(16)], name="sounds"
    )  # fmt: skip
    autoencoder.compile(keras.optimizers.Adam(5e-3), "mse")
    autoencoder.fit(normal, normal, epochs=40, batch_size=16, verbose=0)
    x, test_x = (rng.normal(size=(count, 6)).astype("float32") for count in (96, 48))
    inputs = keras.Input((6,))
    inner = layers.Dense(24, activation="relu")(inputs)
    kind = layers.Dense(2, activation="softmax", name="kind")(inner)
    both = keras.Model(
        inputs, {"kind": kind, "size": layers.Dense(1, name="size")(inner)}, name="both"
    )
    both.compile("adam", {"kind": "sparse_categorical_crossentropy", "size": "mse"})
    kinds, test_kinds = ((one[:, 0] > 0).astype("int64") for one in (x, test_x))
    sizes, test_sizes = (2 * one[:, 1:2] for one in (x, test_x))
    both.fit(x, {"kind": kinds, "size": sizes}, epochs=30, verbose=0)
    given = {name: value for name, value in locals().items() if name not in ("layers", "rng")}
    return {**given, "sounds": noises}


@pytest.mark.heavy
def test_the_blocks_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pycocotools")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    names = known()
    (code,) = (block for block in BLOCKS if block.startswith("# detect.py"))
    Path("detect.py").write_text(code, encoding="utf-8")
    import detect  # type: ignore[import-not-found]

    names["decode"] = detect.decode
    compress, metrics = edgeshrink.compress, []
    monkeypatch.setattr(edgeshrink, "compress", lambda *a, **k: compress(*a, **QUICK, **k))
    for block in BLOCKS:
        if block is not code:
            exec(block, names)
            metrics.append(names["report"].verdict.metric)
            assert names["report"].verdict.p_value is not None
    assert metrics == ["miou", "anomaly_auc", "map", "mae"]
    planned(names)


def planned(names: dict[str, Any]) -> None:
    """Check that the commands of the page, of files of the same, are planned without a fault."""
    for model in ("unet", "autoencoder", "detector", "both"):
        names[model].save(f"{names[model].name}.keras")
    np.savez("masks.npz", x_train=names["images"], y_train=names["masks"],
             x_test=names["test_images"], y_test=names["test_masks"])  # fmt: skip
    np.savez("sounds.npz", x_train=names["normal"], x_test=names["sounds"],
             y_test=names["anomalous"])  # fmt: skip
    np.savez("normal.npz", x=names["normal"])
    np.savez("boxes.npz", x_train=names["images"], x_test=names["test_images"],
             y_test=names["test_boxes"])  # fmt: skip
    arrays = {"x_train": names["x"], "x_test": names["test_x"]}
    for part, front in (("train", ""), ("test", "test_")):
        arrays |= {
            f"y_{part}/kind": names[f"{front}kinds"],
            f"y_{part}/size": names[f"{front}sizes"],
        }
    np.savez("both.npz", **arrays)
    assert len(COMMANDS) == 5
    for command in COMMANDS:
        words = [sys.executable, "-m", "edgeshrink.cli", *shlex.split(command)[1:], "--dry-run"]
        done = subprocess.run([*words, "--force"], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (command, done.stderr)
