from __future__ import annotations

import io
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from paths import DATA, LEGACY

from edgeshrink.errors import ModelError, UsageError
from edgeshrink.nn.loading.load import (
    dynamic_inputs,
    fix_input_shapes,
    is_wrapped,
    load_model,
    save_model,
)

# TensorFlow 2.21's tensors do not know NumPy 2's `copy` argument; Keras converts them everywhere
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy")

CUSTOM = """
import keras


@keras.saving.register_keras_serializable("Mine")
class Gate(keras.layers.Layer):
    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), name="scale")

    def call(self, x):
        return x * self.scale


class Plain(keras.layers.Layer):
    def call(self, x):
        return x + 1.0


class Odd(Exception):
    pass


class Failing(Plain):
    fails = False

    def build(self, shape):
        if Failing.fails:
            raise Odd("no rain today")


@keras.saving.register_keras_serializable("Mine")
class Net(keras.Model):
    def __init__(self, units=3, **kwargs):
        super().__init__(**kwargs)
        self.units = units
        self.out = keras.layers.Dense(units)

    def call(self, x):
        return self.out(x)

    def get_config(self):
        return {**super().get_config(), "units": self.units}
"""


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("legacy")
    with zipfile.ZipFile(LEGACY) as file:
        file.extractall(folder)
    return folder


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a module of the user's own, in the working directory."""
    (tmp_path / "my_layers.py").write_text(CUSTOM)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield __import__("my_layers")
    sys.modules.pop("my_layers", None)
    keras.saving.get_custom_objects().clear()


def net(*layers: Any, shape: tuple[int | None, ...] = (4,)) -> keras.Model:
    keras.utils.set_random_seed(0)
    return keras.Sequential([keras.Input(shape, name="x"), *layers])


def branched() -> keras.Model:
    """Return a model with two inputs and outputs and a nested model that is called twice."""
    keras.utils.set_random_seed(1)
    inner = keras.Input((3,), name="inner_in")
    block = keras.Model(inner, keras.layers.Dense(3, name="inner_dense")(inner), name="block")
    left, right = keras.Input((3,), name="left"), keras.Input((3,), name="right")
    both = keras.layers.Concatenate()([block(left), block(block(right))])
    outputs = [
        keras.layers.Dense(2, name="first")(both),
        keras.layers.Dense(1, name="second")(both),
    ]
    return keras.Model([left, right], outputs, name="branched")


def outputs(model: keras.Model, inputs: list[Any]) -> list[np.ndarray[Any, Any]]:
    answer = model(inputs if len(inputs) > 1 else inputs[0], training=False)
    return [np.asarray(v) for v in keras.tree.flatten(answer)]


def recorded(folder: Path, name: str) -> tuple[list[Any], list[Any]]:
    with np.load(folder / f"{name}.npz") as file:
        return [file[k] for k in file if k[0] == "x"], [file[k] for k in file if k[0] == "y"]


@pytest.mark.parametrize(
    "name",
    [
        "depthwise.h5",
        "depthwise.keras",
        "depthwise",
        "branched.h5",
        "branched.keras",
        "operators.keras",
        "assorted.h5",
        "assorted.keras",
    ],
)
def test_load_model_rebuilds_keras_2_files_exactly(legacy: Path, name: str, tmp_path: Path) -> None:
    inputs, expected = recorded(legacy, name.partition(".")[0])
    save_model(load_model(legacy / name), tmp_path / "again.keras")
    again = keras.models.load_model(tmp_path / "again.keras")
    for got, wanted in zip(outputs(again, inputs), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-6)


