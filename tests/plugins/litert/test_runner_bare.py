"""The runner where numpy is missing, and where all is old: the same answers as elsewhere."""

from __future__ import annotations

import dataclasses
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, strategies as some
from hypothesis.extra import numpy as arrays
from tiny_models import batch_mean, converted, flex, recurrent, written

from edgeshrink.devices.measurement import BenchPlan, Failure, Measurement
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import CommandFailed
from edgeshrink_litert.litert import LiteRT
from edgeshrink_litert.runner import numbers
from edgeshrink_litert.runner.bare import places
from edgeshrink_litert.runner.interpreter import to_real, to_stored
from edgeshrink_litert.runner.result import JobError
from edgeshrink_targets.local import Local

SHORT = BenchPlan("short", runs=5, seconds=0.02, warmup_seconds=0.0)
OLD = "EDGESHRINK_TEST_PYTHON38"


def library():
    import ai_edge_litert

    return Path(ai_edge_litert.__file__).with_name("libLiteRt.so")


def python(folder, text, *lines):
    """Return a program that starts another Python."""
    path = folder / "python"
    path.write_text("\n".join(("#!/bin/sh", *lines, f'exec {text} "$@"\n')))
    path.chmod(0o755)
    return str(path)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A Python that has nothing but its standard library."""
    folder = tmp_path_factory.mktemp("empty")
    subprocess.run(
        [sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60
    )
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def bare(empty, tmp_path_factory):
    """A session of a Python without numpy that finds LiteRT's library on its path."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "ai_edge_litert").mkdir()
    shutil.copy(library(), folder / "ai_edge_litert")
    program = python(folder, empty, f"export PYTHONPATH={folder}")
    with Local.connect("", None) as target, opened(target, python=program) as session:
        yield session


@pytest.fixture(scope="module")
def usual():
    with Local.connect("", None) as target, opened(target) as session:
        yield session


def opened(device, **profile):
    return LiteRT().open(device, device.folder(), DeviceProfile("here", **profile))


@pytest.fixture
def array(tmp_path):
    def save(values, name="inputs"):
        np.save(tmp_path / f"{name}.npy", values)
        return tmp_path / f"{name}.npy"

    return save


def images(count=23):
    return np.random.default_rng(0).random((count, 8, 8, 1), dtype=np.float32)


def step(path):
    """Return the quantization step of a model's output, or 0."""
    from edgeshrink.tflite import reader

    (tensor,) = reader.read_model(path.read_bytes()).outputs
    return tensor.scales[0] if tensor.scales else 0.0


def test_facts_name_the_library(bare):
    facts = bare.facts()
    assert (facts.runtime, facts.numpy, facts.runtime_version) == ("LiteRT C library", "", "")
    assert facts.cores == len(os.sched_getaffinity(0))


@pytest.mark.parametrize("name", ["float", "float16", "dynamic", "int8", "int8_float_io"])
def test_outputs_without_numpy_are_those_with_numpy(bare, usual, array, name):
    model, inputs = converted() / f"{name}.tflite", {"image": array(images())}
    found, facts = bare.predict_with_facts(model, inputs)
    expected = usual.predict(model, inputs)
    assert facts["how"] == "one by one"
    assert list(found) == list(expected) == ["output_0"]
    values = found["output_0"]
    assert (values.dtype, values.shape) == (np.float32, (23, 8))
    np.testing.assert_allclose(values, expected["output_0"], rtol=0, atol=max(1e-5, step(model)))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "float64", "float16", "bool"])
def test_stored_numbers_of_any_type_are_taken(bare, usual, array, dtype):
    samples = {"image": array((images() * 3).astype(dtype))}
    for name in ("float", "int8"):
        model = converted() / f"{name}.tflite"
        found, expected = (s.predict(model, samples)["output_0"] for s in (bare, usual))
        np.testing.assert_allclose(found, expected, rtol=0, atol=max(1e-5, step(model)))


