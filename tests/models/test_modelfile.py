from __future__ import annotations

import contextlib
import json
import random
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from paths import LEGACY

from edgeshrink.errors import EdgeshrinkError, ModelError, UsageError
from edgeshrink.models.artifact import Kind
from edgeshrink.models.config import ModelFacts, facts, refuse
from edgeshrink.models.kind import identify
from edgeshrink.models.tensors import TensorFacts
from edgeshrink.samples.preprocess import Preprocess, warn_double_scaling


def layer(
    class_name: str, name: str, module: str = "keras.layers", **config: Any
) -> dict[str, Any]:
    return {
        "module": module,
        "class_name": class_name,
        "config": {"name": name, "dtype": "float32", **config},
        "registered_name": None,
        "name": name,
    }


def sequential(*layers: dict[str, Any], **more: Any) -> dict[str, Any]:
    first = layer("InputLayer", "pixels", batch_shape=[None, 8, 8, 1])
    config = {"name": "net", "layers": [first, *layers]}
    return {"module": "keras", "class_name": "Sequential", "config": config, **more}


def archive(path: Path, config: Any, version: str = "3.15.1", weights: bytes = b"weights") -> Path:
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("metadata.json", json.dumps({"keras_version": version}))
        file.writestr("config.json", config if isinstance(config, str) else json.dumps(config))
        file.writestr("model.weights.h5", weights)
    return path


@pytest.fixture(scope="module")
def legacy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("legacy")
    with zipfile.ZipFile(LEGACY) as file:
        file.extractall(folder)
    return folder


@pytest.mark.parametrize(("version", "kind"), [("3.15.1", Kind.KERAS), ("2.21.0", Kind.KERAS2)])
def test_identify_reads_the_version_not_the_name(tmp_path: Path, version: str, kind: Kind) -> None:
    assert identify(archive(tmp_path / "model.bin", sequential(), version)) is kind


def test_identify_knows_tflite_and_legacy_files(tmp_path: Path, legacy: Path) -> None:
    (tmp_path / "a").write_bytes(b"\x1c\0\0\0TFL3" + bytes(20))
    assert identify(tmp_path / "a") is Kind.TFLITE
    assert identify(legacy / "depthwise") is Kind.SAVEDMODEL
    assert identify(legacy / "depthwise.h5") is Kind.KERAS2
    assert identify(legacy / "branched.keras") is Kind.KERAS2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "empty"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n", "Git LFS"),
        (b"import keras\n", "is text"),
        (b"\x89PNG\r\n\x1a\n0000000000", "none of them"),
        (b"\x80\x04\x95G\x0e\x01\x00\x00", "is a pickle, which runs code when it is read"),
        (b"PK\x03\x04 and then nothing", "truncated"),
        (b"\x89HDF\r\n\x1a\n and then nothing", "truncated"),
    ],
)
def test_identify_says_what_is_no_model(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=message) as caught:
        identify(path)
    assert caught.value.exit_code == 1
    assert caught.value.hint


def test_identify_offers_near_names_when_the_file_is_missing(tmp_path: Path) -> None:
    archive(tmp_path / "lenet.keras", sequential())
    with pytest.raises(UsageError) as caught:
        identify(tmp_path / "lenett.keras")
    assert "lenet.keras" in caught.value.hint
    with pytest.raises(UsageError, match="no such folder"):
        identify(tmp_path / "nowhere" / "lenet.keras")


