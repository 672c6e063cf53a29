"""LiteRT sessions: real runners in real processes on this machine."""

from __future__ import annotations

import dataclasses
import doctest
import importlib
import os
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import get_args

import flatbuffers
import numpy as np
import pytest
from paths import ROOT
from tiny_models import batch_mean, converted, flex, recurrent, written

from edgeshrink.devices.measurement import BenchPlan, Failure, Kernels, Measurement
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.devices.target import Completed, Target
from edgeshrink.errors import CommandFailed, DataError, ModelError, ProfileError
from edgeshrink_litert.failures import explain
from edgeshrink_litert.litert import LiteRT
from edgeshrink_litert.pack import RUNNER
from edgeshrink_litert.runner.result import print_result, read_result
from edgeshrink_targets.local import Local

SHORT = BenchPlan("short", runs=5, seconds=0.02, warmup_seconds=0.0)


@pytest.fixture(scope="module")
def session():
    with Local.connect("", None) as target, open_session(target) as session:
        yield session


def open_session(target, kernels="", **profile):
    options = {"kernels": kernels} if kernels else {}
    return LiteRT().open(target, target.folder(), DeviceProfile("here", options=options, **profile))


@pytest.fixture
def model():
    return lambda name: converted() / f"{name}.tflite"


@pytest.fixture
def array(tmp_path):
    def save(values, name="inputs"):
        path = tmp_path / f"{name}.npy"
        np.save(path, values)
        return path

    return save


def images(count, seed=0):
    return np.random.default_rng(seed).random((count, 8, 8, 1), dtype=np.float32)


