"""A device may lie: whatever it answers becomes a sentence, and nothing is believed unseen."""

from __future__ import annotations

import copy
import hashlib
import json
import math
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings, strategies as some
from tiny_models import converted

from edgeshrink.devices.measurement import BenchPlan, DeviceInfo, Failure, Measurement
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.devices.target import Completed
from edgeshrink.errors import CommandFailed
from edgeshrink_litert.answers import Answer
from edgeshrink_litert.litert import LiteRT
from edgeshrink_litert.measured import device_info, measurement
from edgeshrink_litert.runner.result import BEGIN, END, read_result
from edgeshrink_targets.local import Local

SHORT = BenchPlan("short", runs=3, seconds=0.01, warmup_seconds=0.0)
NONSENSE = "the device's answer makes no sense"


def framed(job_id, body):
    digest = hashlib.sha256(body.encode()).hexdigest()
    return f"{BEGIN} {job_id} {len(body)} {digest}\n{body}\n{END} {job_id}\n"


# What the real runner answered to the first job of a kind: to ask again takes a second.
RECORDED: dict[str, dict] = {}


class Liar(Local):
    """This machine, which changes what the runner truly answered to one kind of job."""

    def __init__(self):
        super().__init__()
        self.kind, self.lie = "", None

    def run(self, *argv, timeout=None, watch=None):
        job = Path(argv[-1])
        if argv[0] == "rm" or not job.name.startswith("job-"):
            return super().run(*argv, timeout=timeout, watch=watch)
        asked = json.loads(job.read_text())
        kind = asked["kind"]
        if kind not in RECORDED or kind == "predict":
            done = super().run(*argv, timeout=timeout, watch=watch)
            RECORDED[kind] = read_result(done.stdout, asked["id"])
        answer = copy.deepcopy(RECORDED[kind])
        told = self.lie(answer, asked) if self.lie is not None and kind == self.kind else None
        body = told if isinstance(told, str) else json.dumps(answer)
        if watch is not None:
            for line in ("progress nan x", "progress", "progress one x", "progress 7 \x1b[31m"):
                watch(line)
        return Completed(argv, 0, framed(asked["id"], body), "")


@pytest.fixture
def liar():
    with Liar() as target:
        yield target


@pytest.fixture(scope="module")
def truth():
    """What a real runner answers of a real model, and the device's facts."""
    with Liar() as target, open_session(target) as session:
        session.time([converted() / "float.tflite"], SHORT)
    return RECORDED["facts"], RECORDED["time"]["models"][0]


def put(*path, value):
    """Return a lie: the answer with another value at a place; without a value it is missing."""

    def lie(answer, job):
        part = answer
        for key in path[:-1]:
            part = part[key]
        if value is ...:
            del part[path[-1]]
        else:
            part[path[-1]] = value

    return lie


def open_session(target):
    return LiteRT().open(target, target.folder(), DeviceProfile("here"))


@pytest.mark.parametrize(
    "lie",
    [
        put("cores", value=-1),
        put("cores", value=True),
        put("cores", value=2.0),
        put("cpu", value=5),
        put("cpu", value=...),
        put("emulated", value=None),
        put("memory_bytes", value="much"),
        put("memory_bytes", value=10**30),
        put("conditions", value=[1]),
        put("conditions", value={"load_average": math.nan}),
        put("conditions", value={"load_average": "high"}),
        put("conditions", value={"governor": {"a": 1}}),
        put("error", value=[]),
    ],
)
def test_senseless_facts_end_in_a_sentence(liar, lie):
    liar.kind, liar.lie = "facts", lie
    with pytest.raises(CommandFailed, match="the device's runtime cannot be used") as caught:
        open_session(liar)
    assert NONSENSE in str(caught.value) or "not whole" in str(caught.value)


@pytest.mark.parametrize(
    "body", ["[]", "5", "null", "{" * 9, "[" * 100_000 + "]" * 100_000, '{"a": NaN}', "9" * 5000]
)
def test_what_is_no_json_object_is_no_answer(liar, body):
    liar.kind, liar.lie = "facts", lambda answer, job: body
    with pytest.raises(CommandFailed, match="the answer is not whole"):
        open_session(liar)


