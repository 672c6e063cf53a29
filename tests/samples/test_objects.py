"""Data that is given as objects: the same file, whatever held the arrays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from edgeshrink.errors import DataError, UsageError
from edgeshrink.samples import data_file, load_dataset
from edgeshrink.samples.files.stored import array_digest
from edgeshrink.samples.objects import write_npz

RANDOM = np.random.default_rng(0)
X = RANDOM.random((60, 4, 4, 1), dtype=np.float32)
Y = np.arange(60) % 3
INPUTS = {"image": (None, 4, 4, 1)}


class Loader:
    """Looks as torch's DataLoader does: batches of tensors, which NumPy cannot read on a GPU."""

    class Tensor:
        def __init__(self, values: np.ndarray) -> None:
            self.values = values

        def detach(self) -> Loader.Tensor:
            return self

        def cpu(self) -> Loader.Tensor:
            return self

        def numpy(self) -> np.ndarray:
            return self.values

    def __iter__(self) -> Iterator[list[Any]]:
        return iter([[self.Tensor(X[i : i + 25]), self.Tensor(Y[i : i + 25])] for i in (0, 25, 50)])


class Batches:
    """Looks as keras.utils.PyDataset does."""

    num_batches: int | None = 3

    def __getitem__(self, place: int) -> tuple[np.ndarray, np.ndarray]:
        return X[25 * place : 25 * place + 25], Y[25 * place : 25 * place + 25]


class HuggingFace:
    """Looks as datasets.Dataset does."""

    column_names = ("pixels", "label")
    shape = (60, 2)

    def with_format(self, name: str) -> HuggingFace:
        assert name == "numpy"
        return self

    def iter(self, batch_size: int) -> Iterator[dict[str, np.ndarray]]:
        for start in range(0, 60, batch_size):
            rows = slice(start, start + batch_size)
            yield {"pixels": X[rows], "label": Y[rows]}


def one_by_one() -> Iterator[tuple[np.ndarray, int]]:
    yield from zip(X, Y.tolist(), strict=True)


def stored(path: str) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as found:
        return dict(found)


