from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
import types
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from edgeshrink.errors import DataError, EdgeshrinkError, UsageError
from edgeshrink.samples import Dataset, load_dataset
from edgeshrink.samples.files import stored_array
from edgeshrink.samples.files.stored_array import StoredArray
from edgeshrink.samples.preprocess import Preprocess
from edgeshrink.samples.split import split_rows


def arrays(train: int = 40, test: int = 20, classes: int = 4, seed: int = 0) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    return {
        "x_train": rng.integers(0, 256, (train, 6, 6), dtype=np.uint8),
        "y_train": np.arange(train) % classes,
        "x_test": rng.integers(0, 256, (test, 6, 6), dtype=np.uint8),
        "y_test": np.arange(test) % classes,
    }


def npz(folder: Path, *, compressed: bool = False, name: str = "data.npz", **values: Any) -> str:
    (np.savez_compressed if compressed else np.savez)(folder / name, **values)
    return str(folder / name)


def rows(dataset: Dataset) -> dict[str, set[int]]:
    return {name: set(part.rows.tolist()) for name, part in dataset.subsets().items()}


# ---------------------------------------------------------------- preprocessing


@pytest.mark.parametrize(
    ("spec", "scale", "offset"),
    [
        ("none", (1.0,), (0.0,)),
        ("scale=1/255", (1 / 255,), (0.0,)),
        ("scale=1/127.5 offset=-1", (1 / 127.5,), (-1.0,)),
        ("scale=1/127.5, offset=-1", (1 / 127.5,), (-1.0,)),
        ("mean=2,std=4", (0.25,), (-0.5,)),
        ("mean=1,2 std=2,4", (0.5, 0.25), (-0.5, -0.5)),
        ("scale=1/2 mean=1,2", (0.5, 0.5), (-1.0, -2.0)),
        ("scale=.5e0", (0.5,), (0.0,)),
    ],
)
def test_preprocess_from_spec(
    spec: str, scale: tuple[float, ...], offset: tuple[float, ...]
) -> None:
    assert Preprocess.from_spec(spec).affine == (pytest.approx(scale), pytest.approx(offset))


@pytest.mark.parametrize(
    "spec",
    [
        "scale",
        "scale=",
        "scale=1/0",
        "scale=0",
        "std=0",
        "scale=__import__('os')",
        "size=3",
        "scale=1 scale=2",
        "mean=1,2 std=1,2,3",
        "1/255",
        "scale=nan",
        "scale=2**8",
    ],
)
def test_preprocess_refuses_what_it_cannot_read(spec: str) -> None:
    with pytest.raises(UsageError):
        Preprocess.from_spec(spec)


@settings(max_examples=60)
@given(st.text(alphabet="scaleofmnstd=1/25. ,-:e", max_size=25))
def test_preprocess_never_fails_otherwise(spec: str) -> None:
    try:
        preprocess = Preprocess.from_spec(spec)
    except UsageError:
        return
    assert Preprocess.from_spec(preprocess.describe()) == preprocess


@pytest.mark.parametrize(
    "spec",
    ["none", "scale=1/255", "scale=1/127.5 offset=-1", "scale=1/255 mean=.5,.4,.3 std=.2,.1,.3"],
)
def test_preprocess_snippet_does_the_same(tmp_path: Path, spec: str) -> None:
    preprocess = Preprocess.from_spec(spec)
    x = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    lines = ["import numpy as np", "x = np.load('x.npy')", preprocess.python_snippet()]
    script = "\n".join([*lines, "np.save('y.npy', x)"])
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
    np.testing.assert_allclose(np.load(tmp_path / "y.npy"), preprocess(x), rtol=1e-5, atol=1e-6)
    assert preprocess(x).dtype == np.float32


def test_preprocess_calls_a_function_of_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_prep.py").write_text(
        "def half(x):\n    return x / 2\n\ndef one(x):\n    return x[0]\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    half = Preprocess.from_spec("my_prep:half")
    assert half(np.array([2, 4])).tolist() == [1.0, 2.0]
    assert half.affine is None
    with pytest.raises(DataError, match="as many samples"):
        Preprocess.from_spec("my_prep:one")(np.ones((3, 2)))
    with pytest.raises(UsageError, match="my_prep"):
        Preprocess.from_spec("my_prep:halves")(np.ones(3))