def test_two_inputs_go_where_their_names_say(bare, usual, array):
    random = np.random.default_rng(0)
    inputs = {
        "right": array(random.random((9, 3), dtype=np.float32), "r"),
        "left": array(random.random((9, 4), dtype=np.float32), "l"),
    }
    model = converted() / "pair.tflite"
    found, expected = (s.predict(model, inputs)["output_0"] for s in (bare, usual))
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)


def test_models_that_the_library_refuses_are_one_sentence(bare, tmp_path, array):
    for build, sentence in (
        (recurrent, "LiteRT's C library runs no model that keeps state between runs"),
        (flex, "the model needs FlexErf, an operator of TensorFlow itself"),
    ):
        path = tmp_path / f"{build.__name__}.tflite"
        path.write_bytes(written(build))
        shape = (2, 3, 2) if build is recurrent else (2, 2)
        with pytest.raises(CommandFailed, match=f"{path.name} cannot be run: {sentence}"):
            bare.predict(path, {"t0": array(np.zeros(shape, np.float32))})


def test_a_model_without_a_signature_is_run(bare, tmp_path, array):
    path = tmp_path / "mean.tflite"
    path.write_bytes(written(batch_mean))
    (values,) = bare.predict(path, {"t0": array(np.ones((3, 2), np.float32))}).values()
    assert (values == 0).all()


def test_times_are_told_without_numpy(bare):
    plan = BenchPlan("short", runs=5, seconds=0.02, warmup_seconds=0.0, profile=True, threads=2)
    paths = [converted() / f"{name}.tflite" for name in ("float", "int8")]
    results = bare.time(paths, plan)
    assert [type(r) for r in results] == [Measurement, Measurement]
    for result in results:
        assert result.valid
        assert result.load_ms > 0
        assert result.first_ms > 0
        assert result.peak_memory_bytes > result.runtime_memory_bytes > 0


def test_without_numpy_there_are_xnnpacks_kernels_alone(bare):
    device = dataclasses.replace(bare.profile, options={"kernels": "builtin"})
    with LiteRT().open(bare.target, bare.target.folder(), device) as session:
        (refused,) = session.time([converted() / "float.tflite"], SHORT)
    assert isinstance(refused, Failure)
    assert refused.reason == "LiteRT's C library runs only with XNNPACK"


@pytest.mark.parametrize(
    "change", [np.asfortranarray, lambda values: values.astype(">f4")], ids=["columns", "big end"]
)
def test_arrays_that_need_numpy_are_refused_in_a_sentence(bare, array, change):
    samples = array(change(images(3)))
    with pytest.raises(CommandFailed, match="little-endian and in the order of C"):
        bare.predict(converted() / "float.tflite", {"image": samples})


def test_the_library_is_found_where_the_profile_says(empty, array):
    options = {"library": str(library())}
    with (
        Local.connect("", None) as target,
        opened(target, python=str(empty), options=options) as session,
    ):
        assert session.facts().runtime_version == "2.3.0"
        assert session.predict(converted() / "float.tflite", {"x": array(images(2))})


def test_all_that_was_tried_is_told(empty, tmp_path):
    (tmp_path / "__init__.py").write_text('__version__ = "1.4.0"\n')
    shutil.copy(library(), tmp_path)
    missing = "No module named 'numpy'"
    for place, why in (
        ("", "libLiteRt.so (not found)"),
        ("/no/such.so", "libLiteRt.so (/no/such.so is not there)"),
        (str(tmp_path / "libLiteRt.so"), "is of version 1.4.0; 2.3.x is needed"),
    ):
        with Local.connect("", None) as target, pytest.raises(CommandFailed) as caught:
            opened(target, python=str(empty), options={"library": place})
        assert f"tried ai-edge-litert ({missing}); tflite-runtime ({missing})" in str(caught.value)
        assert why in str(caught.value)


