"""What tests share: a small real data set, a small real network, and the shared models if there."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from paths import SHARED

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
# tests run side by side, and models are small: one thread for each process
for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
    os.environ.setdefault(name, "1")
# no test asserts how long something takes
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared models and data; the test is skipped where it is absent."""
    if not (SHARED / "models").is_dir():
        pytest.skip("the folder of shared models and data is not here")
    return SHARED


@pytest.fixture(scope="session")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """scikit-learn's digits as an .npz: 8 x 8 images with values 0..16."""
    import numpy as np
    from sklearn.datasets import load_digits

    bunch = load_digits()
    order = np.random.default_rng(0).permutation(len(bunch.target))
    train, test = order[:1400], order[1400:]
    images = bunch.images.astype("uint8")[..., None]
    labels = bunch.target.astype("uint8")
    path = tmp_path_factory.mktemp("data") / "digits.npz"
    np.savez(
        path,
        x_train=images[train],
        y_train=labels[train],
        x_test=images[test],
        y_test=labels[test],
    )
    return path


@pytest.fixture(scope="session")
def digits_model(tmp_path_factory: pytest.TempPathFactory, digits: Path) -> Path:
    """A small convolutional network, trained on the digits divided by 16."""
    import keras
    import numpy as np

    keras.utils.set_random_seed(0)
    with np.load(digits) as data:
        x, y = data["x_train"] / np.float32(16), data["y_train"]
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1), name="image"),
            layers.Conv2D(8, 3, activation="relu", name="first"),
            layers.Conv2D(16, 3, name="second"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(),
            layers.Flatten(),
            layers.Dense(32, activation="relu", name="hidden"),
            layers.Dense(10, activation="softmax", name="digit"),
        ]
    )
    model.compile(keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=64, epochs=8, verbose=0)
    path = tmp_path_factory.mktemp("models") / "digits.keras"
    model.save(path)
    return path


@pytest.fixture
def edgeshrink(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the real command line in a folder of its own."""

    def run(
        *argv: str | Path, timeout: float = 240, cwd: Path = tmp_path, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "edgeshrink.cli", *map(str, argv)],
            cwd=cwd,
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, "COLUMNS": "120", "NO_COLOR": "1", **env},
        )

    return run


@pytest.fixture
def blobs(tmp_path: Path) -> Any:
    """Three classes that a small network tells apart."""
    import numpy as np

    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 600)
    x = (rng.normal(size=(600, 8)) * 0.3 + np.eye(8)[y] * 2).astype("float32")
    path = tmp_path / "blobs.npz"
    np.savez(path, x_train=x[:500], y_train=y[:500], x_test=x[500:], y_test=y[500:])
    from edgeshrink.samples import load_dataset

    return load_dataset(str(path)).for_model({"x": (None, 8)}, {"y": (None, 3)})


@pytest.fixture
def scheduler(tmp_path: Path) -> Iterator[str]:
    """The address of a Dask cluster of two workers."""
    distributed = pytest.importorskip("distributed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cluster = distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            dashboard_address=None,
            local_directory=str(tmp_path / "dask"),
        )
        with cluster:
            yield cluster.scheduler_address
