"""OpenVINO: the real one runs real files; without it, what is said."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paths import ROOT
from tiny_models import converted

import edgeshrink as package
from edgeshrink.devices import BenchPlan, DeviceProfile, Failure, Measurement, find_profile
from edgeshrink.errors import CommandFailed, UsageError
from edgeshrink.plugins import installed
from edgeshrink.selftest.checks import run
from edgeshrink.tflite import too_steep
from edgeshrink_openvino import openvino
from edgeshrink_openvino.backend import explain
from edgeshrink_targets.local import Local

SHORT = BenchPlan("short", runs=5, seconds=0.02, warmup_seconds=0.0)
real = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason=f"needs {openvino.PACKAGE.install}"
)


def profile(name: str = "openvino", **changes: Any) -> DeviceProfile:
    return replace(find_profile(name, [ROOT / "device_profiles"]), **changes)


def model(name: str) -> Path:
    return converted() / f"{name}.tflite"


def opened(target: Local, **changes: Any) -> Any:
    return installed().runtime("openvino").open(target, target.folder(), profile(**changes))


@pytest.fixture
def target():
    with Local.connect("", None) as target:
        yield target


@pytest.fixture
def session(target: Local):
    with opened(target) as session:
        yield session


def samples(folder: Path) -> dict[str, Path]:
    """Return inputs for all tiny models, by the names that they have in their files."""
    random = np.random.default_rng(0)
    shapes = {"image": (40, 8, 8, 1), "left": (40, 4), "right": (40, 3)}
    for name, shape in shapes.items():
        np.save(folder / f"{name}.npy", random.random(shape, dtype=np.float32))
    return {name: folder / f"{name}.npy" for name in shapes}


# ---- without it


def test_without_openvino_the_command_that_installs_it_is_told(
    target: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(openvino.PACKAGE), "version", lambda self: "")
    with pytest.raises(UsageError, match="needs OpenVINO, which is not installed") as caught:
        opened(target)
    assert caught.value.hint.startswith("pip install ")


def test_a_python_without_it_is_told_with_the_command_for_there(
    target: Local, tmp_path: Path
) -> None:
    argv = [sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "empty")]
    subprocess.run(argv, check=True, timeout=60)
    program = tmp_path / "python"
    program.write_text(f'#!/bin/sh\nunset PYTHONPATH\nexec {tmp_path}/empty/bin/python "$@"\n')
    program.chmod(0o755)
    with pytest.raises(CommandFailed, match=r"no runtime works there: tried openvino \(No") as told:
        opened(target, python=str(program))
    assert told.value.hint.endswith("-m pip install openvino")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            "Check 'tensor->name() != nullptr' failed at decoder_flatbuffer.cpp:22:\n",
            "the file's tensors have no names, which OpenVINO needs: --strip-names short adds some",
        ),
        (
            "from transpose.cpp:128:\nTranspose for i4/u4 dtype is supported only for ndims <= 3\n",
            "OpenVINO does not read convolutions with weights of 4 bits",
        ),
        (
            "This tensor should be either input, constant or should be already produced by "
            "previous operators: tfl.pseudo_qconst. Error is encountered while working with "
            "operation of type UNIDIRECTIONAL_SEQUENCE_LSTM and name 1.",
            "OpenVINO does not read the operator UNIDIRECTIONAL_SEQUENCE_LSTM as it is in the file",
        ),
        (
            "Exception from core.cpp:84:\nsome  reason\n\n",
            "OpenVINO refuses the model: some reason",
        ),
        ("", "OpenVINO refuses the model: it does not say why"),
    ],
)
def test_what_openvino_refuses_is_a_sentence(words: str, said: str) -> None:
    assert explain(words) == said


def test_a_precision_that_it_does_not_have_comes_with_those_that_it_has(target: Local) -> None:
    with pytest.raises(UsageError, match="precision must be one of f32, bf16, f16; received 'f8'"):
        opened(target, options={"precision": "f8"})


# ---- the real one


@real
@pytest.mark.parametrize("name", ["float", "float16", "dynamic", "int8", "int8_float_io", "pair"])
def test_outputs_are_nearly_those_of_litert(session: Any, tmp_path: Path, name: str) -> None:
    inputs = {t: p for t, p in samples(tmp_path).items() if (t == "image") == (name != "pair")}
    found = session.predict(model(name), inputs)
    with Local.connect("", None) as here:
        host = DeviceProfile("here", options={"kernels": "reference"})
        with installed().runtime("litert").open(here, here.folder(), host) as litert:
            wanted = litert.predict(model(name), inputs)
    assert found.keys() == wanted.keys()
    # integers are rounded step by step, and dynamic range rounds what OpenVINO leaves in floats
    most = {"float": 1e-5, "float16": 1e-5, "pair": 1e-5}.get(name, 0.05)
    for output, values in found.items():
        assert values.dtype == np.float32
        assert np.abs(values - wanted[output]).max() <= most * np.ptp(wanted[output])


@real
def test_times_come_with_the_precision_and_by_the_same_rules(session: Any) -> None:
    names = ("float", "int8")
    found = session.time([model(name) for name in names], replace(SHORT, profile=True, threads=2))
    assert [type(one) for one in found] == [Measurement, Measurement]
    for one in found:
        assert one.valid or one.disturbed
        assert (one.kernels, one.threads) == ("OpenVINO's in f32", 2)
        assert one.device.runtime == "OpenVINO"
        assert one.device.runtime_version == openvino.PACKAGE.version()
        assert not one.device.emulated
        assert one.peak_memory_bytes > one.runtime_memory_bytes > 0
        assert one.notes[-1] == "no time by operator: this runtime gives no time by operator"


@real
@pytest.mark.parametrize("precision", ["bf16", "f16"])
def test_another_precision_is_what_is_computed_in_or_a_failure(
    target: Local, precision: str
) -> None:
    """Which of them a processor has is its own matter: OpenVINO takes another without a word."""
    with opened(target, options={"precision": precision}) as session:
        (found,) = session.time([model("float")], SHORT)
    if isinstance(found, Failure):
        assert found.reason.startswith("OpenVINO computes in ")
        assert found.reason.endswith(f"on this CPU, and {precision} was asked for")
    else:
        assert found.kernels == f"OpenVINO's in {precision}"


def renamed(path: Path, names: str, *, steep: bool = False) -> bytes:
    """Return a .tflite whose tensors have short names, or `none`; or that XNNPACK cannot run."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(path.read_bytes(), 0))
    for operator in tree.subgraphs[0].operators if steep else ():
        if tree.operatorCodes[operator.opcodeIndex].builtinCode == 9:  # FULLY_CONNECTED
            tree.subgraphs[0].tensors[operator.outputs[0]].quantization.scale = [1e-9]
    for number, tensor in enumerate(tree.subgraphs[0].tensors):
        tensor.name = None if names == "none" else str(number)
    builder = flatbuffers.Builder(1 << 16)
    builder.Finish(tree.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@real
def test_short_names_are_enough(session: Any, tmp_path: Path) -> None:
    (tmp_path / "short.tflite").write_bytes(renamed(model("float"), "short"))
    inputs = {"image": samples(tmp_path)["image"]}
    (found,) = session.predict(tmp_path / "short.tflite", inputs).values()
    (wanted,) = session.predict(model("float"), inputs).values()
    assert np.array_equal(found, wanted)


@real
def test_a_file_without_names_is_refused_and_the_others_are_timed(
    session: Any, tmp_path: Path
) -> None:
    (tmp_path / "small.tflite").write_bytes(renamed(model("float"), "none"))
    refused, found = session.time([tmp_path / "small.tflite", model("float")], SHORT)
    assert isinstance(found, Measurement)
    assert isinstance(refused, Failure)
    assert refused.reason == (
        "the file's tensors have no names, which OpenVINO needs: --strip-names short adds some"
    )


@real
def test_what_xnnpack_lacks_is_not_told_of_openvino(session: Any, tmp_path: Path) -> None:
    data = renamed(model("int8"), "none", steep=True)
    assert too_steep(data)
    (tmp_path / "steep.tflite").write_bytes(data)
    (refused,) = session.time([tmp_path / "steep.tflite"], SHORT)
    inputs = {"image": samples(tmp_path)["image"]}
    with pytest.raises(CommandFailed, match="have no names, which OpenVINO needs") as caught:
        session.predict(tmp_path / "steep.tflite", inputs)
    assert "XNNPACK" not in f"{refused.reason} {caught.value}"


@real
@pytest.mark.parametrize("accelerator", ["gpu", "npu"])
def test_a_device_that_is_not_there_is_told_with_those_that_are(
    target: Local, accelerator: str
) -> None:
    from openvino import Core

    if accelerator.upper() in " ".join(Core().available_devices):
        pytest.skip(f"there is a {accelerator}")
    said = rf"OpenVINO has no {accelerator.upper()} on this machine; it has .*CPU \("
    with pytest.raises(CommandFailed, match=said):
        opened(target, accelerator=accelerator)


@real
@pytest.mark.heavy
def test_the_selftest_passes() -> None:
    found = {one.name: one for one in run(profile(), installed(), lambda name: None)}
    assert [one.said for one in found.values() if not one.good] == []
    assert found["runtime"].said.startswith(f"OpenVINO {openvino.PACKAGE.version()}")


@real
@pytest.mark.slow
def test_files_that_it_refuses_are_sentences(shared: Path, tmp_path: Path) -> None:
    common: dict[str, Any] = {"strip": False, "rules": "smoke", "max_drop": "none"}
    said = {}
    for name, method, data in (
        ("mlperf_resnet8_cifar10", "int4", "cifar10_40k"),
        ("fsdd_lstm", "int8", "fsdd_logmel"),
    ):
        report = package.compress(
            shared / "models" / f"{name}.keras",
            output=tmp_path / f"{method}.tflite",
            data=str(shared / "data" / f"{data}.npz"),
            device=("openvino",),
            epochs=0,
            **{method: True},
            **common,
        )
        (said[method],) = (one.failure for one in report.ledger.final.on)
    assert said == {
        "int4": "OpenVINO does not read convolutions with weights of 4 bits",
        "int8": "OpenVINO does not read the operator UNIDIRECTIONAL_SEQUENCE_LSTM as it is in the "
        "file",
    }