def loop(path, samples, kernels="xnnpack"):
    """Run samples one by one, as the manual of the runtime shows it."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    resolver = {
        "xnnpack": OpResolverType.AUTO,
        "builtin": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        "reference": OpResolverType.BUILTIN_REF,
    }[kernels]
    interpreter = Interpreter(model_path=str(path), experimental_op_resolver_type=resolver)
    interpreter.allocate_tensors()
    (place,), (answer,) = interpreter.get_input_details(), interpreter.get_output_details()
    results = []
    for sample in samples:
        if place["dtype"] == np.int8:
            scale, zero_point = place["quantization"]
            sample = np.clip(np.rint(sample / np.float32(scale)) + zero_point, -128, 127)
        interpreter.set_tensor(place["index"], sample[None].astype(place["dtype"]))
        interpreter.invoke()
        result = interpreter.get_tensor(answer["index"])[0].astype(np.float32)
        scale, zero_point = answer["quantization"]
        results.append((result - np.float32(zero_point)) * np.float32(scale) if scale else result)
    return np.array(results)


# ---- facts


def test_facts_name_the_machine_and_the_runtime(session):
    facts = session.facts()
    assert (facts.name, facts.runtime, facts.numpy) == ("here", "ai-edge-litert", np.__version__)
    assert facts.cores == len(os.sched_getaffinity(0))
    assert facts.memory_bytes > 1 << 26


def test_a_missing_python_is_told_with_a_hint():
    with (
        Local.connect("", None) as target,
        pytest.raises(CommandFailed, match="cannot be started") as e,
    ):
        open_session(target, python="/no/such/python")
    assert "profile" in e.value.hint


def test_a_python_without_a_runtime_is_told_with_a_hint(tmp_path):
    bare = script(tmp_path, f'exec {sys.executable} -S "$@"')
    with Local.connect("", None) as target, pytest.raises(CommandFailed) as caught:
        open_session(target, python=bare)
    said = str(caught.value)
    assert "no runtime works there: tried ai-edge-litert (No module named 'numpy')" in said
    assert "libLiteRt.so (not found)" in said
    assert "pip install ai-edge-litert" in caught.value.hint


def script(folder, text):
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_close_leaves_nothing(model, array):
    with Local.connect("", None) as target:
        session = open_session(target)
        session.time([model("float")], SHORT)
        session.predict(model("float"), {"image": array(images(9))})
        session.close()
        assert list(Path(session.workdir).iterdir()) == []


def test_files_are_pushed_once_to_a_target_that_is_not_this_machine(model, array):
    class Away(Local):
        name = "away"
        place = Target.place

        def __init__(self):
            super().__init__()
            self.pushed = []

        def push(self, local, remote):
            self.pushed.append(Path(remote).suffix)
            super().push(local, remote)

    with Away.connect("", None) as target, open_session(target, python=sys.executable) as session:
        for _ in range(2):
            session.predict(model("float"), {"image": array(images(9))})
        assert target.pushed.count(".tflite") == target.pushed.count(".npy") == 1
        assert isinstance(session.time([model("float")], SHORT)[0], Measurement)
        assert target.pushed.count(".tflite") == 1
        session.close()
        assert list(Path(session.workdir).iterdir()) == []
        assert target.pushed.count(".pyz") == 1
        kept = sorted(path.suffix for path in Path(target.cache()).iterdir())
        assert kept == [".npy", ".pyz", ".tflite"]


# ---- time


def test_time_returns_every_run_of_every_model_in_order(session, model):
    results = session.time([model("float"), model("int8")], SHORT)
    assert [Path(r.model).name for r in results] == ["float.tflite", "int8.tflite"]
    for result in results:
        assert isinstance(result, Measurement)
        assert result.valid
        assert len(result.samples_ns) >= 5
        assert min(result.samples_ns) > 0
        assert result.peak_memory_bytes > result.runtime_memory_bytes > 0
        own = result.model_memory_bytes
        assert 0 < own == result.peak_memory_bytes - result.runtime_memory_bytes
        # the interpreter, its runtime and numpy are most of the process, and no model's
        assert own < result.runtime_memory_bytes / 2
        assert result.load_ms > 0
        assert result.first_ms > 0
        assert set(result.conditions) == {"before", "after"}
        assert result.conditions["before"]["load_average"] >= 0


def test_a_run_that_reaches_the_limit_first_is_not_valid(session, model):
    plan = BenchPlan("short", runs=10**9, seconds=0.01, warmup_seconds=0.0, max_seconds=0.05)
    (result,) = session.time([model("float")], plan)
    assert not result.valid


@pytest.mark.parametrize("kernels", get_args(Kernels))
def test_kernels_and_threads_are_those_that_were_asked_for(model, kernels):
    plan = dataclasses.replace(SHORT, threads=2)
    with Local.connect("", None) as target, open_session(target, kernels) as session:
        (result,) = session.time([model("float")], plan)
    assert (result.threads, result.kernels) == (2, kernels)


def test_each_choice_of_kernels_gives_its_own_outputs(model, array):
    """In 8 bits the three round differently; what is here the interpreter itself shows."""
    samples = images(200)
    with Local.connect("", None) as target:
        for kernels in get_args(Kernels):
            with open_session(target, kernels) as session:
                (values,) = session.predict(model("int8"), {"image": array(samples)}).values()
            assert np.array_equal(values, loop(model("int8"), samples, kernels)), kernels


def test_a_gpu_gives_no_choice_of_kernels():
    with (
        Local.connect("", None) as target,
        pytest.raises(ProfileError, match="kernels are those of a cpu; this one has a gpu"),
    ):
        open_session(target, "builtin", accelerator="gpu")


def test_time_by_operator_is_told_or_a_note_why_not(session, model):
    plan = BenchPlan("short", runs=5, seconds=0.01, warmup_seconds=0.0, profile=True)
    (result,) = session.time([model("float")], plan)
    # The tiny model's operators may all be faster than the profiler can tell.
    if result.operators:
        assert sum(o.share for o in result.operators) == pytest.approx(1)
        assert any(o.name.startswith("Convolution") for o in result.operators)
    else:
        assert "no time by operator" in result.notes[-1]


def test_time_by_operator_without_the_delegate_is_a_note(model):
    plan = dataclasses.replace(SHORT, profile=True)
    with Local.connect("", None) as target, open_session(target, "builtin") as session:
        (result,) = session.time([model("float")], plan)
    assert result.operators == ()
    assert "the profiler runs only with XNNPACK" in result.notes[-1]


def test_models_that_fail_do_not_take_others_with_them(session, model, tmp_path):
    damaged = bytearray(model("float").read_bytes())
    (tmp_path / "cut.tflite").write_bytes(damaged[: len(damaged) // 2])
    (tmp_path / "flex.tflite").write_bytes(written(flex))
    (tmp_path / "text.tflite").write_text("no model")
    paths = [tmp_path / f"{n}.tflite" for n in ("cut", "flex", "text", "none")]
    results = session.time([*paths, model("int8")], SHORT)
    assert [type(r).__name__ for r in results] == [*["Failure"] * 4, "Measurement"]
    reasons = [r.reason for r in results[:4]]
    assert "damaged" in reasons[0]
    assert reasons[1] == (
        "the model needs FlexErf, an operator of TensorFlow itself, which LiteRT does not have"
    )
    assert "not a .tflite" in reasons[2]
    assert "cannot be read" in reasons[3]
    assert not any(r.lost for r in results[:4])


def test_a_runner_killed_as_a_whole_is_a_failure_for_each_model(tmp_path, model):
    # A profile may name any program as the device's Python; this one is killed when it times.
    killer = script(
        tmp_path,
        f'grep -q \'"kind": "time"\' "$3" && kill -9 $$\nexec {sys.executable} "$@"',
    )
    with Local.connect("", None) as target, open_session(target, python=killer) as session:
        results = session.time([model("float"), model("int8")], SHORT)
    assert [r.reason for r in results] == [
        "timing failed: the runner was killed by SIGKILL, as happens when memory runs out"
    ] * 2


def processes_of(folder):
    """Return the runners at work in a folder whose job is a child's."""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                argv = (entry / "cmdline").read_text().split("\0")
            except OSError:
                continue
            if any(a.startswith(folder) and a.endswith("/job.json") for a in argv):
                yield int(entry.name), argv


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_models_are_timed_alone_after_the_process_of_all_was_killed(session, model):
    killed = []

    def kill_the_latency_process():
        until = time.monotonic() + 60
        while not killed and time.monotonic() < until:
            for pid, argv in processes_of(session.workdir):
                path = next(a for a in argv if a.endswith("/job.json"))
                try:
                    is_latency = '"kind": "latency"' in Path(path).read_text()
                except OSError:
                    continue
                if is_latency:
                    os.kill(pid, signal.SIGKILL)
                    killed.append(pid)
                    return
            time.sleep(0.005)

    thread = threading.Thread(target=kill_the_latency_process)
    thread.start()
    plan = BenchPlan("short", runs=5, seconds=0.3, warmup_seconds=0.0)
    results = session.time([model("float"), model("int8")], plan)
    thread.join()
    assert len(killed) == 1
    for result in results:
        assert isinstance(result, Measurement)
        assert (
            "timed alone, since the process that timed all was killed by signal 9"
            in (result.notes[0])
        )