def test_preprocess_refuses_another_number_of_channels() -> None:
    with pytest.raises(DataError, match="2 channels"):
        Preprocess.from_spec("mean=1,2")(np.ones((1, 4, 4, 3)))


# ---------------------------------------------------------------- splits


@settings(max_examples=60)
@given(
    count=st.integers(2, 120),
    share=st.floats(0, 1),
    classes=st.integers(0, 6),
    seed=st.integers(0, 9),
)
def test_split_rows_is_a_seeded_partition(
    count: int, share: float, classes: int, seed: int
) -> None:
    numbers = np.arange(count) * 3
    wanted = round(count * share)
    strata = np.arange(count) % classes if classes else None
    chosen, rest = split_rows(numbers, wanted, seed, strata)
    again, _ = split_rows(numbers, wanted, seed, strata)
    assert len(chosen) == wanted
    assert sorted([*chosen, *rest]) == numbers.tolist()
    assert chosen.tolist() == again.tolist()
    if strata is not None:
        for value in range(min(classes, count)):
            have = np.isin(chosen, numbers[strata == value]).sum()
            assert abs(have - wanted * (strata == value).sum() / count) < 1


@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    count=st.integers(4, 80),
    validation=st.sampled_from([0.0, 0.1, 0.5]),
    calibration=st.integers(1, 60),
    seed=st.integers(0, 5),
    labelled=st.booleans(),
)
def test_parts_are_disjoint_and_cover_everything(
    tmp_path: Path, count: int, validation: float, calibration: int, seed: int, labelled: bool
) -> None:
    values = {"x": np.arange(count, dtype=np.float32)[:, None]}
    if labelled:
        values["y"] = np.arange(count) % 2
    spec = npz(tmp_path, **values)
    dataset = load_dataset(spec, validation=validation, calibration=calibration, seed=seed)
    found = rows(dataset)
    parts = [found.get(n, set()) for n in ("train", "validation", "test")]
    assert set.union(*parts) == set(range(count))
    assert sum(map(len, parts)) == count
    assert found["calibration"] <= found["train"]
    assert len(found["calibration"]) == min(calibration, len(found["train"]))
    again = load_dataset(spec, validation=validation, calibration=calibration, seed=seed)
    assert rows(again) == found
    assert again.digest == dataset.digest


def test_load_keeps_the_parts_that_a_file_has(tmp_path: Path) -> None:
    values = arrays() | {"x_val": arrays()["x_test"], "y_val": arrays()["y_test"]}
    dataset = load_dataset(npz(tmp_path, **values), calibration=8)
    assert dataset.counts() == {"train": 40, "validation": 20, "calibration": 8, "test": 20}
    assert dataset.notes == ()
    assert sorted(dataset.calibration.labels.tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]


def test_load_holds_out_a_test_set_and_says_so(tmp_path: Path) -> None:
    values = arrays()
    spec = npz(tmp_path, x_train=values["x_train"], y_train=values["y_train"])
    dataset = load_dataset(spec)
    assert dataset.counts() == {"train": 29, "validation": 3, "calibration": 29, "test": 8}
    assert "8 of 40 samples were split off at random as one (seed 0)" in dataset.notes[0]
    assert "if the model was trained on them, its score here is flattered" in dataset.notes[0]
    assert dataset.split_off == ("validation", "test")
    assert dataset.described()["split_off"] == ["validation", "test"]


def test_parts_that_are_stored_are_not_split_off(tmp_path: Path) -> None:
    values = arrays()
    own = load_dataset(npz(tmp_path, **values))
    assert own.split_off == ("validation",)
    held = {"x_val": values["x_test"], "y_val": values["y_test"]}
    train = {"x_train": values["x_train"], "y_train": values["y_train"]}
    assert load_dataset(npz(tmp_path, **train, **held)).split_off == ("test",)
    assert load_dataset(npz(tmp_path, x_test=values["x_test"])).split_off == ()


def test_load_of_test_samples_only_has_nothing_to_calibrate_on(tmp_path: Path) -> None:
    dataset = load_dataset(npz(tmp_path, x_test=arrays()["x_test"]))
    assert dataset.counts() == {"train": 0, "validation": 0, "calibration": 0, "test": 20}
    assert "has test samples only: nothing can be trained or calibrated" in dataset.notes[0]


