"""The Python interface: objects in, the arguments of the command line, errors in Python's words."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import edgeshrink
from edgeshrink.errors import DataError, ModelError, UsageError
from edgeshrink.nn.loading import model_file, own_code
from edgeshrink.plugins import installed
from edgeshrink.python.asked import shapes_of
from edgeshrink.python.running import Net
from edgeshrink.python.speaking import pythonic
from edgeshrink.python.watching import watched

RANDOM = np.random.default_rng(0)
X = RANDOM.random((120, 6, 6, 1), dtype=np.float32)
Y = (3 * X[:, 0, 0, 0]).astype(int)
QUICK: dict[str, Any] = {"rules": "smoke", "max_drop": "none", "int8": True, "force": True}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


@keras.saving.register_keras_serializable("tests")
class Twice(keras.layers.Layer):
    def call(self, inputs: Any) -> Any:
        return 2 * inputs


def net(*more: keras.layers.Layer) -> keras.Model:
    layers = keras.layers
    made = keras.Sequential(
        [
            keras.Input((6, 6, 1), name="image"),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            *more,
            layers.Flatten(name="flat"),
            layers.Dense(3, activation="softmax", name="answer"),
        ],
        name="net",
    )
    made.compile(
        keras.optimizers.Adam(3e-3), "sparse_categorical_crossentropy", metrics=["accuracy"]
    )
    return made


def stages(run: Path) -> set[str]:
    """Return the stages of a run folder, each named by its key."""
    return {one.name for one in run.iterdir() if one.is_dir() and "-" in one.name[1:]}


@pytest.mark.heavy
def test_objects_and_files_of_the_same_are_the_same_run(tmp_path: Path) -> None:
    model = net()
    data = ((X[:90], Y[:90]), (X[90:], Y[90:]))
    report = edgeshrink.compress(model, data=data, prune=0.5, epochs=1, run="objects", **QUICK)
    assert (report.output, report.data["counts"]["test"]) == ("net.tflite", 30)
    model.save("mine.keras")
    np.savez("mine.npz", x_train=X[:90], y_train=Y[:90], x_test=X[90:], y_test=Y[90:])
    files = edgeshrink.compress(
        "mine.keras", data="mine.npz", prune=0.5, epochs=1, run="files", output="f.tflite", **QUICK
    )
    assert stages(Path("objects")) == stages(Path("files")) != set()
    assert Path("net.tflite").read_bytes() == Path("f.tflite").read_bytes()
    assert files.ledger.final.score == report.ledger.final.score


@pytest.mark.heavy
def test_a_layer_of_ones_own_needs_no_name(tmp_path: Path) -> None:
    report = edgeshrink.compress(net(Twice(name="own")), data=(X, Y), output="own.tflite", **QUICK)
    assert report.ledger.final.size_bytes > 0


def doubled(values: Any) -> Any:
    return 2 * keras.activations.relu(values)


def test_own_functions_are_found_and_what_has_no_name_is_told() -> None:
    assert own_code(net(keras.layers.Activation(doubled))) == (f"{__name__}:doubled",)
    assert own_code(net(Twice())) == (f"{__name__}:Twice",)
    assert own_code(net(keras.layers.Activation("relu"))) == ()

    class Inside(keras.layers.Layer):
        pass

    with pytest.raises(UsageError, match=r"a name in its module; received .*Inside") as error:
        own_code(net(Inside()))
    assert "at the top of its module or notebook" in error.value.hint


@pytest.mark.parametrize(
    ("models", "received"), [((), "none"), ((["a.tflite"],), "a list"), ((3,), "a int")]
)
def test_bench_takes_paths(models: Any, received: str) -> None:
    with pytest.raises(UsageError, match=f"at least one; received {received}(\n|$)"):
        edgeshrink.bench(*models)


def test_a_shape_may_be_a_list() -> None:
    assert shapes_of([1, 6, 6, 1]) == shapes_of((1, 6, 6, 1)) == {"": (1, 6, 6, 1)}
    assert shapes_of({"a": [1, 2]}) == {"a": (1, 2)}
    assert shapes_of(None) == {}


def test_what_is_no_model_is_refused(tmp_path: Path) -> None:
    class Own(keras.Model):
        def call(self, inputs: Any) -> Any:
            return inputs

    for model, said in (
        (3, "a model must be a path, a keras.Model, .* received a builtins.int"),
        (Own(name="own"), "'own' has no shapes yet"),
        (keras.Sequential([keras.layers.Dense(2)], name="open"), "'open' has no shapes yet"),
    ):
        with pytest.raises(UsageError, match=said):
            edgeshrink.compress(model, int8=True)  # type: ignore[arg-type]


def test_another_backend_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = net()
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    with pytest.raises(UsageError, match="on the backend tensorflow; Keras runs on jax here"):
        model_file(model, tmp_path)


def test_a_model_that_keras_cannot_save_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = net()

    def save(path: Path) -> None:
        raise NotImplementedError("no get_config")

    monkeypatch.setattr(model, "save", save)
    with pytest.raises(ModelError, match="cannot save the model 'net': no get_config"):
        model_file(model, tmp_path / "objects")
    assert list((tmp_path / "objects").iterdir()) == []


def test_a_wrong_argument_is_told_with_few_that_are_near() -> None:
    for wrong, near in (
        ("epoch", "'epochs'"),
        ("out", "'output'"),
        ("devices", "'device'"),
        ("xyzzy", "are known, such as "),
    ):
        with pytest.raises(UsageError, match=f"compress takes no '{wrong}'") as error:
            edgeshrink.compress("m.keras", **{wrong: 1})
        assert near in error.value.hint
        assert error.value.hint.count(",") <= 6


@pytest.mark.parametrize(
    ("told", "in_python"),
    [
        ("pass --data, or work without", "pass data=, or work without"),
        ("--max-drop none accepts it", 'max_drop="none" accepts it'),
        ("as in --prune 0.8 --int8", "as in prune=0.8 int8=True"),
        ("as in --loss mse, or a=b", 'as in loss="mse", or a=b'),
        ("--loss names one", "loss= names one"),
        ("fix: --input-shape x=1,6,6,1", 'fix: input_shape={"x": (1, 6, 6, 1)}'),
        ("--int8 needs samples; --int8-qat", "int8=True needs samples; int8_qat=True"),
        ("`edgeshrink compress m.keras --float` makes", '`edgeshrink.compress("m.keras", float='),
        ("--force overwrites it, -o names another", "force=True overwrites it, output= names"),
        ("--no-strip keeps them", "strip=False keeps them"),
        ("a well-known --- line and m-o-o", "a well-known --- line and m-o-o"),
        (f"x in /home/me/.cache/edgeshrink/objects/{'0af3' * 8}.npz has NaN", "x in data has NaN"),
    ],
)
def test_errors_name_arguments(told: str, in_python: str) -> None:
    assert pythonic(told).startswith(in_python)


def test_an_error_of_the_interface_names_arguments(tmp_path: Path) -> None:
    model_file(net(), tmp_path).rename("m.keras")
    Path("there.tflite").write_bytes(b"")
    with pytest.raises(UsageError) as error:
        edgeshrink.compress("m.keras", int8=True, output="there.tflite")
    assert error.value.hint.startswith("force=True overwrites it, output=")
    assert f"hint: {error.value.hint}" in error.value.__notes__


@pytest.mark.parametrize("function", [edgeshrink.compress, edgeshrink.bench, edgeshrink.search])
def test_arguments_of_functions_are_no_flags_of_methods(function: Callable[..., Any]) -> None:
    flags = {key for method in installed().methods.values() for key in method.flag_keys()}
    assert not flags & set(inspect.signature(function).parameters)


@pytest.fixture(scope="module")
def compressed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    folder = tmp_path_factory.mktemp("compressed")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        parts = {"train": (X[:90], Y[:90]), "test": (X[90:], Y[90:])}
        out = folder / "net.tflite"
        return edgeshrink.compress(net(), data=parts, output=out, **QUICK)


@pytest.mark.heavy
def test_a_report_is_one_line_a_page_a_table_and_a_model(compressed: Any, tmp_path: Path) -> None:
    said = repr(compressed)
    assert "\n" not in said
    assert said.startswith(f"<Compression {compressed.output}: ")
    assert f"→ {compressed.ledger.final.size_bytes:,} bytes" in said
    assert compressed._repr_html_().startswith('<iframe srcdoc="&lt;!doctype html')
    rows = compressed.table()
    assert [row["step"] for row in rows] == [row.step for row in compressed.ledger.rows]
    assert rows[-1]["bytes"] == compressed.ledger.final.size_bytes
    pandas = pytest.importorskip("pandas")
    assert isinstance(compressed.to_pandas(), pandas.DataFrame)


@pytest.mark.heavy
def test_the_result_is_called_like_a_function(compressed: Any) -> None:
    found = compressed.load()(X[90:])
    assert found.shape == (30, 3)
    assert found.dtype == np.float32
    right = float((found.argmax(-1) == Y[90:]).mean())
    assert right == pytest.approx(compressed.ledger.final.score.value)
    with pytest.raises(DataError, match=r"must have the shape \(samples, 6, 6, 1\); received"):
        compressed.load()(X[..., 0])
    with pytest.raises(DataError, match="the model takes image; received picture"):
        compressed.load()({"picture": X})
    assert compressed.load()(X[:0]).shape == (0, 3)


@pytest.fixture
def pair(tmp_path: Path) -> Net:
    """A file with two inputs and integers as its interface."""
    left, right = keras.Input((3,), name="left"), keras.Input((2,), name="right")
    joined = keras.layers.Concatenate()([left, right])
    model = keras.Model([left, right], keras.layers.Dense(2, name="answer")(joined), name="pair")
    data = {"left": 200 * RANDOM.random((40, 3)), "right": 200 * RANDOM.random((40, 2))}
    return edgeshrink.compress(model, data=data, int8_io="int8", **QUICK).load()


@pytest.mark.heavy
def test_whole_numbers_are_numbers_unless_they_are_codes(pair: Net) -> None:
    left = np.array([[200, 130, 4], [0, 90, 199]], np.uint8)
    right = np.array([[180, 0], [128, 127]], np.uint8)
    whole = pair({"left": left, "right": right})
    real = pair({"left": left.astype(np.float32), "right": right.astype(np.float32)})
    np.testing.assert_array_equal(whole, real)
    with pytest.raises(DataError, match=r"the model takes .*; received a list without names"):
        pair([left, right])
    with pytest.raises(DataError, match=r"all inputs must have as many samples; received .* 2"):
        pair({"left": left, "right": right[:1]})


@pytest.mark.heavy
def test_a_report_is_saved_as_its_file_ends(compressed: Any, tmp_path: Path) -> None:
    for suffix, head in (("json", "{"), ("md", "#"), ("html", "<!doctype html")):
        path = tmp_path / f"r.{suffix}"
        compressed.save(path)
        assert path.read_text().startswith(head)
    with pytest.raises(UsageError, match=r"can be saved as \.json, .*; received"):
        compressed.save(tmp_path / "r.pdf")


@pytest.mark.heavy
def test_files_are_measured_and_layers_told(compressed: Any, tmp_path: Path) -> None:
    measured = edgeshrink.bench(compressed.output, rules="smoke", data={"test": (X[90:], Y[90:])})
    (row,) = measured.table()
    assert row["score"] == pytest.approx(compressed.ledger.final.score.value)
    assert repr(measured) == "<Bench 1 file on desktop>"
    assert "<table>" in measured._repr_html_()
    layers = edgeshrink.sensitivity(net(), method="prune", data=(X, Y))
    assert {row["layer"] for row in layers.table()} == {"conv", "answer"}
    layers.save(tmp_path / "layers.json")
    assert "by prune; the most sensitive is" in repr(layers)


@pytest.mark.heavy
def test_a_search_goes_from_objects_to_a_front(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    data = ((X[:90], Y[:90]), (X[90:], Y[90:]))
    asked: dict[str, Any] = {"trials": 2, "goals": "bytes", "max_drop": "none", "rules": "smoke"}
    found = edgeshrink.search(net(), data=data, epochs=1, force=True, **asked)
    assert len(found.measured) == 2
    assert found.result is not None
    assert found._repr_html_().startswith("<iframe")
    assert len(found.table()) == len(found.trials)
    with pytest.raises(UsageError, match="search takes no 'prune'"):
        edgeshrink.search(net(), data=data, prune=0.5)


@pytest.mark.heavy
@pytest.mark.parametrize("progress", [True, False])
def test_progress_is_told_where_it_is_wanted(
    progress: bool, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    report = edgeshrink.compress(
        net(), output=tmp_path / "n.tflite", dynamic=True, progress=progress
    )
    assert "\n" not in repr(report)
    told = capfd.readouterr().err
    assert ("[1/2] dynamic: " in told) == progress
    assert not installed().has("progress")


def test_threads_run_one_after_the_other() -> None:
    inside: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        with watched(installed(), progress=True):
            inside.append(number)
            most.append(len(inside))
            time.sleep(0.05)
            inside.remove(number)

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(work, range(3)))
    assert most == [1, 1, 1]
    assert not installed().has("progress")
