"""A warm process that runs commands, and something tiny for them to work on."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from crashing import COMPRESS, Commands, Lanes, said


@pytest.fixture(scope="session")
def commands() -> Iterator[Commands]:
    """A warm process; it ends when its standard input does."""
    found = Commands("tensorflow")
    yield found
    found.close()


@pytest.fixture(scope="session")
def lanes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanes]:
    """Several warm processes, for tests of very many commands."""
    found = Lanes(tmp_path_factory.mktemp("lanes"), "tensorflow")
    yield found
    found.close()


@pytest.fixture(scope="session")
def light_lanes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lanes]:
    """The same without TensorFlow."""
    found = Lanes(tmp_path_factory.mktemp("lanes"))
    yield found
    found.close()


@pytest.fixture(scope="session")
def light() -> Iterator[Commands]:
    """One for commands that do without TensorFlow."""
    found = Commands()
    yield found
    found.close()


@pytest.fixture(scope="session")
def materials(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny classifier and its data."""
    import keras

    folder = tmp_path_factory.mktemp("materials")
    keras.utils.set_random_seed(0)
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 300)
    x = (rng.normal(size=(300, 8)) * 0.3 + np.eye(8)[y] * 2).astype("float32")
    dense = keras.layers.Dense
    net = keras.Sequential(
        [keras.Input((8,)), dense(16, activation="relu"), dense(3, activation="softmax")]
    )
    net.compile("adam", "sparse_categorical_crossentropy")
    net.fit(x[:200], y[:200], epochs=20, verbose=0)
    net.save(folder / "net.keras")
    np.savez(folder / "d.npz", x_train=x[:200], y_train=y[:200], x_test=x[200:], y_test=y[200:])
    return folder


@pytest.fixture
def place(materials: Path, tmp_path: Path) -> Path:
    """A copy of the materials, to work in."""
    return Path(shutil.copytree(materials, tmp_path / "place"))


@pytest.fixture(scope="session")
def undisturbed(
    commands: Commands, materials: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, list[str]]:
    """A folder where the command ran in peace, and the names of what it wrote, in order."""
    place = Path(shutil.copytree(materials, tmp_path_factory.mktemp("calm") / "place"))
    assert commands.run(place, *COMPRESS, at=0) == 0, said(place)
    return place, (place / "writes.txt").read_text().splitlines()


@pytest.fixture(scope="session")
def copies(commands: Commands, materials: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what a kill leaves of the command, for each moment of each of its writes."""
    place = Path(shutil.copytree(materials, tmp_path_factory.mktemp("copied") / "place"))
    copies = place.with_name("copies")
    assert commands.run(place, *COMPRESS, copies=str(copies)) == 0, said(place)
    return copies