def test_a_device_that_was_not_set_up_is_told_the_command(empty, tmp_path):
    class Away(Local):
        name = "away"

        def python(self):
            return (str(empty),)

    with Away() as device, pytest.raises(CommandFailed) as caught:
        opened(device, target="away")
    assert caught.value.hint == "`edgeshrink devices setup here` installs what is needed there"


@pytest.mark.parametrize("name", ["float", "int8"])
def test_python_3_8_with_tflite_runtime(usual, array, name):
    old = os.environ.get(OLD, "")
    if not old:
        pytest.skip(f"{OLD} names no Python 3.8 with tflite-runtime")
    model, inputs = converted() / f"{name}.tflite", {"image": array(images())}
    with Local.connect("", None) as target, opened(target, python=old) as session:
        assert session.facts().python.startswith("3.8.")
        assert session.facts().runtime == "tflite-runtime"
        found, facts = session.predict_with_facts(model, inputs)
        (timed,) = session.time([model], SHORT)
    assert facts["how"].startswith("batches"), facts["note"]
    expected = usual.predict(model, inputs)["output_0"]
    np.testing.assert_allclose(found["output_0"], expected, rtol=0, atol=max(1e-5, step(model)))
    assert isinstance(timed, Measurement)
    assert timed.valid


@pytest.mark.parametrize(
    ("wanted", "names", "found"),
    [
        (["a", "b"], ["b", "a"], [1, 0]),
        (["a", "b"], ["x", "y"], [0, 1]),
        (["", ""], ["", ""], [0, 1]),
        (["a", "b"], ["a", "c"], None),
        (["a", "b"], ["a"], None),
        (["a", "a"], ["a", "a"], None),
    ],
)
def test_tensors_are_found_by_name_or_not_at_all(wanted, names, found):
    described = [{"name": name} for name in wanted]
    if found is None:
        with pytest.raises(JobError, match="otherwise than its file"):
            places(described, names)
    else:
        assert places(described, names) == found


# ---- numbers without numpy

INTEGERS = ["int8", "uint8", "int16", "int32"]


@given(
    values=arrays.arrays(np.float32, 7, elements=some.floats(-1e6, 1e6, width=32)),
    dtype=some.sampled_from(INTEGERS),
    scale=some.floats(2**-10, 4, width=32) | some.just(0.0),
    zero_point=some.integers(-100, 100),
)
def test_quantization_is_numpys_to_the_bit(values, dtype, scale, zero_point):
    detail = {"dtype": np.dtype(dtype), "quantization": (scale, zero_point)}
    tensor = {"dtype": dtype, "scale": scale, "zero_point": zero_point}
    # Where float32 cannot hold the limits of int32, numpy's own clipping overflows.
    if dtype != "int32":
        expected = to_stored(values, detail).tobytes()
        assert numbers.to_stored(
            numbers.unpack(values.tobytes(), "float32"), "float32", tensor
        ) == (expected)
    stored = np.arange(7).astype(dtype)
    assert numbers.to_real(stored.tobytes(), tensor) == to_real(stored, detail).tobytes()


@given(shape=some.lists(some.integers(1, 5), min_size=1, max_size=4))
def test_headers_are_read_by_numpy_and_back(tmp_path_factory, shape):
    path = tmp_path_factory.getbasetemp() / "header.npy"
    path.write_bytes(numbers.header(shape) + bytes(4 * int(np.prod(shape))))
    assert np.load(path).shape == tuple(shape)
    with path.open("rb") as stream:
        assert numbers.read_header(stream) == ("float32", shape)
        assert stream.tell() % 64 == 0


@given(content=some.binary(max_size=200))
def test_headers_that_are_none_are_refused(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "broken.npy"
    length = len(content).to_bytes(2, "little")
    for data in (content, numbers.MAGIC + b"\1\0" + length + content):
        path.write_bytes(data)
        with path.open("rb") as stream, pytest.raises(JobError):
            numbers.read_header(stream)