def test_what_a_device_says_cannot_steer_the_terminal(liar):
    liar.kind, liar.lie = "facts", put("cpu", value="A\x1b[2J\rB\n" + "C" * 10_000)
    with open_session(liar) as session:
        assert session.facts().cpu.startswith("A[2J B CCC")
        assert session.facts().cpu.isprintable()
        assert len(session.facts().cpu) <= 1000
    liar.lie = put("error", value="bad \x1b[31m red")
    with pytest.raises(CommandFailed) as caught:
        open_session(liar)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "lie",
    [
        put("models", value=[]),
        put("models", value=None),
        put("models", value={}),
        put("models", value=...),
        put("models", 0, value="x"),
        put("models", 0, "samples_ns", value=[]),
        put("models", 0, "samples_ns", value=[5, 0]),
        put("models", 0, "samples_ns", value=[5, -5]),
        put("models", 0, "samples_ns", value=[5, 5.5]),
        put("models", 0, "samples_ns", value=[5, True]),
        put("models", 0, "samples_ns", value=[5, 2**63]),
        put("models", 0, "samples_ns", value=...),
        put("models", 0, "load_ns", value=-1),
        put("models", 0, "first_ns", value=None),
        put("models", 0, "peak_memory_bytes", value=-5),
        put("models", 0, "sha256", value=7),
        put("models", 0, "notes", value=[{}]),
        put("models", 0, "notes", value="note"),
        put("models", 0, "conditions", value={}),
        put("models", 0, "conditions", "after", "throttled", value=["a", 5]),
        put("models", 0, "conditions", "after", "thermal_status", value=-1),
        put("models", 0, "energy", value={"millijoules": -1}),
        put("models", 0, "energy", value=3),
        put("models", 0, "error", value=5),
    ],
)
def test_senseless_times_are_a_failure(liar, lie):
    with open_session(liar) as session:
        liar.kind, liar.lie = "time", lie
        (result,) = session.time([converted() / "float.tflite"], SHORT)
    assert isinstance(result, Failure)
    assert NONSENSE in result.reason
    assert not result.lost


def test_too_many_answers_are_a_failure_of_each_model(liar):
    def more(answer, job):
        answer["models"] *= 3

    model = converted() / "float.tflite"
    with open_session(liar) as session:
        liar.kind, liar.lie = "time", more
        results = session.time([model, model], SHORT)
    assert [type(r) for r in results] == [Failure, Failure]
    assert "models must be a list of 2" in results[0].reason


def test_times_of_another_file_are_a_failure(liar):
    with open_session(liar) as session:
        liar.kind, liar.lie = "time", put("models", 0, "sha256", value="0" * 64)
        (result,) = session.time([converted() / "float.tflite"], SHORT)
    assert result.reason == "the device timed another file than was sent"


@pytest.mark.parametrize("value", [-1.0, math.nan, "1", None, 1e300])
def test_senseless_times_of_operators_are_a_note(liar, value):
    plan = BenchPlan("short", runs=3, seconds=0.01, warmup_seconds=0.0, profile=True)
    with open_session(liar) as session:
        liar.kind, liar.lie = "operators", put("operators", 0, "milliseconds", value=value)
        (result,) = session.time([converted() / "float.tflite"], plan)
    assert isinstance(result, Measurement)
    assert result.operators == ()
    assert "no time by operator" in result.notes[-1]


def saved(values, **options):
    def lie(answer, job):
        path = Path(job["outputs"][0]["path"])
        np.save(path, values, **options)
        answer["outputs"][0] = hashlib.sha256(path.read_bytes()).hexdigest()

    return lie


def text(answer, job):
    path = Path(job["outputs"][0]["path"])
    path.write_text("no array")
    answer["outputs"][0] = hashlib.sha256(b"no array").hexdigest()