def test_digest_tells_data_split_and_preprocessing_apart(tmp_path: Path) -> None:
    spec = npz(tmp_path, **arrays())
    other = npz(tmp_path, name="other.npz", **arrays(seed=1))
    digests = {
        load_dataset(spec).digest,
        load_dataset(spec, seed=1).digest,
        load_dataset(spec, preprocess="scale=1/255").digest,
        load_dataset(spec, calibration=7).digest,
        load_dataset(other).digest,
    }
    assert len(digests) == 5
    assert len(load_dataset(spec).digest) == 64


# ---------------------------------------------------------------- values


@pytest.mark.parametrize("compressed", [True, False])
def test_batches_preprocess_what_is_stored(tmp_path: Path, compressed: bool) -> None:
    values = arrays()
    dataset = load_dataset(npz(tmp_path, compressed=compressed, **values), preprocess="scale=1/255")
    assert dataset.test is not None
    assert dataset.test.take([3])["x"].dtype == np.uint8
    batches = list(dataset.batches(dataset.test, 8))
    assert [len(y) for _, y in batches] == [8, 8, 4]
    together = np.concatenate([x["x"] for x, _ in batches])
    np.testing.assert_allclose(together, values["x_test"] / 255.0, rtol=1e-6)
    assert np.concatenate([y for _, y in batches]).tolist() == values["y_test"].tolist()


def test_uncompressed_arrays_are_read_from_where_they_lie(tmp_path: Path) -> None:
    order = np.asfortranarray(np.arange(24.0).reshape(4, 6))
    dataset = load_dataset(npz(tmp_path, x_test=order))
    assert dataset.test is not None
    source = dataset.test.sources["x"]
    assert isinstance(source._values, StoredArray)
    assert dataset.test.take([2, 0])["x"].tolist() == order[[2, 0]].tolist()


@pytest.mark.parametrize(
    "rows",
    [
        2,
        -1,
        slice(1, 3),
        slice(None, None, -2),
        slice(3, 3),
        [3, 1, 1, 2, 3],
        [[0, 1], [4, -5]],
        [],
    ],
)
def test_rows_of_a_large_array_are_those_of_numpy(
    tmp_path: Path, rows: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_array, "HELD_BYTES", 0)
    values = np.arange(30).reshape(5, 3, 2)
    rows = np.array(rows, int) if isinstance(rows, list) else rows
    (tmp_path / "file").write_bytes(b"head" + values.tobytes())
    stored = StoredArray(tmp_path / "file", 4, values.shape, values.dtype)
    assert np.array_equal(stored[rows], values[rows])
    with pytest.raises(IndexError):
        stored[np.array([5])]


@pytest.mark.parametrize("held", [0, 1 << 20])
def test_a_file_that_shrinks_while_it_is_read_is_told(
    tmp_path: Path, held: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stored_array, "HELD_BYTES", held)
    path = npz(tmp_path, x_test=np.zeros((200, 1000)), y_test=np.arange(200) % 2)
    dataset = load_dataset(path)
    assert dataset.test is not None
    part, column = dataset.test, dataset.test.inputs["x"]
    stored = StoredArray(Path(path), column.source._offset(), (200, 1000), np.dtype(float))
    os.truncate(path, 100_000)
    with pytest.raises(DataError, match="has become shorter while it was read"):
        stored[np.arange(150, 160)]
    assert len(part) == 200


def test_batches_are_shuffled_by_a_seed(tmp_path: Path) -> None:
    dataset = load_dataset(npz(tmp_path, x_test=np.arange(20.0), y_test=np.arange(20) % 3))
    assert dataset.test is not None
    one, again, other = (
        next(dataset.batches(dataset.test, 20, shuffle_seed=seed))[0]["x"].tolist()
        for seed in (1, 1, 2)
    )
    assert one == again != other
    for x, y in dataset.batches(dataset.test, 6, shuffle_seed=3):
        assert (x["x"] % 3 == y).all()


