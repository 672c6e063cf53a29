"""Ethos-U: what Vela tells is read and checked; the real Vela compiles where it is installed."""

from __future__ import annotations

import stat
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from paths import DATA, ROOT
from tiny_models import converted

import edgeshrink as package
from edgeshrink.api import build
from edgeshrink.devices import BenchPlan, DeviceProfile, Failure, Measurement, find_profile
from edgeshrink.engine.measuring.compatibility import problems
from edgeshrink.errors import CommandFailed, DataError, ModelError, ProfileError, UsageError
from edgeshrink.plugins import installed
from edgeshrink.results.ledger import OnDevice
from edgeshrink.selftest.checks import run
from edgeshrink.tflite import read_model
from edgeshrink_ethosu import vela
from edgeshrink_ethosu.compiling import compiled
from edgeshrink_ethosu.failures import ended
from edgeshrink_ethosu.options import Accelerator, Options
from edgeshrink_ethosu.told import Totals, reasons, totals
from edgeshrink_targets.local import Local

PROFILES = ROOT / "device_profiles"
SUMMARY = (DATA / "vela" / "resnet8_u55_128.csv").read_text()
PRINTED = (DATA / "vela" / "resnet8_u55_128.txt").read_text()
U55 = Options("ethos-u55-128", "Ethos_U55_High_End_Embedded", "Shared_Sram")


def profile(name: str = "ethos-u55-128", **changes: Any) -> DeviceProfile:
    return replace(find_profile(name, [PROFILES]), **changes)


def model(name: str) -> Path:
    return converted() / f"{name}.tflite"


def images(folder: Path, count: int = 3) -> Path:
    np.save(folder / "x.npy", np.random.default_rng(0).random((count, 8, 8, 1), dtype=np.float32))
    return folder / "x.npy"


@pytest.fixture
def real() -> None:
    """Skip where Vela is not installed."""
    try:
        vela.command()
    except UsageError as error:
        pytest.skip(f"needs {error.hint}")


@pytest.fixture
def target():
    with Local.connect("", None) as target:
        yield target