def test_a_device_that_is_lost_is_told_so(model):
    class Lost(Local):
        def run(self, *argv, timeout=None, watch=None):
            from edgeshrink.errors import TargetError

            done = super().run(*argv, timeout=timeout, watch=watch)
            asked = Path(argv[-1])
            if (
                argv[0] != "rm"
                and asked.name.startswith("job-")
                and '"kind": "time"' in asked.read_text()
            ):
                raise TargetError("the link broke")
            return done

    with Lost.connect("", None) as target, open_session(target) as session:
        (result,) = session.time([model("float")], SHORT)
    assert isinstance(result, Failure)
    assert result.lost


# ---- results


def test_a_result_is_read_only_when_it_is_whole(capsys):
    print_result({"id": "a1"}, {"numbers": list(range(50))})
    text = "noise\n" + capsys.readouterr().out + "more noise\n"
    assert read_result(text, "a1") == {"numbers": list(range(50)), "id": "a1"}
    assert read_result(text, "other") is None
    whole = text.index("edgeshrink-end a1") + len("edgeshrink-end a1")
    assert not any(read_result(text[:n], "a1") for n in range(whole))
    assert read_result(text.replace("13, 14", "13, 15"), "a1") is None


def test_half_an_answer_of_the_device_is_an_error(model):
    class Cut(Local):
        def run(self, *argv, timeout=None, watch=None):
            done = super().run(*argv, timeout=timeout, watch=watch)
            half = done.stdout[: len(done.stdout) // 2]
            return Completed(done.argv, done.returncode, half, done.stderr)

    with Cut.connect("", None) as target, pytest.raises(CommandFailed, match="answer is not whole"):
        open_session(target)


# ---- predict


@pytest.mark.parametrize("name", ["float", "float16", "dynamic", "int8", "int8_float_io"])
def test_predict_in_batches_equals_a_plain_loop(session, model, array, name):
    samples = images(101)
    found, facts = session.predict_with_facts(model(name), {"image": array(samples)})
    ((output, values),) = found.items()
    assert output == "output_0"
    assert values.dtype == np.float32
    assert facts["how"].startswith("batches"), facts["note"]
    if name == "int8":
        np.testing.assert_array_equal(values, loop(model(name), samples))
    else:
        np.testing.assert_allclose(values, loop(model(name), samples), rtol=0, atol=1e-5)


def test_predict_takes_stored_integers_as_real_values(session, model, array):
    samples = (images(20) * 255).astype(np.uint8)
    found = session.predict(model("float"), {"image": array(samples)})
    np.testing.assert_allclose(
        found["output_0"], loop(model("float"), samples.astype(np.float32)), atol=1e-5
    )


def test_predict_of_one_sample(session, model, array):
    found = session.predict(model("int8"), {"image": array(images(1))})
    np.testing.assert_array_equal(found["output_0"], loop(model("int8"), images(1)))


def test_predict_tells_its_progress(session, model, array):
    told = []
    session.predict(
        model("float"), {"image": array(images(500))}, lambda share, note: told.append(share)
    )
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_predict_matches_two_inputs_by_name(session, model, array):
    random = np.random.default_rng(0)
    left = random.random((9, 4), dtype=np.float32)
    right = random.random((9, 3), dtype=np.float32)
    paths = {"right": array(right, "r"), "left": array(left, "l")}
    found = session.predict(model("pair"), paths)["output_0"]
    from ai_edge_litert.interpreter import Interpreter

    run = Interpreter(model_path=str(model("pair"))).get_signature_runner()
    for n in range(9):
        expected = run(left=left[n : n + 1], right=right[n : n + 1])["output_0"][0]
        np.testing.assert_allclose(found[n], expected, atol=1e-5)


def test_a_single_input_needs_no_name(session, model, array):
    assert session.predict(model("float"), {"x": array(images(2))})["output_0"].shape == (2, 8)


def test_predict_resets_the_state_of_recurrent_layers(session, tmp_path, array):
    path = tmp_path / "recurrent.tflite"
    path.write_bytes(written(recurrent))
    one = np.random.default_rng(0).random((1, 3, 2), dtype=np.float32)
    found, facts = session.predict_with_facts(path, {"t0": array(np.repeat(one, 30, axis=0))})
    (values,) = found.values()
    assert np.abs(values[0]).max() > 0
    assert (values == values[0]).all()
    assert (facts["how"], facts["note"]) == (
        "one by one",
        "the graph keeps state between operators",
    )


def test_batches_that_change_outputs_are_not_used(session, tmp_path, array):
    path = tmp_path / "mean.tflite"
    path.write_bytes(written(batch_mean))
    samples = np.random.default_rng(0).random((40, 2), dtype=np.float32)
    found, facts = session.predict_with_facts(path, {"t0": array(samples)})
    assert facts["how"] == "one by one"
    assert "batches" in facts["note"]
    (values,) = found.values()
    assert (values == 0).all()  # a batch of one less its own mean


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        (np.zeros((3, 8, 8), np.float32), r"takes samples of shape \(8, 8, 1\); received \(8, 8\)"),
        (np.zeros((0, 8, 8, 1), np.float32), "at least one"),
        (np.array(["a"]), "not numbers"),
        (np.float32(1), "takes samples of shape"),
    ],
)
def test_samples_that_do_not_fit_are_refused(session, model, array, values, sentence):
    with pytest.raises(DataError, match=sentence):
        session.predict(model("float"), {"image": array(values)})