def test_write_inputs_writes_what_batches_give(tmp_path: Path) -> None:
    spec = npz(tmp_path, **arrays(test=300))
    dataset = load_dataset(spec, preprocess="scale=1/255").for_model({"a/b": (None, 6, 6, 1)})
    assert dataset.test is not None
    files = dataset.write_inputs(dataset.test, tmp_path / "inputs")
    written = np.load(files["a/b"])
    assert written.shape == (300, 6, 6, 1)
    assert written.dtype == np.float32
    assert (written == next(dataset.batches(dataset.test, 300))[0]["a/b"]).all()


def test_several_inputs_and_outputs_go_by_name(tmp_path: Path) -> None:
    values = {
        f"{side}_{part}/{name}": np.arange(count * 2).reshape(count, 2) + (name == "right")
        for part, count in (("train", 20), ("test", 6))
        for side, name in (("x", "left"), ("x", "right"))
    }
    values |= {"y_train/kind": np.arange(20) % 3, "y_test/kind": np.arange(6) % 3}
    values |= {"y_train/size": np.arange(20) / 7, "y_test/size": np.arange(6) / 7}
    dataset = load_dataset(npz(tmp_path, **values)).for_model(
        {"left": (None, 2), "right": (None, 2)},
        {"kind": (None, 3), "size": (None, 1)},
        {"left": "int32"},
    )
    assert dataset.test is not None
    x, y = next(dataset.batches(dataset.test, 6))
    assert list(x) == ["left", "right"]
    assert x["left"].dtype == np.int32
    assert x["right"].dtype == np.float32
    assert (x["right"] == x["left"] + 1).all()
    assert y["kind"].tolist() == [0, 1, 2, 0, 1, 2]
    with pytest.raises(DataError, match="middle"):
        dataset.for_model({"left": (None, 2), "middle": (None, 2)})


@pytest.mark.parametrize(
    ("labels", "task", "integers"),
    [
        (np.array([0, 1, 2, 1]), "classification", [0, 1, 2, 1]),
        (np.array([[0], [1], [2], [1]]), "classification", [0, 1, 2, 1]),
        (np.eye(3)[[0, 1, 2, 1]], "classification", [0, 1, 2, 1]),
        (np.array([0, 1, 1, 0]), "binary", [0, 1, 1, 0]),
        (np.array([False, True, True, False]), "binary", [0, 1, 1, 0]),
        (np.array(["cat", "dog", "ant", "dog"]), "classification", [1, 2, 0, 2]),
        (np.array([0.5, 1.5, 2.0, 1.0]), "regression", None),
    ],
)
def test_task_is_told_from_labels(tmp_path: Path, labels: Any, task: str, integers: Any) -> None:
    dataset = load_dataset(npz(tmp_path, x_test=np.ones((4, 2)), y_test=labels))
    assert dataset.test is not None
    assert dataset.tasks[""].kind == task
    strata = dataset.tasks[""].strata(dataset.test.labels)
    assert (None if strata is None else strata.tolist()) == integers


def test_text_labels_are_named(tmp_path: Path) -> None:
    spec = npz(tmp_path, x_test=np.ones((2, 2)), y_test=np.array(["dog", "cat"]))
    assert load_dataset(spec).class_names == ("cat", "dog")


# ---------------------------------------------------------------- fitting a model


def test_for_model_adds_a_channel_and_says_so(tmp_path: Path) -> None:
    dataset = load_dataset(npz(tmp_path, **arrays()))
    notes = dataset.check_model({"pixels": (None, 6, 6, 1)}, {"out": (None, 4)})
    assert notes[-1] == "a channel dimension was added to the data: (6, 6, 1)"
    fitted = dataset.for_model({"pixels": (None, 6, 6, 1)})
    assert fitted.train is not None
    assert fitted.train.inputs["pixels"].shape == (29 + 7, 6, 6, 1)
    assert dataset.check_model({"pixels": (None, 6, None)}, {"out": (None, 4)}) == ()


@pytest.mark.parametrize("shape", [(None, 5, 6), (None, 6, 6, 3), (None, 36)])
def test_for_model_refuses_other_shapes(tmp_path: Path, shape: tuple[int | None, ...]) -> None:
    with pytest.raises(DataError, match="fit the model's input"):
        load_dataset(npz(tmp_path, **arrays())).for_model({"pixels": shape})


