"""Which programs read a file: by their tables, in plans, in `inspect`, and by running them."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path

import pytest
from tiny_models import converted, few_values
from typer.testing import CliRunner

from edgeshrink.api import DeviceProfile, Kind, ModelFacts, Plan, Reader, UsageError
from edgeshrink.cli.app import app
from edgeshrink.engine import chosen_devices, readings
from edgeshrink.errors import ProfileError
from edgeshrink.plugins import installed
from edgeshrink.tflite import Refusal, Use, read_model, strip
from edgeshrink_quantize import Strip
from edgeshrink_quantize.fewbits.encoding import narrowed

OURS = {"litert", "tflite-runtime", "tflm", "ethosu"}
# What a runtime of other kernels may do: one class for everything, and no error.
WRONG = """
import ai_edge_litert.interpreter as module
plain = module.Interpreter.get_tensor
module.Interpreter.get_tensor = lambda self, index: plain(self, index) * 0 + 1
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with the user's device profiles in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    installed.cache_clear()  # it remembers where the user's profiles are
    (tmp_path / "edgeshrink" / "device_profiles").mkdir(parents=True)
    return tmp_path


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(one) for one in arguments])
    assert done.exit_code == 0, done.output
    return done.output


def reading(data: bytes) -> set[str]:
    """Return which of the programs read a file, by their tables."""
    told = readings(read_model(data), installed())
    return {one.reader.name for one in told if not one.refuses} & OURS


# ---- the tables


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("float", {"litert", "tflite-runtime", "tflm"}),
        ("float16", {"litert", "tflite-runtime"}),
        ("dynamic", {"litert"}),
        ("int8", OURS),
    ],
)
def test_what_reads_a_file_of_each_precision(name: str, expected: set[str]) -> None:
    assert reading((converted() / f"{name}.tflite").read_bytes()) == expected


def test_a_file_of_which_something_is_not_left_is_read() -> None:
    left = Refusal("floats", data=("float32",))
    reader = Reader("npu", "An NPU 1.0", leaves=(left,))
    assert reader.problems([Use("ADD", data="float32"), Use("ADD", data="int8")]) == []
    assert reader.problems([Use("ADD", data="float32")]) == [
        "a file that it leaves whole: floats (ADD)"
    ]
    assert reader.problems([]) == []


def test_a_profile_names_its_reader(here: Path) -> None:
    profiles = here / "edgeshrink" / "device_profiles"
    (profiles / "old.toml").write_text('reader = "tflite-runtime"\n')
    (profiles / "wrong.toml").write_text('reader = "tflite_runtime"\n')
    dense = Use("FULLY_CONNECTED", 12)
    for name, refused in (
        ("old", ["on old, tflite-runtime 2.14 refuses versions above 11 (FULLY_CONNECTED)"]),
        ("desktop", []),
    ):
        (device,) = chosen_devices((name,), "", {}, installed())
        assert device.refused([dense]) == refused
    with pytest.raises(ProfileError, match="a reader that no plugin has: 'tflite_runtime'") as told:
        chosen_devices(("wrong",), "", {}, installed())
    assert "tflite-runtime" in told.value.hint


# ---- the plan


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--int4"], "scale for each output (FULLY_CONNECTED); int4 makes them"),
        (
            ["--int4", "--int4-activations", "float32"],
            "refuses versions above 11 (FULLY_CONNECTED); int4 makes them",
        ),
        (["--ternary"], "refuses versions above 11 (FULLY_CONNECTED); ternary makes them"),
        (["--mixed-drop", "1"], "refuses weights of 4 bits and a scale for each output"),
        (["--dynamic", "--dynamic-granularity", "channel"], "refuses versions above 11"),
    ],
)
def test_a_dry_run_refuses_what_the_runtime_does_not_read(
    digits: Path, digits_model: Path, tmp_path: Path, flags: list[str], said: str
) -> None:
    asked = ["compress", digits_model, *flags, "--data", digits, "--device", "rpi-32bit"]
    asked += ["-o", tmp_path / "out.tflite", "--dry-run"]
    done = CliRunner().invoke(app, [str(one) for one in asked])
    assert isinstance(done.exception, UsageError), done.output
    assert str(done.exception).startswith("on rpi-32bit, tflite-runtime 2.14 refuses ")
    assert said in str(done.exception)


def test_what_a_reader_was_never_given_is_told_and_not_promised(tmp_path: Path) -> None:
    chip = Reader("chip", "Chip 1.0", untried=(Refusal("floats", data=("float32",)),))
    device = DeviceProfile("board", reads=(chip,))
    used = [Use("CONV_2D", data="float32")]
    assert device.refused(used) == []
    assert device.untried(used) == ["Chip 1.0 was not tried with floats (CONV_2D)"]
    assert device.untried([Use("CONV_2D", data="int8")]) == []