def test_identify_refuses_folders_that_are_no_savedmodel(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no saved_model\.pb"):
        identify(tmp_path)


def test_identify_refuses_a_truncated_archive(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.keras", sequential(), weights=bytes(5000))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ModelError, match="truncated"):
        identify(path)


def test_identify_refuses_an_archive_of_something_else(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "model.keras", "w") as file:
        file.writestr("x_train.npy", b"")
    with pytest.raises(ModelError, match=r"lacks config\.json"):
        identify(tmp_path / "model.keras")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_identify_refuses_an_archive_with_a_file_twice(tmp_path: Path) -> None:
    path = archive(tmp_path / "model.keras", sequential())
    with zipfile.ZipFile(path, "a") as file:
        file.writestr("config.json", "{}")
    with pytest.raises(ModelError, match=r"may hold a file once; model\.keras has some twice"):
        identify(path)


def test_identify_refuses_zip_bombs(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.keras"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as file:
        file.writestr("metadata.json", "{}")
        file.writestr("config.json", bytes(65 << 20))
    with pytest.raises(ModelError, match="zip bomb"):
        identify(bomb)
    many = tmp_path / "many.keras"
    with zipfile.ZipFile(many, "w") as file:
        for number in range(10_001):
            file.writestr(str(number), b"")
    with pytest.raises(ModelError, match="members"):
        identify(many)


def test_identify_survives_a_file_that_crashes_libhdf5(tmp_path: Path, legacy: Path) -> None:
    content = (legacy / "depthwise.h5").read_bytes()
    path = tmp_path / "model.h5"
    rng = random.Random(1)
    for _ in range(8):
        damaged = bytearray(content)
        for _ in range(20):
            damaged[rng.randrange(4000)] = rng.randrange(256)
        path.write_bytes(damaged)
        with contextlib.suppress(ModelError):
            facts(path)


def test_identify_refuses_weights_only(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "model.h5", "w") as file:
        file.create_group("layers")
    with pytest.raises(ModelError, match="weights only") as caught:
        identify(tmp_path / "model.h5")
    assert "model.save" in caught.value.hint


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    head=st.sampled_from(
        [b"", b"PK\x03\x04", b"PK\x05\x06", b"\x89HDF\r\n\x1a\n", b"\0\0\0\0TFL3"]
    ),
    tail=st.binary(max_size=300),
)
def test_identify_never_fails_otherwise(tmp_path: Path, head: bytes, tail: bytes) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(head + tail)
    with contextlib.suppress(EdgeshrinkError):
        assert identify(path) in Kind


@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_facts_of_a_damaged_archive_are_told_or_refused(
    tmp_path: Path, data: st.DataObject
) -> None:
    path = archive(tmp_path / "model.keras", sequential(layer("Dense", "out", units=3)))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(bytes(content[: data.draw(st.integers(0, len(content)))]))
    with contextlib.suppress(ModelError):
        facts(path)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["class_name", "config", "layers", "name", "dtype", "input_layers", "cell"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(config=json_values)
def test_facts_of_any_json_are_told_or_refused(tmp_path: Path, config: Any) -> None:
    path = archive(tmp_path / "model.keras", config)
    with contextlib.suppress(ModelError):
        facts(path)


def test_facts_refuse_malformed_json(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="not JSON"):
        facts(archive(tmp_path / "a.keras", "{"))
    with pytest.raises(ModelError, match="JSON object"):
        facts(archive(tmp_path / "b.keras", "[]"))


def test_facts_of_a_compiled_sequential_model(tmp_path: Path) -> None:
    compiled = {
        "optimizer": {"class_name": "Adam", "config": {"learning_rate": 0.005}},
        "loss": {
            "class_name": "SparseCategoricalCrossentropy",
            "config": {"name": "sparse_categorical_crossentropy", "from_logits": True},
        },
    }
    policy = {"class_name": "DTypePolicy", "config": {"name": "mixed_float16"}}
    wrapped = layer("LSTM", "inner", unroll=False)
    config = sequential(
        layer("Rescaling", "scale"),
        layer("TimeDistributed", "timed", layer=layer("Dense", "each", units=2)),
        layer("Bidirectional", "both", layer=wrapped, dtype=policy),
        layer("GRU", "unrolled", unroll=True),
        layer("Dense", "out", units=7),
        compile_config=compiled,
    )
    found = facts(archive(tmp_path / "model.keras", config))
    assert (found.kind, found.class_name, found.name) == (Kind.KERAS, "Sequential", "net")
    assert (found.optimizer, found.learning_rate) == ("Adam", 0.005)
    assert found.loss == "sparse_categorical_crossentropy"
    assert found.recurrent == ("inner",)
    assert found.preprocessing == ("Rescaling",)
    assert found.dtype_policy == "mixed_float16"
    assert [(i.name, i.shape, i.dtype) for i in found.inputs] == [
        ("pixels", (None, 8, 8, 1), "float32")
    ]
    assert [(o.name, o.shape) for o in found.outputs] == [("out", (None, 7))]
    paths = [(entry.path, entry.wrapped) for entry in found.layers]
    assert ("timed/each", True) in paths
    assert ("timed", False) in paths
    assert found.weights_bytes == 7


def test_facts_of_legacy_files(legacy: Path) -> None:
    branched = facts(legacy / "branched.keras")
    assert [i.name for i in branched.inputs] == ["left", "right"]
    assert [(o.name, o.shape) for o in branched.outputs] == [
        ("first", (None, 2)),
        ("second", (None, 1)),
    ]
    assert ("block/inner", False) in [(entry.path, entry.wrapped) for entry in branched.layers]
    assert branched.recurrent == ("lstm", "gru")
    for name in ("depthwise.h5", "depthwise.keras", "depthwise"):
        found = facts(legacy / name)
        assert found.learning_rate == pytest.approx(0.001), name
        assert found.inputs[0].shape == (None, 8, 8, 3)
        assert found.custom_classes == ()


def test_facts_tell_dynamic_inputs(tmp_path: Path) -> None:
    config = sequential()
    config["config"]["layers"][0]["config"]["batch_shape"] = [None, None, 8, 1]
    found = facts(archive(tmp_path / "model.keras", config))
    assert [i.name for i in found.dynamic_inputs] == ["pixels"]


def test_refuse_text_layers(tmp_path: Path) -> None:
    found = facts(archive(tmp_path / "m.keras", sequential(layer("TextVectorization", "words"))))
    with pytest.raises(ModelError, match="TextVectorization"):
        refuse(found)


@pytest.mark.parametrize(
    "entry",
    [
        layer("Lambda", "code", function={"class_name": "__lambda__", "config": {"code": "4w"}}),
        layer(
            "Dense",
            "code",
            units=2,
            activation={"class_name": "__lambda__", "config": {"code": "4w"}},
        ),
    ],
)
def test_refuse_code_unless_unsafe(tmp_path: Path, entry: dict[str, Any]) -> None:
    found = facts(archive(tmp_path / "m.keras", sequential(entry)))
    assert found.lambda_layers == ("code",)
    with pytest.raises(ModelError, match="code") as caught:
        refuse(found)
    assert "--unsafe" in caught.value.hint
    assert refuse(found, unsafe=True) == ()


def test_what_is_odd_about_a_model_is_told() -> None:
    assert refuse(ModelFacts(Kind.SAVEDMODEL), source="net") == (
        "net is a serving function: it can be converted, not compressed",
    )
    old = ModelFacts(Kind.KERAS2, keras_version="2.9.0", dtype_policy="mixed_float16")
    assert refuse(old, source="net.h5") == (
        "net.h5 was saved by Keras 2.9.0: rebuilt in Keras 3",
        "net.h5 computes in mixed_float16: rebuilt in float32",
    )


def test_refuse_unknown_classes_unless_given(tmp_path: Path) -> None:
    entry = layer("Gate", "gate", module="my.layers") | {"registered_name": "Mine>Gate"}
    found = facts(archive(tmp_path / "m.keras", sequential(entry)))
    assert found.custom_classes == ("Mine>Gate",)
    with pytest.raises(ModelError, match="Mine>Gate") as caught:
        refuse(found, custom=["my.layers:Other"])
    assert "--custom MODULE:Gate" in caught.value.hint
    assert refuse(found, custom=["my.layers:Gate"]) == ()


def test_refuse_custom_functions_unless_given(tmp_path: Path) -> None:
    function = {"module": "builtins", "class_name": "function", "config": "bent"}
    found = facts(
        archive(tmp_path / "m.keras", sequential(layer("Dense", "d", units=2, activation=function)))
    )
    assert found.custom_classes == ("bent",)


def test_warn_double_scaling_when_both_scale() -> None:
    inside = ModelFacts(Kind.KERAS, preprocessing=("Rescaling",))
    assert warn_double_scaling(inside, Preprocess.from_spec("scale=1/255")) == (
        "values are scaled twice: by preprocessing (scale=1/255) and by Rescaling inside the model"
    )
    assert warn_double_scaling(inside, Preprocess()) is None
    assert warn_double_scaling(ModelFacts(Kind.KERAS), Preprocess.from_spec("scale=2")) is None


@pytest.mark.slow
def test_facts_of_shared_models_are_plain(shared: Path) -> None:
    for path in sorted((shared / "models").glob("*.keras")):
        found = facts(path)
        assert refuse(found) == ()
        assert found.kind is Kind.KERAS
        assert found.inputs[0].shape is not None
        assert found.outputs[0].shape is not None
        assert bool(found.recurrent) == any(n in path.name for n in ("lstm", "gru")), path.name


def test_facts_name_a_class_of_a_script_that_was_never_registered(tmp_path: Path) -> None:
    config = {
        "class_name": "Sequential",
        "module": "keras",
        "config": {
            "name": "net",
            "layers": [
                {"module": None, "class_name": "My", "registered_name": "My", "config": {}},
                {"module": "keras.layers", "class_name": "ReLU", "registered_name": None}
                | {"config": {"name": "relu"}},
            ],
        },
    }
    path = tmp_path / "mine.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("metadata.json", json.dumps({"keras_version": "3.15.1"}))
        archive.writestr("model.weights.h5", b"")
    assert facts(path).custom_classes == ("My",)
    with pytest.raises(ModelError, match="classes that are not Keras's: My"):
        refuse(facts(path))


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ((None, None, None, 3), "1,224,224,3"),
        ((None, None), "1,128"),
        ((None, None, 40), "1,128,40"),
        ((2, None, 8, 3), "2,224,8,3"),
    ],
)
def test_open_sizes_are_told_by_an_example_of_their_kind(
    shape: tuple[int | None, ...], told: str
) -> None:
    assert TensorFacts("x", shape).fixed_example == told