def stand_in(folder: Path, monkeypatch: pytest.MonkeyPatch, lines: str) -> None:
    """Put a program in Vela's place, which tells a version and else does what `lines` say."""
    path = folder / "vela"
    path.write_text(f'#!/bin/sh\nif [ "$1" = --version ]; then echo 9.9; exit; fi\n{lines}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(vela, "command", lambda: (str(path),))
    vela.version.cache_clear()


@pytest.fixture(autouse=True)
def _no_version_is_kept():
    vela.version.cache_clear()
    yield
    vela.version.cache_clear()


# ---- what Vela tells


def test_a_summary_is_read() -> None:
    assert totals(SUMMARY) == Totals(
        arithmetic_cycles=185_542,
        cycles=201_795,
        seconds=0.00040359,
        encoded_weights=74_640,
        sram=51_840,
        dram=0,
    )


@pytest.mark.parametrize(
    ("found", "other", "said"),
    [
        ("cycles_total", "cycles_sum", "has nothing as cycles_total"),
        (",201795", ",nan", "has 'nan' as cycles_total"),
        (",201795", ",-1", "has '-1' as cycles_total"),
        (",201795", ",1e99", "has '1e99' as cycles_total"),
        (",201795", ",\x1b[31m", r"has '\[31m' as cycles_total"),
        (",201795\n", "\n", "has '' as cycles_total|has nothing as cycles_total"),
        ("\ndefault,", "\n\n,", "has '' as |nothing as "),
    ],
)
def test_a_damaged_summary_is_refused(found: str, other: str, said: str) -> None:
    damaged = SUMMARY.replace("\r\n", "\n").replace(found, other)
    if found.startswith("\ndefault"):
        damaged = damaged.rpartition("\n,")[0] + "\n" + "," * 60
    with pytest.raises(CommandFailed, match=f"the summary that Vela wrote {said}"):
        totals(damaged)


def test_a_summary_without_its_row_or_with_two_is_refused() -> None:
    head, row = SUMMARY.splitlines()
    with pytest.raises(CommandFailed, match="has 0 rows, not 1"):
        totals(head)
    with pytest.raises(CommandFailed, match="has 2 rows, not 1"):
        totals("\n".join((head, row, row)))


def test_reasons_are_read_without_the_names_of_tensors() -> None:
    assert reasons(PRINTED) == {
        "DEQUANTIZE": "Unsupported opType",
        "QUANTIZE": "Operation has tensor with unsupported DataType Float32",
    }
    assert reasons("") == {}


@pytest.mark.parametrize(
    ("code", "words", "said"),
    [
        (-8, "", "Vela crashed on this model (SIGFPE)"),
        (-9, "", "Vela was killed, as happens when memory runs out (SIGKILL)"),
        (-99, "", "Vela crashed on this model (signal 99)"),
        (1, "", "Vela failed: it said nothing (exit code 1)"),
        (1, "E: 'Section Memory_Mode.X not found in'", "refused: its configuration has no X"),
        (1, "Error: Invalid configuration of a=B", "memory mode does not suit the system: a=B"),
        (1, "RuntimeError: Compilation failed: no", "Vela refused: no"),
        (1, "ModuleNotFoundError: No module named 'x'", "it is not installed whole: No module"),
        (1, "Error: Incorrect argument to CLI option --config=['a']: bad", "Vela refused: bad"),
        (2, "\x1b[31mred", "Vela failed: [31mred (exit code 2)"),
    ],
)
def test_every_end_of_vela_has_a_sentence(code: int, words: str, said: str) -> None:
    assert said in ended(code, words)


# ---- profiles


def ethosu_profiles() -> list[str]:
    return sorted(
        path.stem
        for path in PROFILES.glob("*.toml")
        if find_profile(path.stem, [PROFILES]).runtime == "ethosu"
    )


@pytest.mark.parametrize("name", ethosu_profiles())
def test_profiles_of_npus_are_whole(name: str) -> None:
    device = profile(name)
    options = build(Options, device.options, name)
    assert (device.accelerator, device.compiled, device.target) == ("npu", True, "local")
    assert device.precisions == ("int8", "int16x8")
    assert device.least_bits == 8
    assert device.sources
    assert device.gains("zeros") == device.gains("shared_values") == ("download", "flash")
    skips = options.accelerator.startswith("ethos-u85")
    assert ("ms" in device.gains("patterns")) is skips
    wide = ("ethos-u85-512", "ethos-u85-1024", "ethos-u85-2048")
    assert device.tile == (16 if options.accelerator in wide else 4 if "-32" in name else 8)
    if name.startswith("ethos-"):
        assert options.accelerator == name


def test_there_is_a_profile_for_each_npu() -> None:
    known = {build(Options, profile(n).options, n).accelerator for n in ethosu_profiles()}
    assert known == set(get_args(Accelerator))


def test_a_wrong_accelerator_comes_with_near_matches() -> None:
    with pytest.raises(UsageError, match="accelerator must be one of ethos-u55-32") as caught:
        build(Options, {**profile().options, "accelerator": "ethos-u55-129"}, "[options] of mine")
    assert "ethos-u55-128" in caught.value.hint


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"system": "Ethos_U85_SYS_Flash_High"}, "must begin with Ethos_U55_ in Arm/vela.ini"),
        ({"system": "a b"}, "system must be of letters, digits and _; received 'a b'"),
        ({"memory": "--verbose"}, "memory must be of letters, digits and _; received"),
    ],
)
def test_what_vela_would_take_for_something_else_is_refused(
    changes: dict[str, str], said: str
) -> None:
    with pytest.raises(UsageError, match=said):
        build(Options, {**profile().options, **changes}, "[options] of mine")


def test_the_memories_of_another_configuration_file_are_its_own() -> None:
    given = {**profile().options, "system": "My_Chip", "config": "~/my.ini"}
    assert build(Options, given, "mine").system == "My_Chip"