@pytest.mark.parametrize(
    ("labels", "output", "message"),
    [
        (np.array([0, 1, 2, 3]), (None, 3), "0 to 2"),
        (np.array([1, 2, 3, 3]), (None, 3), "0 to 2"),
        (np.array([-1, 0, 1, 1]), (None, 3), "0 to 2"),
        (np.eye(4), (None, 3), "one-hot"),
        (np.array([0.5, 1.5, 2.0, 1.0]), (None, 3), "integers"),
        (np.array([0, 1, 2, 1]), (None, 1), "0 and 1"),
        (np.zeros((4, 2, 2)), (None, 3), "fit"),
    ],
)
def test_check_model_refuses_labels_that_do_not_fit(
    tmp_path: Path, labels: Any, output: tuple[int | None, ...], message: str
) -> None:
    dataset = load_dataset(npz(tmp_path, x_test=np.ones((4, 2)), y_test=labels))
    with pytest.raises(DataError, match=message):
        dataset.check_model({"x": (None, 2)}, {"out": output})


@pytest.mark.parametrize(
    ("labels", "output"),
    [
        (np.array([0, 1, 1, 0]), (None, 1)),
        (np.array([0.5, 1.5, 2.0, 1.0]), (None, 1)),
        (np.array([[0.5], [1.5], [2.0], [1.0]]), (None, 1)),
        (np.eye(4), (None, 4)),
        (np.random.default_rng(0).normal(size=(4, 3)), (None, 3)),
        (np.arange(12).reshape(4, 3) % 5, (None, 3, 5)),
    ],
)
def test_check_model_takes_labels_that_fit(tmp_path: Path, labels: Any, output: Any) -> None:
    dataset = load_dataset(npz(tmp_path, x_test=np.ones((4, 2)), y_test=labels))
    assert dataset.check_model({"x": (None, 2)}, {"out": output})


# ---------------------------------------------------------------- what is refused


def with_nan(**values: Any) -> dict[str, Any]:
    values["x_test"] = values["x_test"].astype(np.float32)
    values["x_test"][3, 2, 1] = np.nan
    return values


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (with_nan(**arrays()), r"NaN or infinity, first in sample 3"),
        (arrays() | {"y_test": np.full(20, np.inf)}, "NaN or infinity"),
        (arrays() | {"y_train": np.arange(39) % 4}, "as many"),
        (arrays() | {"x_test": np.ones((0, 6, 6)), "y_test": np.ones(0)}, "must have samples"),
        (arrays() | {"y_test": np.zeros(20, int)}, "two classes"),
        (arrays() | {"x_test": np.array([{}, []] * 10, object)}, "Python objects"),
        ({"x_tarin": np.ones((4, 2))}, "x_train"),
        ({"pictures": np.ones((4, 2))}, "pictures"),
        ({"x_train": np.ones((4, 2)), "y_tarin": np.ones(4)}, "y_train"),
        ({k: v for k, v in arrays().items() if k != "y_test"}, "no labels"),
        ({"x_test": np.array(3.0)}, "single number"),
        ({"x_test": np.ones((3, 2), complex)}, "real numbers"),
    ],
)
def test_load_refuses_what_cannot_be_used(
    tmp_path: Path, values: dict[str, Any], message: str
) -> None:
    with pytest.raises(DataError, match=message) as caught:
        load_dataset(npz(tmp_path, **values))
    assert caught.value.exit_code == 1


def test_load_offers_near_names_when_the_file_is_missing(tmp_path: Path) -> None:
    npz(tmp_path, **arrays())
    with pytest.raises(UsageError) as caught:
        load_dataset(str(tmp_path / "dta.npz"))
    assert "data.npz" in caught.value.hint


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"version https://git-lfs", "LFS"),
        (b"\x93NUMPY", "none"),
        (b"PK\3\4", "sound"),
    ],
)
def test_load_says_what_is_no_data(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "data.npz").write_bytes(content)
    with pytest.raises(DataError, match=message):
        load_dataset(str(tmp_path / "data.npz"))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), compressed=st.booleans())
def test_load_of_a_damaged_file_is_told_or_refused(
    tmp_path: Path, data: st.DataObject, compressed: bool
) -> None:
    path = Path(npz(tmp_path, compressed=compressed, x_test=np.ones((9, 2)), y_test=np.arange(9)))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    with contextlib.suppress(EdgeshrinkError):
        load_dataset(str(path))