def test_a_toolchain_is_held_beside_the_device(
    digits: Path, digits_model: Path, tmp_path: Path
) -> None:
    """Needs the plugin's entry point, as an installation has it."""
    if "mnn" not in installed().readers:
        pytest.skip("the plugin toolchains is not installed")
    asked = ["compress", digits_model, "--data", digits, "-o", tmp_path / "out.tflite"]
    asked += ["--dry-run", "--toolchain", "tvm", "--toolchain"]
    for flags, said in (
        (["mnn", "--int8"], "on desktop, MNN 3.6.1 refuses arithmetic in integers"),
        (
            ["openvino", "--int4"],
            "OpenVINO 2026.4.1 refuses weights of 4 bits (CONV_2D",
        ),
        (["openvino", "--strip-names", "none"], "OpenVINO 2026.4.1 refuses tensors without names"),
        (["opencino"], "no toolchain 'opencino'"),
    ):
        done = CliRunner().invoke(app, [str(one) for one in (*asked, *flags)])
        assert isinstance(done.exception, UsageError), done.output
        assert said in str(done.exception)
    assert "opencino" in str(done.exception)
    assert "openvino" in done.exception.hint
    assert "was not tried with weights of 16 bits" in run(*asked, "rknn", "--fp16")


def test_no_names_are_refused_for_a_device_that_needs_them() -> None:
    needs = Reader("needs", "Needs names 1.0", (Refusal("tensors without names", named=False),))
    plan = Plan(ModelFacts(Kind.KERAS), (), (), None, DeviceProfile("chip", reads=(needs,)))
    with pytest.raises(UsageError, match=r"on chip, Needs names 1.0 refuses tensors without names"):
        list(Strip.of({"names": "none"}).check(plan))
    assert list(Strip.of({}).check(plan)) == []


# ---- inspect


def test_inspect_says_what_reads_a_file_and_why_the_rest_does_not(tmp_path: Path) -> None:
    file = converted() / "dynamic.tflite"
    said = " ".join(run("inspect", file).split())
    assert "read by LiteRT 2.3" in said
    assert "refused by tflite-runtime 2.14: versions above 11 (FULLY_CONNECTED)" in said
    assert "tried" not in said
    found = {one["name"]: one for one in json.loads(run("inspect", file, "--json"))["readers"]}
    assert set(found) >= OURS
    assert found["litert"]["reads"]
    assert found["tflite-runtime"]["refuses"][0] == "versions above 11 (FULLY_CONNECTED)"
    assert (found["litert"]["runs"], found["litert"]["tried"]) == (None, "")


def tried(file: Path) -> dict[str, dict[str, object]]:
    found = json.loads(run("inspect", file, "--try", "--json"))["readers"]
    return {one["name"]: one for one in found if one["name"] in OURS}


@pytest.mark.heavy
def test_inspect_runs_the_programs_that_are_installed(here: Path) -> None:
    found = tried(converted() / "int8.tflite")
    assert found["litert"]["runs"]
    assert found["litert"]["how"].endswith("as on desktop")
    assert found["tflite-runtime"]["runs"] is None
    assert found["tflite-runtime"]["how"] == "no device profile runs it on this machine"


@pytest.mark.heavy
@pytest.mark.skipif(not importlib.util.find_spec("ethosu"), reason="needs ethos-u-vela")
def test_a_compiler_that_dies_is_a_sentence(here: Path) -> None:
    data = narrowed(few_values((converted() / "int8.tflite").read_bytes(), 42))  # 126 is a code
    assert any(t.dtype == "int4" for t in read_model(data).weights)
    (here / "few.tflite").write_bytes(strip(data)[0])
    found = tried(here / "few.tflite")["ethosu"]
    assert not found["reads"]
    assert found["runs"] is False
    assert found["tried"] == "Vela crashed on this model (SIGFPE)"


@pytest.mark.heavy
def test_a_runtime_that_is_not_installed_is_told_with_what_installs_it(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "tflite_micro").mkdir()
    (here / "tflite_micro" / "__init__.py").write_text("raise ImportError(name='tflite_micro')")
    monkeypatch.setenv("PYTHONPATH", str(here))
    found = tried(converted() / "int8.tflite")["tflm"]
    assert found["reads"]
    assert found["runs"] is None
    assert "pip install" in str(found["how"])


@pytest.mark.heavy
def test_a_runtime_that_answers_otherwise_does_not_read_the_file(here: Path) -> None:
    script = here / "python"
    (here / "sitecustomize.py").write_text(WRONG)
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{here}:$PYTHONPATH" exec "{sys.executable}" "$@"\n')
    script.chmod(0o755)
    text = f'reader = "tflite-runtime"\npython = "{script}"\n'
    (here / "edgeshrink" / "device_profiles" / "old.toml").write_text(text)
    found = tried(converted() / "float.tflite")["tflite-runtime"]
    assert found["reads"]
    assert found["runs"] is False
    assert "computes wrongly" in str(found["tried"])