def test_fewer_bits_than_an_npu_reads_are_refused_before_the_compiler() -> None:
    flat = read_model(model("int8").read_bytes())
    wide = next(t for t in flat.weights if t.dtype == "int8")
    narrow = replace(
        flat, tensors=tuple(replace(t, dtype="int4") if t is wide else t for t in flat.tensors)
    )
    assert list(problems(flat, profile())) == []
    assert list(problems(narrow, profile())) == [
        "the file stores weights in 4 bits, and ethos-u55-128 reads 8 and more"
    ]


def test_a_file_is_not_held_against_memories_that_hold_what_is_compiled_of_it() -> None:
    flat = read_model(model("int8").read_bytes())
    small = profile(storage_bytes=100, memory_bytes=100)
    assert list(problems(flat, small)) == []
    assert len(list(problems(flat, replace(small, compiled=False)))) == 2


# ---- with another program in Vela's place


def test_without_vela_the_command_that_installs_it_is_told(
    target: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(vela.PACKAGE), "version", lambda self: "")
    monkeypatch.setenv("PATH", "/nowhere")
    assert vela.VELA.version() == ""
    with pytest.raises(UsageError, match="which is not installed") as caught:
        installed().runtime("ethosu").open(target, target.folder(), profile())
    assert caught.value.hint.startswith("pip install ")


def test_the_package_beside_edgeshrink_goes_before_a_program(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "vela"
    program.write_text("#!/bin/sh\necho 9.9\n")
    program.chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(type(vela.PACKAGE), "version", lambda self: "5.2.0")
    assert vela.command() == (sys.executable, "-P", "-m", "ethosu.vela")
    assert vela.VELA.version() == "5.2.0"
    monkeypatch.setattr(type(vela.PACKAGE), "version", lambda self: "")
    assert vela.command() == (str(program),)
    assert vela.VELA.version() == "9.9"


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("kill -FPE $$", r"Vela crashed on this model \(SIGFPE\)"),
        ("echo 'RuntimeError: Compilation failed: why' >&2; exit 1", "Vela refused: why"),
        ("exit 0", "Vela ended without an error and without model_vela.tflite"),
        ("echo no > model_vela.tflite", "and without model_summary_Ethos_U55"),
        ("ln -s /etc/passwd model_vela.tflite", "and without model_vela.tflite"),
        (
            "echo no > model_vela.tflite; "
            "head -c 70000 /dev/zero > model_summary_Ethos_U55_High_End_Embedded.csv",
            "Vela wrote more than 65,536 bytes as model_summary",
        ),
        (
            f"echo no > model_vela.tflite; cp {DATA}/vela/resnet8_u55_128.csv "
            "model_summary_Ethos_U55_High_End_Embedded.csv",
            "what Vela wrote cannot be read",
        ),
    ],
)
def test_a_compiler_that_fails_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: str, said: str
) -> None:
    stand_in(tmp_path, monkeypatch, lines)
    with pytest.raises(CommandFailed, match=said):
        compiled(model("int8").read_bytes(), U55)


def test_a_compiler_that_does_not_answer_is_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stand_in(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setattr(vela, "LONGEST_SECONDS", 0.2)
    with pytest.raises(CommandFailed, match=r"gave no answer in 0\.2 s and was stopped"):
        compiled(model("int8").read_bytes(), U55)


def test_a_compiler_that_does_not_start_or_tells_no_version_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vela, "command", lambda: (str(tmp_path / "none"),))
    with pytest.raises(CommandFailed, match="Vela does not start: No such file"):
        vela.version()
    monkeypatch.setattr(vela, "command", lambda: ("true",))
    with pytest.raises(CommandFailed, match="does not tell its version"):
        vela.version()


def test_it_runs_in_an_empty_folder_without_a_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told"
    stand_in(tmp_path, monkeypatch, f'ls > {told}; pwd >> {told}; echo "$@" >> {told}; exit 1')
    with pytest.raises(CommandFailed):
        compiled(model("int8").read_bytes(), U55)
    *files, folder, arguments = told.read_text().splitlines()
    assert files == ["errors.txt", "model.tflite", "printed.txt"]
    assert not Path(folder).exists()
    assert arguments == (
        "--accelerator-config=ethos-u55-128 --config=Arm/vela.ini "
        "--system-config=Ethos_U55_High_End_Embedded --memory-mode=Shared_Sram --output-dir=. "
        "model.tflite"
    )