@pytest.mark.parametrize(
    "arguments", [{"validation": 1.0}, {"validation": float("nan")}, {"calibration": 0}]
)
def test_load_refuses_shares_that_make_no_sense(tmp_path: Path, arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        load_dataset(npz(tmp_path, **arrays()), **arguments)


def test_load_knows_the_keras_sets_by_name() -> None:
    with pytest.raises(UsageError) as caught:
        load_dataset("keras:minst")
    assert "mnist" in caught.value.hint


def test_load_says_when_a_download_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline() -> None:
        raise Exception("URL fetch failure on https://example.org: None")

    fake = types.SimpleNamespace(datasets=types.SimpleNamespace(mnist=types.SimpleNamespace()))
    fake.datasets.mnist.load_data = offline
    monkeypatch.setitem(sys.modules, "keras", fake)
    with pytest.raises(DataError, match="could not download keras:mnist"):
        load_dataset("keras:mnist")


# ---------------------------------------------------------------- other sources


def test_load_of_a_function_takes_a_dict_or_a_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_data.py").write_text(
        textwrap.dedent(
            """
            import numpy as np
            x, y = np.arange(36.0).reshape(12, 3), np.arange(12) % 3

            def pair():
                return (x, y), (x[:6], y[:6])

            def named():
                return {"x_train": {"a": x, "b": x}, "y_train": y}

            def wrong():
                return 3
            """
        )
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_dataset("my_data:pair").counts()["test"] == 6
    named = load_dataset("my_data:named")
    assert named.train is not None
    assert list(named.train.inputs) == ["a", "b"]
    with pytest.raises(DataError, match="int"):
        load_dataset("my_data:wrong")
    sys.modules.pop("my_data", None)


def test_load_asks_the_hook_first(tmp_path: Path) -> None:
    answered = load_dataset("anything", hook=lambda spec: arrays() if spec == "anything" else None)
    assert answered.counts()["test"] == 20
    assert answered.digest == load_dataset("anything", hook=lambda spec: arrays()).digest
    assert load_dataset(npz(tmp_path, **arrays()), hook=lambda spec: None).counts()["test"] == 20


def test_load_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "named.csv").write_text("a,label,b\n" + "1.5,0,2\n3,1,4.5\n" * 10)
    (tmp_path / "plain.csv").write_text("1.5,2,cat\n3,4.5,dog\n" * 10)
    (tmp_path / "real.csv").write_text("a,b,price\n1,2,0.5\n3,4,1.25\n5,6,0.75\n")
    named = load_dataset(str(tmp_path / "named.csv"))
    assert named.train is not None
    assert named.tasks[""].kind == "binary"
    assert sorted(set(map(tuple, named.train.take(slice(None))["x"].tolist()))) == [
        (1.5, 2.0),
        (3.0, 4.5),
    ]
    assert load_dataset(str(tmp_path / "plain.csv")).class_names == ("cat", "dog")
    real = load_dataset(str(tmp_path / "real.csv"))
    assert real.tasks[""].kind == "regression"
    (tmp_path / "bad.csv").write_text("a,y\n1,2\nx,3\n")
    with pytest.raises(DataError, match="row 3 must hold numbers; column a holds 'x'"):
        load_dataset(str(tmp_path / "bad.csv"))


def test_a_table_with_a_gap_names_its_column(tmp_path: Path) -> None:
    (tmp_path / "gap.csv").write_text('"size, cm",b,y\n1,2,0\n3,,1\n')
    with pytest.raises(DataError, match="row 3 must hold numbers; column b holds ''") as raised:
        load_dataset(str(tmp_path / "gap.csv"))
    assert raised.value.hint.startswith("fill in")


def test_a_table_with_other_separators_is_told(tmp_path: Path) -> None:
    (tmp_path / "other.csv").write_text("a;b;y\n1,5;2;0\n3;4;1\n")
    with pytest.raises(DataError, match="rows of features and a label") as raised:
        load_dataset(str(tmp_path / "other.csv"))
    (tmp_path / "long.csv").write_text(f"a,b,y\n1,2,cat\n3,4,{'d' * 1001}\n")
    with pytest.raises(DataError, match="row 3 has a label of 1,001 characters"):
        load_dataset(str(tmp_path / "long.csv"))
    assert raised.value.hint == "cells are separated by commas, here it looks like ';'"