@pytest.fixture(scope="module")
def first_archives(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("first_archives")
    with zipfile.ZipFile(DATA / "first_archives.zip") as file:
        file.extractall(folder)
    return folder


FIRST = [
    f"{name}-{version}"
    for name in ("plain", "nested", "sequential", "recurrent")
    for version in ("2.12.1", "2.13.1")
]


@pytest.mark.parametrize("name", FIRST)
def test_load_model_rebuilds_the_first_archives_exactly(first_archives: Path, name: str) -> None:
    model = load_model(first_archives / f"{name}.keras")
    with np.load(first_archives / f"{name}.npz") as told:
        np.testing.assert_allclose(outputs(model, [told["x"]])[0], told["y"], atol=1e-5)


def saved_on_windows(source: Path, path: Path) -> Path:
    """Write an archive as Keras 2 did on Windows: folders of layers joined by backslashes."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        weights = io.BytesIO()
        with h5py.File(io.BytesIO(old.read("model.weights.h5"))) as file:
            stored = h5py.File(weights, "w")

            def place(name: str, item: Any) -> None:
                if isinstance(item, h5py.Dataset):
                    folder, _, rest = name.partition("vars/")
                    folder = folder.strip("/").replace("/", "\\")
                    stored.create_dataset(f"{folder}/vars/{rest}", data=item[()])

            file.visititems(place)
            stored.close()
        new.writestr("model.weights.h5", weights.getvalue())
        for member in ("config.json", "metadata.json"):
            new.writestr(member, old.read(member))
    return path


@pytest.mark.parametrize("name", [name for name in FIRST if "2.13" in name])
def test_load_model_opens_archives_saved_on_windows(
    first_archives: Path, name: str, tmp_path: Path
) -> None:
    windows = saved_on_windows(first_archives / f"{name}.keras", tmp_path / "windows.keras")
    model = load_model(windows)
    with np.load(first_archives / f"{name}.npz") as told:
        np.testing.assert_allclose(outputs(model, [told["x"]])[0], told["y"], atol=1e-5)


@pytest.mark.parametrize("name", ["depthwise", "branched", "assorted"])
def test_load_model_opens_later_archives_saved_on_windows(
    legacy: Path, name: str, tmp_path: Path
) -> None:
    inputs, expected = recorded(legacy, name)
    windows = saved_on_windows(legacy / f"{name}.keras", tmp_path / "windows.keras")
    for got, wanted in zip(outputs(load_model(windows), inputs), expected, strict=True):
        np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_load_model_says_where_weights_were_looked_for(
    first_archives: Path, tmp_path: Path
) -> None:
    path = tmp_path / "moved.keras"
    with zipfile.ZipFile(first_archives / "plain-2.13.1.keras") as old:
        weights = io.BytesIO(old.read("model.weights.h5"))
        with h5py.File(weights, "a") as file:
            file.move("_layer_checkpoint_dependencies/dense", "_layer_checkpoint_dependencies/gone")
        with zipfile.ZipFile(path, "w") as new:
            for member in ("config.json", "metadata.json"):
                new.writestr(member, old.read(member))
            new.writestr("model.weights.h5", weights.getvalue())
    with pytest.raises(ModelError, match=r"stored as 'dense'; the file has .*gone"):
        load_model(path)


def test_load_model_names_the_layer_that_keras_3_lacks(legacy: Path) -> None:
    with pytest.raises(ModelError, match=r"'local'.*LocallyConnected1D"):
        load_model(legacy / "unusual.h5")


def test_load_model_refuses_activations_that_changed_their_meaning(legacy: Path) -> None:
    with pytest.raises(ModelError, match=r"'hard'.*hard_sigmoid"):
        load_model(legacy / "hard.h5")


def test_load_model_wraps_a_savedmodel_without_notes(legacy: Path, tmp_path: Path) -> None:
    shutil.copytree(legacy / "depthwise", tmp_path / "plain")
    (tmp_path / "plain" / "keras_metadata.pb").unlink()
    inputs, expected = recorded(legacy, "depthwise")
    loaded = load_model(tmp_path / "plain")
    assert is_wrapped(loaded)
    assert not is_wrapped(load_model(legacy / "depthwise"))
    got = outputs(loaded, inputs)
    np.testing.assert_allclose(got[0], expected[0], atol=1e-6)


def test_load_model_wraps_a_savedmodel_that_cannot_be_rebuilt(
    legacy: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(legacy / "depthwise", tmp_path / "odd")
    notes = tmp_path / "odd" / "keras_metadata.pb"
    notes.write_bytes(notes.read_bytes().replace(b"SeparableConv2D", b"SeparableConv9D"))
    assert is_wrapped(load_model(tmp_path / "odd"))
    assert "separable_conv2d" in caplog.text


def test_load_model_wraps_an_export_with_several_inputs(tmp_path: Path) -> None:
    model = branched()
    model.export(tmp_path / "exported", verbose=False)
    loaded = load_model(tmp_path / "exported")
    values = {"left": np.ones((2, 3), "float32"), "right": np.full((2, 3), 2, "float32")}
    got = outputs(loaded, [values[tensor.name] for tensor in loaded.inputs])
    for value, wanted in zip(got, outputs(model, list(values.values())), strict=True):
        np.testing.assert_allclose(value, wanted, atol=1e-6)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_load_model_opens_nested_models_with_several_inputs(tmp_path: Path, suffix: str) -> None:
    model = branched()
    model.save(tmp_path / f"model{suffix}")
    inputs = [np.ones((2, 3), "float32"), np.full((2, 3), 2, "float32")]
    for got, wanted in zip(
        outputs(load_model(tmp_path / f"model{suffix}"), inputs),
        outputs(model, inputs),
        strict=True,
    ):
        np.testing.assert_allclose(got, wanted, atol=1e-6)


def test_load_model_goes_by_content_not_by_name(tmp_path: Path) -> None:
    net(keras.layers.Dense(2)).save(tmp_path / "model.keras")
    (tmp_path / "model.keras").rename(tmp_path / "model.zip")
    assert load_model(tmp_path / "model.zip").count_params() == 10


def test_load_model_forgets_the_optimizer(tmp_path: Path) -> None:
    model = net(keras.layers.Dense(200), keras.layers.Dense(2))
    model.compile("adam", "mse")
    model.fit(np.zeros((4, 4)), np.zeros((4, 2)), verbose=0)
    model.save(tmp_path / "trained.keras")
    loaded = load_model(tmp_path / "trained.keras")
    save_model(loaded, tmp_path / "small.keras")
    trained, small = (tmp_path / n for n in ("trained.keras", "small.keras"))
    assert trained.stat().st_size > 1.7 * small.stat().st_size
    assert not loaded.compiled
    loaded.compile("sgd", "mse")  # and it can be trained again
    loaded.fit(np.zeros((4, 4)), np.zeros((4, 2)), verbose=0)


def test_save_model_leaves_the_model_compiled(tmp_path: Path) -> None:
    model = net(keras.layers.Dense(2))
    model.compile("adam", "mse")
    save_model(model, tmp_path / "model.keras")
    assert model.compiled
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]
    assert not keras.models.load_model(tmp_path / "model.keras").compiled


def test_save_model_says_when_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere.model\.keras"):
        save_model(net(keras.layers.Dense(2)), tmp_path / "nowhere" / "model.keras")


def test_save_model_wants_keras_archives(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"\.keras"):
        save_model(net(keras.layers.Dense(2)), tmp_path / "model.h5")


def test_load_model_needs_custom_classes_by_name(tmp_path: Path, mine: Any) -> None:
    model = net(mine.Gate(name="gate"), mine.Plain())
    model.save(tmp_path / "model.keras")
    keras.saving.get_custom_objects().clear()
    with pytest.raises(ModelError, match="Mine>Gate") as caught:
        load_model(tmp_path / "model.keras")
    assert "--custom" in caught.value.hint
    loaded = load_model(tmp_path / "model.keras", custom=["my_layers:Gate", "my_layers:Plain"])
    assert type(loaded.get_layer("gate")).__name__ == "Gate"


def test_load_model_tells_errors_of_any_class(
    tmp_path: Path, mine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    net(mine.Failing()).save(tmp_path / "model.keras")
    monkeypatch.setattr(mine.Failing, "fails", True)
    with pytest.raises(ModelError, match=r"cannot load model\.keras: no rain today"):
        load_model(tmp_path / "model.keras", custom=["my_layers:Failing"])


def test_load_model_opens_a_subclass_by_name(tmp_path: Path, mine: Any) -> None:
    model = mine.Net()
    values = np.ones((2, 4), "float32")
    expected = np.asarray(model(values))
    model.save(tmp_path / "model.keras")
    keras.saving.get_custom_objects().clear()
    loaded = load_model(tmp_path / "model.keras", custom=["my_layers:Net"])
    np.testing.assert_allclose(np.asarray(loaded(values)), expected)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("my_layers", "module:object"),
        ("no_such_module:Gate", "no_such_module"),
        ("my_layers:Gaet", "Gaet"),
    ],
)
def test_load_model_says_which_custom_spec_is_wrong(
    tmp_path: Path, mine: Any, spec: str, message: str
) -> None:
    net(keras.layers.Dense(2)).save(tmp_path / "model.keras")
    with pytest.raises(UsageError, match=message):
        load_model(tmp_path / "model.keras", custom=[spec])


def test_load_model_runs_code_only_when_unsafe(tmp_path: Path) -> None:
    model = net(keras.layers.Lambda(lambda x: x * 2, output_shape=(4,), name="twice"))
    model.save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match="twice") as caught:
        load_model(tmp_path / "model.keras")
    assert "--unsafe" in caught.value.hint
    loaded = load_model(tmp_path / "model.keras", unsafe=True)
    assert outputs(loaded, [np.ones((1, 4), "float32")])[0].tolist() == [[2.0] * 4]


def test_load_model_names_the_layer_with_nan(tmp_path: Path) -> None:
    model = net(keras.layers.Dense(2, name="first"), keras.layers.Dense(2, name="second"))
    model.get_layer("second").kernel.assign(np.full((2, 2), np.nan))
    model.save(tmp_path / "model.keras")
    with pytest.raises(ModelError, match=r"'second' \(kernel\)"):
        load_model(tmp_path / "model.keras")


def test_load_model_tells_what_keras_said_of_damaged_weights(tmp_path: Path) -> None:
    net(keras.layers.Dense(2)).save(tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as file:
        members = {name: file.read(name) for name in file.namelist()}
    members["model.weights.h5"] = members["model.weights.h5"][:900]
    with zipfile.ZipFile(tmp_path / "bad.keras", "w") as file:
        for name, content in members.items():
            file.writestr(name, content)
    with pytest.raises(ModelError, match=r"Keras cannot load bad\.keras"):
        load_model(tmp_path / "bad.keras")


def test_load_model_refuses_tflite(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(20))
    with pytest.raises(ModelError, match="compressed any more"):
        load_model(tmp_path / "model.tflite")


def test_fix_input_shapes_keeps_weights_and_answers(tmp_path: Path) -> None:
    model = net(
        keras.layers.Conv2D(2, 3),
        keras.layers.BatchNormalization(),
        keras.layers.GlobalAveragePooling2D(),
        shape=(None, None, 1),
    )
    assert dynamic_inputs(model) == {"x": (None, None, None, 1)}
    model.save(tmp_path / "model.keras")
    fixed = load_model(tmp_path / "model.keras", input_shapes={"x": (1, 8, 8, 1)})
    assert dynamic_inputs(fixed) == {}
    assert tuple(fixed.inputs[0].shape) == (None, 8, 8, 1)
    assert [layer.name for layer in fixed.layers] == [layer.name for layer in model.layers]
    values = [np.random.default_rng(0).normal(size=(2, 8, 8, 1)).astype("float32")]
    np.testing.assert_allclose(outputs(fixed, values)[0], outputs(model, values)[0], atol=1e-6)


def test_fix_input_shapes_works_on_one_of_two_inputs() -> None:
    left, right = keras.Input((None, 2), name="left"), keras.Input((5, 2), name="right")
    dense = keras.layers.Dense(3)
    merged = keras.layers.Add()([dense(left), dense(right)])
    fixed = fix_input_shapes(keras.Model([left, right], merged), {"left": (1, 5, 2)})
    assert [tuple(t.shape) for t in fixed.inputs] == [(None, 5, 2), (None, 5, 2)]
    assert len(fixed.weights) == 2


@pytest.mark.parametrize(
    ("shapes", "message"),
    [
        ({"y": (1, 8, 8, 1)}, "no model input 'y'"),
        ({"x": (8, 8, 1)}, r"x=\?,\?,\?,1"),
        ({"x": (1, 8, 8, 3)}, "agree"),
        ({"x": (1, 0, 8, 1)}, "agree"),
    ],
)
def test_fix_input_shapes_refuses_what_does_not_agree(
    shapes: dict[str, tuple[int, ...]], message: str
) -> None:
    model = net(keras.layers.Conv2D(2, 3), shape=(None, None, 1))
    with pytest.raises(UsageError, match=message):
        fix_input_shapes(model, shapes)


def test_fix_input_shapes_refuses_sizes_that_the_model_cannot_take() -> None:
    model = net(keras.layers.Conv2D(2, 5), shape=(None, None, 1))
    with pytest.raises(ModelError, match="does not work"):
        fix_input_shapes(model, {"x": (1, 2, 2, 1)})


def test_fix_input_shapes_keeps_operations_and_nested_models() -> None:
    x = keras.Input((None, 4), name="x")
    inner = keras.Input((None, 4))
    block = keras.Model(inner, keras.layers.Dense(4)(inner), name="block")
    y = keras.ops.mean(block(block(x)) * 2.0, axis=1)
    model = keras.Model(x, keras.layers.Dense(2)(y))
    fixed = fix_input_shapes(model, {"x": (1, 6, 4)})
    values = [np.random.default_rng(0).normal(size=(2, 6, 4)).astype("float32")]
    np.testing.assert_allclose(outputs(fixed, values)[0], outputs(model, values)[0], atol=1e-6)
    assert len(fixed.weights) == len(model.weights)


@pytest.mark.slow
def test_load_model_opens_all_shared_models(shared: Path) -> None:
    for path in sorted((shared / "models").glob("*.keras")):
        assert load_model(path).count_params() > 1000, path.name
