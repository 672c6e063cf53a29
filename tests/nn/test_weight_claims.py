"""What a model file claims of its weights is held against what it holds, before memory is taken."""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from paths import LEGACY

from edgeshrink.errors import ModelError
from edgeshrink.nn.loading.claims import stored_bytes, weights_within
from edgeshrink.nn.loading.load import load_model

# TensorFlow 2.21's tensors do not know NumPy 2's `copy` argument; Keras converts them everywhere
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

L = keras.layers


def dense() -> keras.Model:
    return keras.Sequential([keras.Input((4,)), L.Dense(3)])


def functional() -> keras.Model:
    x = keras.Input((4, 3))
    return keras.Model(x, L.MultiHeadAttention(2, 3)(x, x))


def rewritten(path: Path, change: Callable[[str, bytes], bytes]) -> Path:
    """Write an archive again beside itself, with members changed."""
    made = path.with_name(f"claims-{path.name}")
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(made, "w") as again:
        for name in archive.namelist():
            again.writestr(name, change(name, archive.read(name)))
    return made


def claiming(path: Path, layer: int, **values: Any) -> Path:
    """Write an archive whose configuration says other values of one layer."""

    def change(name: str, data: bytes) -> bytes:
        if name != "config.json":
            return data
        config = json.loads(data)
        place = config["config"]["layers"][layer]
        while "layers" in place["config"]:  # of a nested model, its last layer
            place = place["config"]["layers"][-1]
        place["config"] |= values
        return json.dumps(config).encode()

    return rewritten(path, change)


@pytest.mark.parametrize(
    ("make", "layer", "values"),
    [
        (dense, 1, {"units": 10**9}),
        (dense, 1, {"units": 10**15}),
        (lambda: keras.Sequential([keras.Input((4,)), dense()]), 1, {"units": 10**9}),
        (lambda: keras.Sequential([keras.Input((4,)), L.Embedding(5, 3)]), 1, {"input_dim": 10**9}),
        (lambda: keras.Sequential([keras.Input((4, 3)), L.LSTM(3)]), 1, {"units": 10**5}),
        (
            lambda: keras.Sequential([keras.Input((9, 9, 1)), L.Conv2D(2, 3)]),
            1,
            {"filters": 10**9},
        ),
        (functional, 1, {"key_dim": 10**9}),
    ],
)
def test_a_configuration_that_asks_for_more_than_the_file_holds_is_refused(
    make: Callable[[], keras.Model], layer: int, values: dict[str, Any], tmp_path: Path
) -> None:
    make().save(tmp_path / "net.keras")
    with pytest.raises(ModelError, match="must hold the weights that its configuration asks for"):
        load_model(claiming(tmp_path / "net.keras", layer, **values))


def test_weights_of_keras_2_are_bounded_likewise(tmp_path: Path) -> None:
    with zipfile.ZipFile(LEGACY) as file:
        file.extractall(tmp_path)

    def change(text: str) -> str:
        config = json.loads(text)
        last = next(d for d in config["config"]["layers"][::-1] if "units" in d["config"])
        last["config"]["units"] = 10**9
        return json.dumps(config)

    with h5py.File(tmp_path / "depthwise.h5", "r+") as file:
        file.attrs["model_config"] = change(file.attrs["model_config"])
    archive = rewritten(
        tmp_path / "depthwise.keras",
        lambda name, data: change(data.decode()).encode() if name == "config.json" else data,
    )
    for path in (tmp_path / "depthwise.h5", archive):
        with pytest.raises(ModelError, match=r"asks for a shape of \d+ x 1000000000 and has"):
            load_model(path)


def test_weights_in_very_many_files_are_refused(tmp_path: Path) -> None:
    dense().save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras", "a") as archive:
        for number in range(200):
            archive.writestr(f"model_{number:05}.weights.h5", b"")
    with pytest.raises(ModelError, match=r"may have 100 files of weights; net\.keras has 201"):
        load_model(tmp_path / "net.keras")


def test_a_little_more_is_left_to_keras(tmp_path: Path) -> None:
    dense().save(tmp_path / "net.keras")
    with pytest.raises(ModelError, match=r"Keras cannot load .* name=dense"):
        load_model(claiming(tmp_path / "net.keras", 1, units=5))


def within(most_bytes: int, work: Callable[[], object]) -> None:
    with weights_within(most_bytes, "it"):
        work()


def test_many_weights_together_are_bounded_and_keras_is_left_as_it_was() -> None:
    before = keras.Variable.__init__
    with pytest.raises(ModelError, match="and has 7 bytes"):
        within(7, lambda: [keras.Variable("zeros", (4 << 20,)) for _ in range(5)])
    assert keras.Variable.__init__ is before


def test_the_refusal_is_told_though_others_catch_it() -> None:
    def caught() -> None:
        try:
            keras.Variable("zeros", (10**6, 10**6))
        except ModelError:
            raise ValueError("another") from None

    with pytest.raises(ModelError, match="1000000 x 1000000"):
        within(7, caught)


def test_a_compressed_h5_counts_what_it_unpacks_to(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((64,)), L.Dense(4000, use_bias=False)])
    model.layers[0].kernel.assign(np.zeros((64, 4000)))
    model.save(tmp_path / "net.h5")
    with (
        h5py.File(tmp_path / "net.h5") as plain,
        h5py.File(tmp_path / "small.h5", "w") as small,
    ):
        small.attrs.update(dict(plain.attrs))

        def copy(name: str, item: Any) -> None:
            if isinstance(item, h5py.Dataset):
                small.create_dataset(name, data=item[()], compression="gzip")
            else:
                small.require_group(name).attrs.update(dict(item.attrs))

        plain.visititems(copy)
    assert stored_bytes(tmp_path / "small.h5") == 4 * 64 * 4000
    assert (tmp_path / "small.h5").stat().st_size < 100_000
    assert load_model(tmp_path / "small.h5").count_params() == 64 * 4000


def empty(group: h5py.Group) -> None:
    group.create_dataset("0", (10**6, 10**6), "f4", chunks=(1000, 1000))


def external(group: h5py.Group) -> None:
    group.create_dataset("0", (4,), "f4", external=[("/etc/passwd", 0, 16)])


def linked(group: h5py.Group) -> None:
    group["0"] = h5py.ExternalLink("/dev/zero", "/x")


@pytest.mark.parametrize(
    ("put", "message"),
    [
        (empty, r"would unpack to 4,000,000,[\d,]+ bytes"),
        (external, "must be in its own file"),
        (linked, "must be in its own file"),
    ],
)
def test_weights_are_in_the_file_itself(
    put: Callable[[h5py.Group], None], message: str, tmp_path: Path
) -> None:
    model = dense()
    model.save(tmp_path / "net.h5")
    with h5py.File(tmp_path / "net.h5", "r+") as file:
        put(file.create_group("more"))
    model.save(tmp_path / "net.keras")
    with zipfile.ZipFile(tmp_path / "net.keras") as archive:
        archive.extract("model.weights.h5", tmp_path)
    with h5py.File(tmp_path / "model.weights.h5", "r+") as file:
        put(file.create_group("more"))
    weights = (tmp_path / "model.weights.h5").read_bytes()
    inside = rewritten(
        tmp_path / "net.keras", lambda name, data: weights if name.endswith(".h5") else data
    )
    shutil.copy(inside, tmp_path / "inside.keras")
    for name in ("net.h5", "inside.keras"):
        with pytest.raises(ModelError, match=message):
            load_model(tmp_path / name)