@pytest.mark.parametrize(
    ("lie", "sentence"),
    [
        (put("count", value=4), "worked on other files"),
        (put("count", value="3"), NONSENSE),
        (put("count", value=...), NONSENSE),
        (put("model_sha256", value="0" * 64), "worked on other files"),
        (put("outputs", value=[]), NONSENSE),
        (put("outputs", value=["a", "b"]), NONSENSE),
        (put("outputs", 0, value="a"), "arrived damaged"),
        (put("outputs", 0, value=1), NONSENSE),
        (put("seconds", value=-1), NONSENSE),
        (put("workers", value=None), NONSENSE),
        (saved(np.zeros((3, 8))), r"must be float32 of the shape \(3, 8\)"),
        (saved(np.zeros((3, 7), np.float32)), r"received float32 of \(3, 7\)"),
        (saved(np.zeros((3, 1, 8), np.float32)), r"received float32 of \(3, 1, 8\)"),
        (saved(np.zeros(24, np.float32)), r"received float32 of \(24,\)"),
        (saved(np.zeros((3, 8 << 10), np.float32)), "more than the"),
        (saved(np.array([{}], object), allow_pickle=True), "is no array"),
        (text, "is no array"),
    ],
)
def test_senseless_outputs_are_not_used(liar, tmp_path, lie, sentence):
    np.save(tmp_path / "x.npy", np.zeros((3, 8, 8, 1), np.float32))
    with open_session(liar) as session:
        liar.kind, liar.lie = "predict", lie
        with pytest.raises(CommandFailed, match=sentence):
            session.predict(converted() / "float.tflite", {"image": tmp_path / "x.npy"})
        assert list(Path(session.workdir).glob("output-*")) == []


def test_progress_that_is_none_is_not_passed_on(liar, tmp_path):
    np.save(tmp_path / "x.npy", np.zeros((3, 8, 8, 1), np.float32))
    told = []
    with open_session(liar) as session:
        liar.kind, liar.lie = "predict", lambda answer, job: None
        session.predict(
            converted() / "float.tflite",
            {"image": tmp_path / "x.npy"},
            lambda share, note: told.append((share, note)),
        )
    assert told[-1] == (1.0, "[31m")
    assert all(0 <= share <= 1 for share, _ in told)


values = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats()
    | some.text(max_size=20)
    | some.just(2**70),
    lambda inner: (
        some.lists(inner, max_size=3)
        | some.dictionaries(some.sampled_from(["before", "throttled", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def printable(act):
    """Return what it returns, or None after an error in one plain sentence."""
    try:
        return act()
    except CommandFailed as error:
        said = str(error)
    assert said.isprintable()
    return None


def test_times_that_spread_and_energy_that_is_not_told_are_notes(truth):
    _, timed = (copy.deepcopy(part) for part in truth)
    timed["samples_ns"] = [1000, 1000, 4000]
    timed["conditions"]["after"]["load_average"] = 3.5
    timed["no_energy"] = "not told by this device"
    path, here, plan = converted() / "float.tflite", DeviceInfo("here"), replace(SHORT, energy=True)
    found = measurement(path, Answer(timed, "time"), here, plan, threads=1, kernels="xnnpack")
    assert found.notes[-1] == "energy: not told by this device"
    assert found.notes[0] == ("noisy: the standard deviation is 71% of the mean (load average 3.5)")


@pytest.mark.heavy
@settings(max_examples=300)
@given(data=some.data(), value=values)
def test_any_change_of_an_answer_ends_in_a_result_or_a_sentence(truth, data, value):
    facts, timed = (copy.deepcopy(part) for part in truth)
    facts[data.draw(some.sampled_from(sorted(facts)))] = value
    timed[data.draw(some.sampled_from(sorted(timed)))] = value
    device = printable(lambda: device_info(Answer(facts, "facts"), DeviceProfile("here")))
    if device is not None:
        assert all(isinstance(getattr(device, n), str) for n in ("cpu", "emulated", "adapter"))
    path, here = converted() / "float.tflite", DeviceInfo("here")
    result = printable(
        lambda: measurement(path, Answer(timed, "time"), here, SHORT, threads=1, kernels="xnnpack")
    )
    if isinstance(result, Measurement):
        assert result.median_ms > 0
        json.dumps(asdict(result), allow_nan=False)  # what was told; of one run no error follows
