"""Files are handed to toolchains, and what these answer is compared with LiteRT's answers."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tiny_models import converted
from typer.testing import CliRunner

from edgeshrink.api import Backend, Package, Reader, UsageError, hookimpl
from edgeshrink.cli.app import app
from edgeshrink.devices import Toolchain
from edgeshrink.engine.measuring import handing
from edgeshrink.engine.measuring.handing import Handed, handed
from edgeshrink.engine.measuring.sessions import host_session
from edgeshrink.errors import ProfileError
from edgeshrink.plugins import Plugins, installed
from edgeshrink.results import Judge, Samples
from edgeshrink.samples import Task
from edgeshrink.tflite import Refusal, Use

COUNT = 12
NAME = "brought by tests"
# A toolchain that is LiteRT itself, but for what it is told to do wrong.
MODULE = """
import os, signal, time

class Runtime:
    name, adapter = "Made up", ""

    def __init__(self, accelerator, settings):
        if settings.get("lacks"):
            raise ImportError("No module named 'made_up'")
        import numpy
        self.numpy, self.version, self.does = numpy.__version__, "1.0", settings["does"]

    def load(self, path, threads, inputs, outputs):
        from ai_edge_litert.interpreter import Interpreter
        if self.does == "refuse":
            raise ValueError("Made up knows no such operator")
        if self.does == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if self.does == "hang":
            time.sleep(60)
        return Loaded(Interpreter(model_path=path), self.does)

class Loaded:
    kernels, load_ns = "its own", 1

    def __init__(self, interpreter, does):
        self.interpreter, self.does = interpreter, does
        self.run, self.reset = interpreter.invoke, interpreter.reset_all_variables
        interpreter.allocate_tensors()

    def write(self, number, data):
        import numpy
        one = self.interpreter.get_input_details()[number]
        values = numpy.frombuffer(data, one["dtype"]).reshape(one["shape"])
        self.interpreter.set_tensor(one["index"], values)

    def read(self, number):
        one = self.interpreter.get_output_details()[number]
        values = self.interpreter.get_tensor(one["index"])
        return (values[..., ::-1] if self.does == "turn round" else values).tobytes()