@pytest.mark.parametrize(
    "value",
    [
        (X, Y),
        [X, Y.tolist()],
        {"x": X, "y": Y},
        {"train": (X, Y), "validation": None}["train"],
        Loader(),
        Batches(),
        HuggingFace(),
        one_by_one,
        one_by_one(),
        lambda: iter([(X[:25], Y[:25]), (X[25:], Y[25:])]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_holds_the_samples_they_are_the_same_file(value: Any, tmp_path: Path) -> None:
    path = data_file(value, tmp_path / "objects", INPUTS)
    found = stored(path)
    assert found["x"].dtype == np.float32
    np.testing.assert_array_equal(found["x"], X)
    np.testing.assert_array_equal(found["y"], Y)
    assert path == data_file((X, Y), tmp_path / "objects", INPUTS)
    assert [one.name for one in (tmp_path / "objects").iterdir()] == [Path(path).name]


@pytest.mark.parametrize("sizes", [25, 7])
def test_a_real_loader_of_torch(tmp_path: Path, sizes: int) -> None:
    torch = pytest.importorskip("torch")
    pairs = torch.utils.data.TensorDataset(torch.tensor(X), torch.tensor(Y))
    loader = torch.utils.data.DataLoader(pairs, batch_size=sizes)
    path = data_file(loader, tmp_path / "objects", INPUTS)
    assert path == data_file((X, Y), tmp_path / "objects", INPUTS)


def test_a_real_data_set_of_hugging_face(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    given = datasets.Dataset.from_dict({"pixels": X, "label": Y.tolist()})
    given = given.cast_column("pixels", datasets.Array3D((4, 4, 1), "float32"))
    path = data_file(given, tmp_path / "objects", INPUTS)
    assert path == data_file((X, Y), tmp_path / "objects", INPUTS)


def test_a_file_of_the_same_arrays_is_the_same_data(tmp_path: Path) -> None:
    np.savez(tmp_path / "mine.npz", y=Y, x=X)
    np.savez_compressed(tmp_path / "small.npz", x=X, y=Y)
    ours = load_dataset(data_file((X, Y), tmp_path / "objects", INPUTS))
    for name in ("mine", "small"):
        assert load_dataset(str(tmp_path / f"{name}.npz")).digest == ours.digest
    np.savez(tmp_path / "other.npz", x=X, y=Y[::-1])
    assert load_dataset(str(tmp_path / "other.npz")).digest != ours.digest


def test_parts_are_named_apart_and_calibration_is_what_was_given(tmp_path: Path) -> None:
    parts = {
        "train": (X[:30], Y[:30]),
        "validation": lambda: iter([(X[30:40], Y[30:40])]),
        "test": Batches(),
        "calibration": X[40:45],
    }
    data = load_dataset(data_file(parts, tmp_path, INPUTS), calibration=7)
    assert data.counts() == {"train": 30, "validation": 10, "calibration": 5, "test": 60}
    calibration = data.calibration
    assert calibration is not None
    np.testing.assert_array_equal(calibration.inputs["x"].take(np.arange(5)), X[40:45])


def test_calibration_and_test_alone_can_be_judged_and_not_trained_on(tmp_path: Path) -> None:
    data = load_dataset(data_file({"test": (X, Y), "calibration": X[:9]}, tmp_path, INPUTS))
    assert data.counts() == {"train": 0, "validation": 0, "calibration": 9, "test": 60}
    assert "has no training samples: nothing can be trained on it" in data.notes[0]


def test_pairs_are_training_and_test_as_keras_gives_them(tmp_path: Path) -> None:
    data = load_dataset(data_file(((X[:40], Y[:40]), (X[40:], Y[40:])), tmp_path, INPUTS))
    assert data.counts()["test"] == 20
    assert data.split_off == ("validation",)


def test_several_inputs_and_outputs_go_by_name_or_in_order(tmp_path: Path) -> None:
    inputs = {"left": (None, 4), "right": (None, 3)}
    left, right = RANDOM.random((8, 4)), RANDOM.random((8, 3))
    named = ({"left": left, "right": right}, {"a": np.arange(8), "b": np.arange(8)[::-1]})
    listed = ([left, right], [np.arange(8), np.arange(8)[::-1]])
    found = stored(data_file(listed, tmp_path, inputs, ["a", "b"]))
    assert set(found) == {"x/left", "x/right", "y/a", "y/b"}
    assert data_file(named, tmp_path, inputs, ["a", "b"]) == data_file(
        listed, tmp_path, inputs, ["a", "b"]
    )
    bare = stored(data_file({"left": left, "right": right}, tmp_path, inputs))
    np.testing.assert_array_equal(bare["x/right"], right)


def test_images_without_a_channel_are_batches_of_samples(tmp_path: Path) -> None:
    def without() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        yield X[:25, ..., 0], Y[:25]
        yield X[25:, ..., 0], Y[25:]

    assert stored(data_file(without, tmp_path, INPUTS))["x"].shape == (60, 4, 4)


def endless() -> Iterator[tuple[np.ndarray, np.ndarray]]:
    while True:
        yield X, Y


class Endless(Batches):
    num_batches = None


@pytest.mark.parametrize(
    ("value", "error", "said"),
    [
        (3, UsageError, "data must be arrays, .* received 3"),
        (None, UsageError, "received None"),
        ((X, Y, X), DataError, "data must be x, or x and y; received 3 things"),
        ((X, Y[:9]), DataError, "as many labels as samples: x .60, 4, 4, 1., y .9,."),
        (lambda: iter([(X, Y, Y)]), DataError, "it yields 3 things"),
        (lambda: iter([(X, Y), (X.astype("f8"), Y)]), DataError, "batch 1 is float64"),
        (lambda: iter([(X, Y), (X[:, :2], Y)]), DataError, "must have one shape and type"),
        (lambda: iter([(X, Y), X]), DataError, "batch 1 of the data has x; those before it had"),
        (lambda: iter([(X, Y[:9])]), DataError, "batch 0 of the data has not one label a sample"),
        (lambda: iter([]), DataError, "must be at least one; there is none"),
        (lambda: 3, UsageError, "must return an iterator; it returned a int"),
        (Endless(), UsageError, "must come to an end; the PyDataset has num_batches=None"),
        ({"x_train": X, "z": Y}, DataError, "received the key 'z'"),
        (([[1, 2], [3]], [0, 1]), DataError, "rows of different lengths"),
        ((np.array([{}, {}]), [0, 1]), DataError, "holds Python objects"),
    ],
)
def test_what_is_no_data_is_refused(
    value: Any, error: type[Exception], said: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=said):
        data_file(value, tmp_path, INPUTS)
    assert list(tmp_path.glob("*.npz")) == list(tmp_path.glob(".stream-*")) == []


def test_data_that_does_not_end_is_stopped_before_the_disk_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeshrink.samples.objects.MOST_OF_FREE", 1e-7)
    with pytest.raises(DataError, match=r"did not end after [\d,]+ samples, .* half of what is"):
        data_file(endless, tmp_path, INPUTS)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.heavy
@pytest.mark.parametrize("change", ["batch", "samples", "repeat"])
def test_a_real_tf_data_set(change: str, tmp_path: Path) -> None:
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices((X, Y))
    changed: dict[str, Callable[[], Any]] = {
        "batch": lambda: dataset.batch(16),
        "samples": lambda: dataset,
        "repeat": lambda: dataset.batch(16).repeat(),
    }
    value = changed[change]()
    if change == "repeat":
        with pytest.raises(UsageError, match=r"must come to an end; the tf.data.Dataset repeats"):
            data_file(value, tmp_path, INPUTS)
        return
    assert data_file(value, tmp_path, INPUTS) == data_file((X, Y), tmp_path, INPUTS)


@settings(max_examples=25)
@given(
    shape=st.lists(st.integers(0, 5), min_size=1, max_size=4),
    dtype=st.sampled_from(["float32", "uint8", "int64", "bool", "<U3", "float16"]),
    fortran=st.booleans(),
)
def test_what_is_written_is_what_numpy_reads(
    shape: list[int], dtype: str, fortran: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    values = np.asarray(RANDOM.integers(0, 2, shape)).astype(dtype)
    values = np.asfortranarray(values) if fortran else values
    path = tmp_path_factory.mktemp("npz") / "a.npz"
    write_npz(path, {"x/a b": values})
    found = stored(str(path))
    np.testing.assert_array_equal(found["x/a b"], values)
    assert found["x/a b"].dtype == values.dtype
    assert array_digest(found) == array_digest({"x/a b": values})


def test_words_and_numbers_kept_as_objects_are_read(tmp_path: Path) -> None:
    words = np.array(["cat", "horse", "ox"])[Y]
    plain = data_file((X, words), tmp_path, INPUTS)
    assert data_file((X, words.astype(object)), tmp_path, INPUTS) == plain
    assert data_file((X, np.char.encode(words).astype(object)), tmp_path, INPUTS) == plain
    numbers = data_file((X.astype(object), Y), tmp_path, INPUTS)
    assert numbers == data_file((X.astype(float), Y), tmp_path, INPUTS)


def test_a_list_for_several_inputs_is_no_input_and_labels(tmp_path: Path) -> None:
    two = {"left": (None, 4, 4, 1), "right": (None, 4, 4, 1)}
    made = data_file([X, X], tmp_path, two)
    assert set(np.load(made)) == {"x/left", "x/right"}


def test_a_part_may_name_its_samples_and_labels(tmp_path: Path) -> None:
    named = data_file({"train": {"x": X, "y": Y}, "test": {"x": X, "y": Y}}, tmp_path, INPUTS)
    assert named == data_file(((X, Y), (X, Y)), tmp_path, INPUTS)


@pytest.mark.parametrize(
    ("data", "said", "hint"),
    [
        ({"train": (X, Y), "valid": (X, Y)}, "received the key 'valid'", "'val"),
        ({"train": (X, Y), "calib": X}, "received the key 'calib'", "'calibration'"),
        ({"x_trian": X, "y_train": Y}, "received the key 'x_trian'", "'x_train'"),
        ({"val": (X, Y), "validation": (X, Y)}, "the same part; received both", ""),
        ({}, "received a dict without anything in it", ""),
        ({"train": None}, "received a dict without anything in it", ""),
        (object(), "a torch DataLoader.*; received a object", ""),
        (lambda: (X, Y), "must return an iterator; it returned a tuple", "yield"),
        (lambda: iter(()), "^samples must be at least one", ""),
    ],
)
def test_what_is_wrong_is_named(data: Any, said: str, hint: str, tmp_path: Path) -> None:
    with pytest.raises((DataError, UsageError), match=said) as error:
        data_file(data, tmp_path, INPUTS)
    assert hint in error.value.hint
    assert list(tmp_path.glob("*.npz")) == []
