"""After every method that makes the graph smaller: prune, then each precision, in one command."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

from edgeshrink.tflite.reader import constant_values, read_model

layers = keras.layers
SMALLER = {
    "shrink": ["--shrink", "0.4"],
    "merge_neurons": ["--merge-neurons", "0.25"],
    "drop_layers": ["--drop-layers", "1"],
    "lowrank": ["--lowrank", "0.3"],
    "depthwise": ["--depthwise", "all"],
}


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """A residual network with batch norms, trained on the digits."""
    keras.utils.set_random_seed(0)
    given = keras.Input((8, 8, 1), name="image")
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="stem")(given)
    y = layers.Conv2D(24, 3, padding="same", use_bias=False, name="inside")(x)
    y = layers.ReLU()(layers.BatchNormalization()(y))
    x = layers.Add(name="sum")([x, layers.Conv2D(16, 3, padding="same", name="back")(y)])
    x = layers.Conv2D(16, 3, padding="same", activation="relu", name="square")(x)
    x = layers.Dense(32, activation="relu", name="hidden")(layers.Flatten()(x))
    model = keras.Model(given, layers.Dense(10, activation="softmax", name="digit")(x))
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    with np.load(digits) as data:
        model.fit(data["x_train"] / np.float32(16), data["y_train"], epochs=6, verbose=0)
    path = tmp_path_factory.mktemp("models") / "residual.keras"
    model.save(path)
    return path


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["--int8", "--fp16"])
@pytest.mark.parametrize("method", SMALLER)
def test_prune_and_a_precision_follow(
    edgeshrink, network: Path, digits: Path, tmp_path: Path, method: str, precision: str
) -> None:
    flags = [*SMALLER[method], "--prune", "0.5", precision, "--epochs", "6", "--lr", "2e-3"]
    data = ["--data", digits, "--preprocess", "scale=1/16", "--json"]
    done = edgeshrink("compress", network, *flags, *data, "-o", tmp_path / "small.tflite")
    assert done.returncode == 0, done.stderr
    base, _, smaller, pruned, *_, final = json.loads(done.stdout)["ledger"]["rows"]
    assert smaller["step"].startswith(method)
    assert smaller["macs"] < 0.9 * base["macs"]
    assert pruned["step"].startswith("prune")
    file = (tmp_path / "small.tflite").read_bytes()
    flat = read_model(file)
    kernels = [t for t in flat.weights if len(t.shape) > 1]
    assert {t.dtype for t in kernels} == {"int8" if precision == "--int8" else "float16"}
    # what pruning made zero is zero in the file
    zeros = sum(int((constant_values(file, t) == 0).sum()) for t in kernels)
    assert zeros >= pruned["parameters"] - pruned["nonzeros"]
    assert final["scores"][0]["value"] > 0.85