def test_another_machine_than_this_one_is_refused(target: Local) -> None:
    class Elsewhere(Local):
        here = False

    with pytest.raises(ProfileError, match="compiles on this machine"):
        installed().runtime("ethosu").open(Elsewhere(), target.folder(), profile())


# ---- outputs, by LiteRT's reference kernels


@pytest.fixture
def session(target: Local, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stand_in(tmp_path, monkeypatch, "exit 1")
    with installed().runtime("ethosu").open(target, target.folder(), profile()) as session:
        yield session


def test_outputs_are_those_of_the_reference_kernels(session: Any, tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    path = images(tmp_path)
    (found,) = session.predict(model("int8"), {"image": path}).values()
    kernels = OpResolverType.BUILTIN_REF
    net = Interpreter(str(model("int8")), experimental_op_resolver_type=kernels)
    net.allocate_tensors()
    given, answer = net.get_input_details()[0], net.get_output_details()[0]
    scale, zero = given["quantization"]
    for sample, row in zip(np.load(path), found, strict=True):
        stored = np.clip(np.rint(sample / np.float32(scale)) + zero, -128, 127)
        net.set_tensor(given["index"], stored[None].astype("int8"))
        net.invoke()
        scale_out, zero_out = answer["quantization"]
        real_values = (net.get_tensor(answer["index"])[0].astype("float32") - zero_out) * scale_out
        assert real_values == pytest.approx(row, abs=1e-6)


def test_inputs_that_do_not_fit_are_refused(session: Any, tmp_path: Path) -> None:
    np.save(tmp_path / "y.npy", np.zeros((2, 7, 8, 1), np.float32))
    with pytest.raises(DataError, match=r"shape \(8, 8, 1\); received \(7, 8, 1\)"):
        session.predict(model("int8"), {"image": tmp_path / "y.npy"})
    (tmp_path / "no.tflite").write_text("no model")
    with pytest.raises(ModelError):
        session.predict(tmp_path / "no.tflite", {})


def test_without_room_for_temporary_files_a_model_is_a_failure(
    session: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/dev/full")
    (found,) = session.time([model("int8")], BenchPlan())
    assert found.reason == "temporary files cannot be written: Not a directory"


def test_facts_say_that_nothing_was_run_on_an_npu(session: Any) -> None:
    facts = session.facts()
    assert (facts.runtime, facts.runtime_version) == ("Vela", "9.9")
    assert facts.adapter == "ethos-u55-128, Ethos_U55_High_End_Embedded, Shared_Sram"
    assert facts.emulated == (
        "nothing was run on an NPU: figures are the compiler's, outputs are those of LiteRT's "
        "reference kernels on this machine"
    )


# ---- the real Vela


def compiling(test: Any) -> Any:
    """Mark a test that compiles."""
    return pytest.mark.heavy(pytest.mark.usefixtures("real")(test))


@pytest.fixture
def npu(real: None, target: Local):
    with installed().runtime("ethosu").open(target, target.folder(), profile()) as session:
        yield session


@compiling
def test_an_integer_file_is_estimated_and_never_timed(npu: Any) -> None:
    (found,) = npu.time([model("int8")], BenchPlan())
    assert isinstance(found, Measurement)
    assert found.estimate is not None
    assert found.estimate.by == f"Vela {vela.version()}"
    assert found.estimate.accelerator_operators > 0
    assert found.estimate.cycles >= found.estimate.arithmetic_cycles > 0
    assert found.estimate.milliseconds == pytest.approx(found.estimate.cycles / 500e3)
    assert 0 < found.estimate.weight_bytes < found.estimate.stored_bytes
    told = found.as_dict()
    assert told["median_ms"] is None
    assert told["estimate"]["cycles"] == found.estimate.cycles
    assert OnDevice.of(found).latency is None
    assert OnDevice.of(found).estimate == found.estimate
    assert Measurement.from_dict({**told, "samples_ns": found.samples_ns}) is not None


@compiling
def test_what_stays_on_the_processor_is_told_with_the_reason(npu: Any) -> None:
    (found,) = npu.time([model("int8_float_io")], BenchPlan())
    assert found.estimate.processor_operators == 2
    (said,) = found.notes
    assert said.startswith("the estimate leaves out what stays on the processor: 2 of ")
    assert "DEQUANTIZE (Unsupported opType)" in said
    assert "QUANTIZE (Operation has tensor with unsupported DataType Float32)" in said


@compiling
@pytest.mark.parametrize("name", ["float", "dynamic"])
def test_a_file_with_nothing_on_the_npu_is_a_failure(npu: Any, name: str) -> None:
    (found,) = npu.time([model(name)], BenchPlan())
    assert isinstance(found, Failure)
    assert not found.lost
    assert "nothing of the file runs on the NPU: Vela leaves all " in found.reason
    assert "CONV_2D (Operation has tensor with unsupported DataType Float32)" in found.reason


@compiling
def test_a_file_that_does_not_fit_is_a_failure_with_both_numbers(target: Local) -> None:
    small = profile(storage_bytes=100, memory_bytes=10)
    with installed().runtime("ethosu").open(target, target.folder(), small) as session:
        (found,) = session.time([model("int8")], BenchPlan())
    assert isinstance(found, Failure)
    assert "it does not fit ethos-u55-128: the compiled file takes " in found.reason
    assert "and there are 100 of flash; its work takes " in found.reason
    assert "and there are 10 of SRAM" in found.reason


@compiling
def test_a_name_that_its_configuration_does_not_have_is_told() -> None:
    with pytest.raises(CommandFailed, match="its configuration has no Nowhere"):
        compiled(model("int8").read_bytes(), replace(U55, memory="Nowhere"))


@compiling
def test_a_file_that_is_compiled_already_is_told(tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(model("int8").read_bytes())
    vela.run(tmp_path, "--output-dir=.", "model.tflite")
    with pytest.raises(CommandFailed, match="compiled for an Ethos-U already"):
        compiled((tmp_path / "model_vela.tflite").read_bytes(), U55)


@compiling
@pytest.mark.parametrize("name", ethosu_profiles())
def test_every_profile_compiles(name: str) -> None:
    options = build(Options, profile(name).options, name)
    assert compiled(model("int8").read_bytes(), options).estimate.cycles > 0


@compiling
def test_the_selftest_tries_what_the_npu_has_kernels_for() -> None:
    found = {one.name: one for one in run(profile(), installed(), lambda name: None)}
    assert [one.said for one in found.values() if not one.good] == []
    assert "float model" not in found
    assert found["int8 timing"].said.startswith(f"Vela {vela.version()} estimates ")


@pytest.mark.slow
@pytest.mark.usefixtures("real")
def test_two_zeros_in_four_weights_are_a_third_of_the_cycles_on_a_u85(
    shared: Path, tmp_path: Path
) -> None:
    """ResNet-8, pruned without training: what is computed does not depend on its score."""
    found = {}
    for name, options in (("dense", {}), ("npu", {"prune": 0.5, "prune_for": "npu"})):
        report = package.compress(
            shared / "models" / "mlperf_resnet8_cifar10.keras",
            output=tmp_path / f"{name}.tflite",
            run=tmp_path / name,
            data=str(shared / "data" / "cifar10_40k.npz"),
            device=("ethos-u85-256",),
            rules="smoke",
            int8=True,
            int8_io="int8",
            epochs=0,
            max_drop="none",
            **options,
        )
        found[name] = report.ledger.final.on[0].estimate
    assert found["dense"].processor_operators == found["npu"].processor_operators == 0
    assert found["npu"].cycles < 0.7 * found["dense"].cycles
    assert found["npu"].arithmetic_cycles < 0.7 * found["dense"].arithmetic_cycles
    assert found["npu"].weight_bytes < 0.7 * found["dense"].weight_bytes