"""


class Bringing:
    """A plugin that brings readers."""

    def __init__(self, *readers: Reader) -> None:
        self.readers = list(readers)

    @hookimpl
    def edgeshrink_readers(self) -> list[Reader]:
        return self.readers


def bring(plugins: Plugins, *readers: Reader) -> None:
    """Put these readers in the place of those that tests brought before."""
    plugins.unregister(NAME)
    plugins.register(Bringing(*readers), NAME)


@pytest.fixture
def plugins(tmp_path: Path) -> Iterator[Plugins]:
    """All plugins, with a made-up toolchain beside them."""
    found = installed()
    module = tmp_path / "made_up.py"
    module.write_text(MODULE)
    package = Package("ai-edge-litert", "tests", "pip install made-up==1.0")
    backend = Backend(module, package, {"does": "right"}, seconds=30.0)
    bring(found, Reader("made_up", "Made up 1.0", backend=backend))
    yield found
    found.unregister(NAME)


def doing(plugins: Plugins, **changes: Any) -> None:
    reader = plugins.readers["made_up"]
    assert reader.backend is not None
    bring(plugins, replace(reader, backend=replace(reader.backend, **changes)))


def hand(
    plugins: Plugins,
    folder: Path,
    name: str = "float",
    toolchain: str = "made_up",
    kind: str = "classification",
) -> Handed:
    """Hand a file of the tiny model to a toolchain, with random inputs."""
    path = converted() / f"{name}.tflite"
    inputs = {"image": folder / "image.npy"}
    np.save(inputs["image"], np.random.default_rng(0).random((COUNT, 8, 8, 1), np.float32))
    samples = Samples(inputs, {}, "made up", COUNT)
    with host_session(plugins) as session:
        judge = Judge(session, folder / "kept", {}, progress=lambda share, note: None)
        expected = judge.run(path, samples)
        judge.tasks = {one: Task(one, kind, values.shape[1:]) for one, values in expected.items()}
        return handed(path, Toolchain.named(toolchain), plugins, judge, samples, expected)


# ---- where a toolchain is


def test_a_toolchain_is_a_name_or_a_name_with_its_interpreter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    monkeypatch.chdir(tmp_path)
    assert Toolchain.named("tvm") == Toolchain("tvm")
    # not what it is a link to: an environment is known by the link
    assert Toolchain.named("tvm=./python") == Toolchain("tvm", str(link))
    for wrong in ("tvm=", "tvm=./missing", f"tvm={tmp_path}"):
        with pytest.raises(UsageError, match=r"the toolchain tvm is to run in .* is no program"):
            Toolchain.named(wrong)


def test_a_profile_names_no_interpreter(tmp_path: Path) -> None:
    """A profile from outside must not name programs."""
    profile = tmp_path / "mine.toml"
    profile.write_text(f'toolchains = ["tvm={sys.executable}"]\n')
    with pytest.raises(ProfileError, match="names a reader that no plugin has"):
        handing.readers_of(
            handing.find_profile(str(profile), installed().profile_folders), installed()
        )


# ---- what comes of it


@pytest.mark.heavy
def test_labels_and_numbers_of_a_toolchain_are_compared(plugins: Plugins, tmp_path: Path) -> None:
    for name in ("float", "int8"):
        said = hand(plugins, tmp_path, name)
        note = f"handed to Made up 1.0: 100 % of its labels for {COUNT} samples are LiteRT's"
        assert (said.notes, said.failed) == ((note,), "")
    said = hand(plugins, tmp_path, kind="regression")
    assert said.notes == (
        f"handed to Made up 1.0: on {COUNT} samples its outputs are 0 % of their range from "
        "LiteRT's",
    )


@pytest.mark.heavy
@pytest.mark.parametrize(
    ("does", "said"),
    [
        ("turn round", "its outputs differ from this machine's by "),
        ("refuse", "Made up knows no such operator"),
        ("crash", "the runner was killed by SIGSEGV: the runtime crashed on this model"),
    ],
)
def test_a_file_that_a_toolchain_does_not_take_is_told(
    plugins: Plugins, tmp_path: Path, does: str, said: str
) -> None:
    doing(plugins, settings={"does": does})
    found = hand(plugins, tmp_path)
    assert found.notes == ()
    assert found.failed.startswith("handed to Made up 1.0: ")
    assert said in found.failed


@pytest.mark.heavy
def test_a_toolchain_that_hangs_is_stopped(plugins: Plugins, tmp_path: Path) -> None:
    doing(plugins, settings={"does": "hang"}, seconds=20.0)
    assert "gave no answer in 20 s and was stopped" in hand(plugins, tmp_path).failed


def test_what_is_not_installed_is_told_with_what_installs_it(
    plugins: Plugins, tmp_path: Path
) -> None:
    missing = Package("made-up", "tests", "pip install made-up==1.0")
    doing(plugins, package=missing)
    (note,) = hand(plugins, tmp_path).notes
    assert note == (
        "not handed to Made up 1.0: it needs made-up, which is not installed beside edgeshrink; "
        "pip install made-up==1.0, in an environment of its own, and --toolchain made_up=PYTHON, "
        "its interpreter"
    )
    # in the interpreter that is named, it says itself that it is not there
    doing(plugins, settings={"lacks": "it"})
    (note,) = hand(plugins, tmp_path, toolchain=f"made_up={sys.executable}").notes
    assert note.startswith("not handed to Made up 1.0: ")
    assert "No module named 'made_up'" in note


def test_what_nothing_runs_is_told(plugins: Plugins, tmp_path: Path) -> None:
    if "nncase" not in plugins.readers:
        pytest.skip("the plugin toolchains is not installed")
    (note,) = hand(plugins, tmp_path, toolchain="nncase").notes
    assert note == (
        "not handed to nncase 2.11.0: nothing runs it from here; give it the file yourself"
    )


# ---- the commands


@pytest.mark.heavy
def test_compress_hands_its_result_on(
    plugins: Plugins,
    digits: Path,
    digits_model: Path,
    tmp_path: Path,
) -> None:
    asked = ["compress", digits_model, "--data", digits, "--rules", "smoke", "--force", "--json"]
    asked += ["-o", tmp_path / "out.tflite", "--toolchain", f"made_up={sys.executable}"]
    done = CliRunner().invoke(app, [str(one) for one in asked])
    assert done.exit_code == 0, done.output
    assert "handed to Made up 1.0: 100 % of its labels for " in done.output
    doing(plugins, settings={"does": "turn round"})
    done = CliRunner().invoke(app, [str(one) for one in asked])
    assert done.exit_code == 4, done.output
    assert "handed to Made up 1.0: its outputs differ from this machine's by " in done.output
    assert (tmp_path / "out.tflite").is_file()


@pytest.mark.heavy
def test_inspect_tries_what_it_is_told_the_interpreter_of(
    plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(
        plugins.__dict__, "readers", {"made_up": plugins.readers["made_up"]}
    )  # the others would be run too
    asked = ["inspect", str(converted() / "int8.tflite")]
    named = ["--toolchain", f"made_up={sys.executable}"]
    done = CliRunner().invoke(app, [*asked, "--try", *named])
    assert "tried  Made up 1.0 (Made up 1.0): takes it" in done.output
    doing(plugins, settings={"does": "turn round"})
    assert "its outputs differ from" in CliRunner().invoke(app, [*asked, "--try", *named]).output
    done = CliRunner().invoke(app, [*asked, *named])
    assert isinstance(done.exception, UsageError)
    assert "add --try" in done.exception.hint


# ---- the plan


def dry(flags: list[str], data: Path, model: Path, folder: Path) -> Any:
    asked = ["compress", model, "-o", folder / "out.tflite", "--dry-run", *flags]
    return CliRunner().invoke(app, [*map(str, asked), "--data", str(data)])


def test_a_precision_that_a_toolchain_refuses_is_told_with_the_one_that_it_reads(
    digits: Path, digits_model: Path, tmp_path: Path, plugins: Plugins
) -> None:
    if "mnn" not in plugins.readers:
        pytest.skip("the plugin toolchains is not installed")
    for name in ("mnn", "nncase"):
        done = dry(["--int8", "--toolchain", name], digits, digits_model, tmp_path)
        assert isinstance(done.exception, UsageError)
        assert done.exception.hint == "--float in place of int8, or another --device"


def test_without_a_precision_one_is_chosen_that_is_read(
    digits: Path,
    digits_model: Path,
    tmp_path: Path,
    plugins: Plugins,
) -> None:
    whole = Reader("whole", "Whole 1.0", (Refusal("floats", data=("float32",)),))
    assert whole.problems([Use("CONV_2D", data="float32")])
    bring(plugins, whole)
    done = dry(["--toolchain", "whole"], digits, digits_model, tmp_path)
    assert done.exit_code == 0, done.output
    assert "no precision was asked for: int8 is read by whole" in done.stderr
    assert "1. int8" in done.output
    done = dry(["--float", "--toolchain", "whole"], digits, digits_model, tmp_path)
    assert isinstance(done.exception, UsageError)  # what is asked for is not changed
    assert done.exception.hint.startswith("--int8 or --int16x8 in place of float, or")
    if "nncase" in plugins.readers:
        done = dry(["--prune", "0.5", "--toolchain", "nncase"], digits, digits_model, tmp_path)
        assert "2. float" in done.output


def test_a_model_that_stays_a_keras_model_goes_through_no_toolchain(
    digits: Path, digits_model: Path, tmp_path: Path, plugins: Plugins
) -> None:
    flags = ["--prune", "0.5", "--toolchain", "made_up", "-o", str(tmp_path / "out.keras")]
    done = dry(flags, digits, digits_model, tmp_path)
    assert isinstance(done.exception, UsageError)
    assert "--toolchain made_up is for .tflite files" in str(done.exception)


# ---- the toolchains themselves


def named(toolchain: str) -> str:
    """Return the toolchain with the interpreter that a variable of the environment names."""
    variable = f"EDGESHRINK_{toolchain.upper()}"
    if toolchain not in installed().readers:
        pytest.skip("the plugin toolchains is not installed")
    if variable not in os.environ:
        pytest.skip(f"{variable} names no interpreter that has it")
    return f"{toolchain}={os.environ[variable]}"


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ["float", "int8_float_io"])
@pytest.mark.parametrize("toolchain", ["openvino", "rknn", "mnn", "tvm", "onnx"])
def test_a_toolchain_answers_as_its_table_says(toolchain: str, name: str, tmp_path: Path) -> None:
    said = hand(installed(), tmp_path, name, named(toolchain))
    if (toolchain, name) == ("mnn", "int8_float_io"):
        assert "its outputs differ from this machine's" in said.failed
        return
    assert said.failed == ""
    assert said.notes[0].startswith("handed to ")
    assert said.notes[0].endswith(f"% of its labels for {COUNT} samples are LiteRT's")