def test_wrong_names_and_counts_are_refused(session, model, array):
    four, three = array(np.zeros((2, 4)), "l"), array(np.zeros((3, 3)), "r")
    with pytest.raises(DataError, match="no input 'lift'") as caught:
        session.predict(model("pair"), {"lift": four, "right": three})
    assert caught.value.hint == "did you mean 'left'?"
    with pytest.raises(DataError, match="also takes 'right'"):
        session.predict(model("pair"), {"left": four})
    with pytest.raises(DataError, match="same number of samples"):
        session.predict(model("pair"), {"left": four, "right": three})


def test_a_pickled_array_is_refused(session, model, tmp_path):
    path = tmp_path / "objects.npy"
    np.save(path, np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"not a \.npy file"):
        session.predict(model("float"), {"image": path})


def test_a_model_that_the_runtime_refuses_is_one_sentence(session, tmp_path, array):
    (tmp_path / "flex.tflite").write_bytes(written(flex))
    with pytest.raises(CommandFailed, match=r"flex\.tflite cannot be run: the model needs FlexErf"):
        session.predict(tmp_path / "flex.tflite", {"t0": array(np.zeros((3, 2), np.float32))})
    (tmp_path / "text.tflite").write_text("text")
    with pytest.raises(ModelError, match=r"not a \.tflite"):
        session.predict(tmp_path / "text.tflite", {"t0": array(np.zeros((3, 2), np.float32))})


