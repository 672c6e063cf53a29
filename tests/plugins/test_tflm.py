"""TensorFlow Lite Micro: its real interpreter, in processes of its own."""

from __future__ import annotations

import re
import stat
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from tiny_models import converted, flex, recurrent, written

from edgeshrink.devices.measurement import BenchPlan, Failure, Measurement
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import CommandFailed, DataError, ModelError, UsageError
from edgeshrink.tflite import read_model
from edgeshrink_targets.local import Local
from edgeshrink_tflm.arena import arena_uses, told
from edgeshrink_tflm.failures import ended, explain
from edgeshrink_tflm.tflm import TFLM

pytest.importorskip("tflite_micro", reason='needs pip install "edgeshrink[micro]"')

ROOMY = {"memory_bytes": 262_144, "storage_bytes": 1_048_576}


@pytest.fixture(scope="module")
def target():
    with Local.connect("", None) as target:
        yield target


@pytest.fixture(scope="module")
def session(target):
    with opened(target, **ROOMY) as session:
        yield session


def opened(target, **profile):
    return TFLM().open(target, target.folder(), DeviceProfile("board", runtime="tflm", **profile))


def model(name):
    return converted() / f"{name}.tflite"


def made(folder, build):
    path = folder / f"{build.__name__}.tflite"
    path.write_bytes(written(build))
    return path


def saved(folder, name, values):
    np.save(folder / f"{name}.npy", values)
    return folder / f"{name}.npy"


def images(count):
    return np.random.default_rng(0).random((count, 8, 8, 1), dtype=np.float32)


# ---- facts and opening


def test_facts_say_that_a_microcontroller_is_only_stood_for(session):
    facts = session.facts()
    assert (facts.name, facts.runtime) == ("board", "tflite-micro")
    assert facts.runtime_version
    assert "stands for the microcontroller" in facts.emulated


def script(folder, text):
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_missing_package_is_told_with_what_installs_it(target, tmp_path):
    bare = script(tmp_path, f'exec {sys.executable} -S "$@"')
    with pytest.raises(UsageError, match="not installed: No module named") as caught:
        opened(target, python=bare)
    assert caught.value.hint == 'pip install "edgeshrink[micro]"'


def test_a_missing_python_is_told(target):
    with pytest.raises(CommandFailed, match="exit code 127"):
        opened(target, python="/no/such/python")


def test_nothing_is_left_in_the_folder(target, tmp_path):
    session = opened(target)
    session.time([model("int8"), model("dynamic")], BenchPlan())
    session.predict(model("int8"), {"image": saved(tmp_path, "x", images(3))})
    session.close()
    assert list(Path(session.workdir).iterdir()) == []


# ---- arena and fit


def loads(path, arena):
    """Ask the package itself, in a process of its own."""
    code = (
        "import sys\n"
        "from tflite_micro import runtime\n"
        "runtime.Interpreter.from_file(sys.argv[1], arena_size=int(sys.argv[2])).invoke()"
    )
    argv = [sys.executable, "-c", code, str(path), str(arena)]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize("name", ["float", "int8", "pair"])
def test_the_arena_is_the_smallest_that_the_package_loads_with(session, name):
    (found,) = session.time([model(name)], BenchPlan())
    assert isinstance(found, Measurement)
    assert found.arena_bytes % 16 == 0
    assert loads(model(name), found.arena_bytes)
    assert not loads(model(name), found.arena_bytes - 16)


def test_a_model_that_fits_says_of_how_much(session):
    (found,) = session.time([model("int8")], BenchPlan())
    size = model("int8").stat().st_size
    assert f"{found.arena_bytes:,} of 262,144 bytes of RAM" in found.notes[0]
    assert f"{size:,} of 1,048,576 bytes of flash" in found.notes[0]
    assert "pointers take 8 bytes here" in found.notes[2]
    assert 1 <= len(found.samples_ns) <= 5
    told = found.as_dict()
    assert told["median_ms"] is None  # an emulated time is no time
    assert told["arena_bytes"] == found.arena_bytes


def test_a_model_that_does_not_fit_is_a_failure_with_both_numbers(target):
    size = model("int8").stat().st_size
    with opened(target, memory_bytes=2048, storage_bytes=4096) as session:
        (found,) = session.time([model("int8")], BenchPlan())
    assert isinstance(found, Failure)
    assert f"the file takes {size:,} bytes, and there are 4,096 of flash" in found.reason
    assert "bytes of arena, and there are 2,048 of RAM" in found.reason
    assert not found.lost