def test_load_of_a_folder_of_images(tmp_path: Path) -> None:
    for part, count in (("train", 8), ("test", 3)):
        for label, colour in (("blue", (0, 0, 200)), ("red", (200, 0, 0))):
            folder = tmp_path / part / label
            folder.mkdir(parents=True)
            for number in range(count):
                PIL.Image.new("RGB", (10, 8), colour).save(folder / f"{number}.png")
    dataset = load_dataset(str(tmp_path), preprocess="scale=1/200", validation=0.25)
    assert dataset.class_names == ("blue", "red")
    assert dataset.counts() == {"train": 12, "validation": 4, "calibration": 12, "test": 6}
    fitted = dataset.for_model({"pixels": (None, 4, 5, 3)}, {"out": (None, 2)})
    assert any("resized" in note for note in fitted.notes)
    assert fitted.test is not None
    x, y = next(fitted.batches(fitted.test, 6))
    assert x["pixels"].shape == (6, 4, 5, 3)
    assert y.tolist() == [0, 0, 0, 1, 1, 1]
    assert x["pixels"][0, 0, 0].tolist() == [0.0, 0.0, 1.0]
    assert x["pixels"][5, 3, 4].tolist() == [1.0, 0.0, 0.0]
    grey = dataset.for_model({"pixels": (None, 4, 5, 1)})
    assert grey.test is not None
    assert grey.test.take([0])["pixels"].shape == (1, 4, 5, 1)
    assert fitted.digest != grey.digest
    flat = load_dataset(str(tmp_path / "train"))
    assert flat.counts()["test"] == 3
    assert flat.test is not None
    assert set(flat.test.labels.tolist()) == {0, 1}
    (tmp_path / "test" / "red" / "0.png").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"0\.png"):
        fitted.test.take([3])


def test_load_refuses_a_folder_without_images(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"one folder of images or \.wav files for each class"):
        load_dataset(str(tmp_path))


def test_data_modules_import_nothing_heavy() -> None:
    code = (
        "import sys, edgeshrink.samples.dataset, edgeshrink.models.config\n"
        "print([m for m in ('numpy', 'tensorflow', 'keras', 'h5py', 'PIL') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"


# ---------------------------------------------------------------- memory

PEAK = """
import resource, sys
import numpy as np
from edgeshrink.samples import load_dataset
spec, size = sys.argv[1], int(sys.argv[2])
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
dataset = load_dataset(spec, preprocess="scale=1/255")
part = dataset.train
for start in range(0, min(len(part), size), 32):
    dataset.values(part, np.arange(start, min(start + 32, size)))
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def peak_megabytes(spec: str, samples: int) -> float:
    told = subprocess.run(
        [sys.executable, "-c", PEAK, spec, str(samples)], capture_output=True, text=True, check=True
    )
    return float(told.stdout)


@pytest.mark.slow
@pytest.mark.parametrize("compressed", [True, False])
def test_ten_thousand_images_cost_little_memory(tmp_path: Path, compressed: bool) -> None:
    images = np.zeros((12_500, 32, 32, 3), np.uint8)
    images[:, 0, 0, 0] = np.arange(12_500) % 251
    values = {
        "x_train": images,
        "y_train": np.arange(12_500) % 10,
        "x_test": np.zeros((100, 32, 32, 3), np.uint8),
        "y_test": np.arange(100) % 10,
    }
    peak = peak_megabytes(npz(tmp_path, compressed=compressed, **values), 10_000)
    assert peak < 100  # 31 MB are the images themselves, as floats they would be 123


@pytest.mark.slow
def test_shared_data_fits_and_stays_small(shared: Path) -> None:
    for name in ("mnist", "cifar10_40k", "fsdd_logmel"):
        dataset = load_dataset(str(shared / "data" / f"{name}.npz"))
        assert dataset.train is not None
        assert dataset.tasks[""].kind == "classification"
        assert min(dataset.counts().values()) > 0
    assert peak_megabytes(str(shared / "data" / "cifar10_40k.npz"), 10_000) < 300