def test_a_kernel_that_xnnpack_lacks_is_named_and_runs_without_it(session, model, tmp_path, array):
    from ai_edge_litert import schema_py_generated as schema

    data = model("int8").read_bytes()
    tree = schema.ModelT.InitFromObj(schema.Model.GetRootAs(data, 0))
    graph, codes = tree.subgraphs[0], tree.operatorCodes
    dense = schema.BuiltinOperator.FULLY_CONNECTED
    last = [o for o in graph.operators if codes[o.opcodeIndex].builtinCode == dense][-1]
    graph.tensors[last.outputs[0]].quantization.scale = [1e-9]
    builder = flatbuffers.Builder(len(data))
    builder.Finish(tree.Pack(builder), b"TFL3")
    path = tmp_path / "steep.tflite"
    path.write_bytes(bytes(builder.Output()))
    told = r"XNNPACK has no kernel for a layer whose sums are scaled by 256 or more"
    with pytest.raises(CommandFailed, match=told):
        session.predict(path, {"image": array(images(3))})
    (failure,) = session.time([path], SHORT)
    assert re.search(told, failure.reason)
    with Local.connect("", None) as target, open_session(target, "builtin") as without:
        (found,) = without.time([path], SHORT)
    assert isinstance(found, Measurement)


@pytest.mark.parametrize(
    ("shape", "row"), [((1, 2), (2,)), ((2,), (2,)), ((1,), ()), ((1, 2, 1), (2, 1))]
)
def test_outputs_have_the_shape_that_the_file_tells(session, tmp_path, array, shape, row):
    def reshape(schema, tensor, operator):
        value = tensor((1, int(np.prod(shape))))
        wanted, result = tensor((len(shape),), np.array(shape, np.int32)), tensor(shape)
        operator(schema.BuiltinOperator.RESHAPE, (value, wanted), (result,))
        return [value], [result]

    path = tmp_path / "reshape.tflite"
    path.write_bytes(written(reshape))
    samples = np.random.default_rng(0).random((5, int(np.prod(shape))), dtype=np.float32)
    (values,) = session.predict(path, {"t0": array(samples)}).values()
    np.testing.assert_array_equal(values, samples.reshape(5, *row))


# ---- words


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (
            "Didn't find op for builtin opcode 'FULLY_CONNECTED' version '12'. An older version",
            "this runtime has no FULLY_CONNECTED of version 12: the file was made for a newer one",
        ),
        (
            "failed to delegate CONV_2D node #5failed to delegate FULLY_CONNECTED node #6",
            "XNNPACK refuses operator 5 (CONV_2D), as it does for sparse or half-quantized weights",
        ),
        (
            "tflite/kernels/dequantize.cc:58 op_context.input->type == kTfLiteUInt8 was not "
            "true.Node number 1 (DEQUANTIZE) failed to prepare.",
            "operator 1 (DEQUANTIZE) does not fit its tensors: dequantize.cc:58 "
            "op_context.input->type == kTfLiteUInt8 was not true",
        ),
        (
            "killed by signal 11",
            "the runner was killed by SIGSEGV: the runtime crashed on this model",
        ),
        ("", "the runtime ended without a word"),
    ],
)
def test_errors_of_the_runtime_become_sentences(error, sentence):
    assert explain(error) == sentence


def test_the_runner_is_python_3_8_and_imports_nothing_at_the_top():
    import ast

    modules = {path.stem: path for path in RUNNER.glob("*.py")}
    assert "predictor" in modules
    for path in modules.values():
        tree = ast.parse(path.read_text(), feature_version=(3, 8))
        for node in tree.body:
            if isinstance(node, ast.ImportFrom) and node.level:
                assert (node.module or node.names[0].name) in modules
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
                tops = {name.split(".")[0] for name in names or [node.module]}
                assert tops <= sys.stdlib_module_names, path


@pytest.mark.parametrize("name", ["answers", "disturbance", "failures", "layers", "measured"])
def test_examples_in_docstrings_are_true(name):
    found = doctest.testmod(importlib.import_module(f"edgeshrink_litert.{name}"))
    assert found.attempted > 0
    assert found.failed == 0


def test_the_plugin_imports_nothing_heavy():
    code = "import sys, edgeshrink_litert; print({'numpy', 'tensorflow'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(("src", "plugins"))},
    )
    assert done.stdout == "set()\n"