def test_the_arena_is_told_operator_by_operator(session):
    (found,) = session.time([model("float")], BenchPlan())
    assert [use.operator for use in found.arena][:2] == ["CONV_2D", "DEPTHWISE_CONV_2D"]
    assert all(use.bytes == sum(use.tensors.values()) for use in found.arena)
    before, peak = found.arena[:2]
    assert sorted(before.tensors.values()) == [8 * 8 * 4, 6 * 6 * 4 * 4]
    assert sorted(peak.tensors.values()) == [6 * 6 * 4 * 4, 6 * 6 * 4 * 4]
    told = found.notes[1]
    assert "of the arena 1,152 bytes are shared by tensors and" in told
    assert "most is needed while operator 1 (DEPTHWISE_CONV_2D) runs:" in told
    kept = int(re.search(r"([\d,]+) kept by the interpreter", told)[1].replace(",", ""))
    assert 0 <= found.arena_bytes - 1152 - kept < 64
    assert Measurement.from_dict(asdict(found)) == found


def test_what_lies_in_the_arena_follows_inputs_and_outputs_to_their_ends():
    flat = read_model(model("pair").read_bytes())
    uses = arena_uses(flat)
    assert len(uses) == len(flat.operators)
    given = {t.name for t in flat.inputs}
    assert given <= set(uses[0].tensors)  # both are there before the first operator
    (result,) = flat.outputs
    assert result.name in uses[-1].tensors
    assert told(uses, 1000, 10).endswith("of scratch memory and gaps")


def test_without_limits_only_the_needs_are_told(target):
    with opened(target) as session:
        (found,) = session.time([model("int8")], BenchPlan())
    assert f"needs {found.arena_bytes:,} bytes of RAM for its arena" in found.notes[0]


# ---- models that it cannot run


def test_operators_that_it_lacks_are_named(session, tmp_path):
    paths = [made(tmp_path, recurrent), made(tmp_path, flex), model("dynamic"), model("float16")]
    results = session.time([*paths, model("int8")], BenchPlan())
    reasons = [r.reason for r in results[:4]]
    assert reasons[0].endswith("has no kernel for UNIDIRECTIONAL_SEQUENCE_RNN")
    assert reasons[1].endswith("has no kernel for the custom operator FlexErf")
    assert reasons[2].endswith(
        "operator 3 (FULLY_CONNECTED) with inputs of FLOAT32 and weights of INT8"
    )
    assert "operator 0 (DEQUANTIZE) does not suit TensorFlow Lite Micro" in reasons[3]
    assert isinstance(results[4], Measurement)


def test_damaged_and_missing_files_are_failures(session, tmp_path):
    whole = model("int8").read_bytes()
    (tmp_path / "cut.tflite").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.tflite").write_text("no model")
    paths = [tmp_path / f"{n}.tflite" for n in ("cut", "text", "none")]
    results = session.time([*paths, model("int8")], BenchPlan())
    assert [type(r).__name__ for r in results] == [*["Failure"] * 3, "Measurement"]
    assert "damaged" in results[0].reason
    assert "not a .tflite" in results[1].reason
    assert "cannot be read" in results[2].reason


def test_a_crash_takes_no_other_model_with_it(target, tmp_path):
    crashing = f"""
        grep -q float.tflite "$3" && kill -SEGV $$
        exec {sys.executable} "$@"
    """
    with opened(target, python=script(tmp_path, crashing)) as session:
        lost, kept = session.time([model("float"), model("int8")], BenchPlan())
        with pytest.raises(CommandFailed, match="the interpreter crashed on this model"):
            session.predict(model("float"), {"image": saved(tmp_path, "x", images(2))})
    assert lost.reason == "it was killed by SIGSEGV: the interpreter crashed on this model"
    assert isinstance(kept, Measurement)


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        ("{", "the answer is damaged"),
        ("{}", "the answer is damaged"),
        ("[" * 100_000, "nested too deep"),
        ('{"sha256": "0", "arena_bytes": Infinity, "samples_ns": [1], "load_ns": 1, "first_ns": 1}',
         "arena_bytes must be a whole number"),
        ('{"sha256": "0", "arena_bytes": 1, "samples_ns": [1], "load_ns": 1, "first_ns": 1, '
         '"planned_bytes": 1, "kept_bytes": 1}',
         "another file was measured"),
        ('{"error": "", "missing": "numpy"}', "not installed"),
    ],
)  # fmt: skip
def test_an_answer_that_is_not_the_runners_is_refused(target, tmp_path, answer, sentence):
    lying = f"""
        grep -q '"facts"' "$3" && exec {sys.executable} "$@"
        printf '%s' '{answer}' > "$(dirname "$3")/$(basename "$3" .job.json).answer.json"
    """
    with opened(target, python=script(tmp_path, lying)) as session:
        (found,) = session.time([model("int8")], BenchPlan())
    assert isinstance(found, Failure)
    assert sentence in found.reason


def test_the_package_and_litert_do_not_disturb_each_other():
    """Our own processes never load both; a user's may."""
    code = f"""
import numpy as np, tflite_micro
from ai_edge_litert.interpreter import Interpreter
path, x = {str(model("int8"))!r}, np.full((1, 8, 8, 1), 7, np.int8)
micro = tflite_micro.runtime.Interpreter.from_file(path)
micro.set_input(x, 0); micro.invoke()
lite = Interpreter(path); lite.allocate_tensors()
lite.set_tensor(lite.get_input_details()[0]["index"], x); lite.invoke()
answer = lite.get_tensor(lite.get_output_details()[0]["index"])
assert (micro.get_output(0) == answer).all()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


# ---- predict


def by_litert(path, samples):
    """Run samples one by one through LiteRT's own kernels, which are not XNNPACK's."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_path=str(path),
        experimental_op_resolver_type=OpResolverType.BUILTIN_REF,
    )
    interpreter.allocate_tensors()
    (place,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    results = []
    for sample in samples:
        scale, zero_point = place["quantization"]
        if scale:
            sample = np.clip(np.rint(sample / np.float32(scale)) + zero_point, -128, 127)
        interpreter.set_tensor(place["index"], sample[None].astype(place["dtype"]))
        interpreter.invoke()
        result = interpreter.get_tensor(answer["index"])[0].astype(np.float32)
        scale, zero_point = answer["quantization"]
        results.append((result - np.float32(zero_point)) * np.float32(scale) if scale else result)
    return np.array(results)


@pytest.mark.parametrize("name", ["float", "int8", "int8_float_io"])
def test_predict_says_what_litert_says(session, tmp_path, name):
    samples, told = images(40), []
    (found,) = session.predict(
        model(name), {"image": saved(tmp_path, "x", samples)}, lambda *said: told.append(said)
    ).values()
    expected = by_litert(model(name), samples)
    assert found.shape == (40, 8)
    assert found.dtype == np.float32
    assert np.ptp(expected, axis=0).max() > 0.1  # the samples are told apart
    step = 0 if name == "float" else 1 / 256
    assert np.abs(found - expected).max() <= step + 1e-5


def test_two_inputs_go_where_their_names_say(session, tmp_path):
    random = np.random.default_rng(0)
    left, right = random.random((5, 4), np.float32), random.random((5, 3), np.float32)
    files = {"right": saved(tmp_path, "r", right), "left": saved(tmp_path, "l", left)}
    (found,) = session.predict(model("pair"), files).values()

    from ai_edge_litert.interpreter import Interpreter

    runner = Interpreter(model_path=str(model("pair"))).get_signature_runner()
    for index in range(5):
        (answer,) = runner(left=left[index : index + 1], right=right[index : index + 1]).values()
        assert found[index] == pytest.approx(answer[0], abs=1e-5)


def remembering(schema, tensor, operator):
    """Make a model that adds up what it was given, in a state left from one run to the next."""
    value, identity = tensor((1, 2)), tensor((2, 2), np.eye(2, dtype=np.float32))
    ones, bias = tensor((2, 3), np.ones((2, 3), np.float32)), tensor((2,), np.zeros(2, np.float32))
    state, result = tensor((1, 6), variable=True), tensor((1, 2))
    operator(
        schema.BuiltinOperator.SVDF,
        (value, identity, ones, bias, state),
        (result,),
        schema.SVDFOptionsT(rank=1),
        schema.BuiltinOptions.SVDFOptions,
    )
    return [value], [result]


def test_a_sample_does_not_see_what_the_one_before_left(session, tmp_path):
    samples = np.array([[1, 2], [1, 2], [5, 7], [1, 2]], np.float32)
    (found,) = session.predict(
        made(tmp_path, remembering), {"t0": saved(tmp_path, "x", samples)}
    ).values()
    assert found == pytest.approx(samples)


def test_inputs_that_do_not_fit_are_refused(session, tmp_path):
    with pytest.raises(DataError, match=r"shape \(8, 8, 1\); received \(7, 8, 1\)"):
        session.predict(model("float"), {"image": saved(tmp_path, "x", images(2)[:, 1:])})
    with pytest.raises(DataError, match="no input 'rihgt'") as caught:
        session.predict(model("pair"), {"rihgt": tmp_path, "left": tmp_path})
    assert "right" in caught.value.hint
    (tmp_path / "no.tflite").write_text("no model")
    with pytest.raises(ModelError):
        session.predict(tmp_path / "no.tflite", {})


def test_a_refused_model_is_a_failed_command(session, tmp_path):
    with pytest.raises(CommandFailed, match=r"dynamic.tflite cannot be run: .* of INT8"):
        session.predict(model("dynamic"), {"image": saved(tmp_path, "x", images(2))})


# ---- sentences


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("Failed to allocate tail memory. Requested: 64, available 32", "256 MB of arena are"),
        ("Node CONV_2D (number 4) failed to invoke with status 1", "operator 4 (CONV_2D)"),
        ("", "without a word"),
        ("something else\nentirely", "something else entirely"),
    ],
)
def test_every_refusal_has_a_sentence(words, sentence):
    assert sentence in explain(words)


def test_every_end_has_a_sentence():
    assert ended(-9, "") == "it was killed by SIGKILL, as happens when memory runs out"
    assert ended(-99, "") == "it was killed by signal 99"
    assert ended(1, "") == "it gave no answer (exit code 1)"
