"""benchmark_model: its logs, and a program in its place that is run as the tool would be."""

from __future__ import annotations

import hashlib
import http.server
import math
import ssl
import subprocess
import threading
from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from edgeshrink.devices.measurement import BenchPlan, Failure, Measurement, Summary
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.errors import CommandFailed, EdgeshrinkError, UsageError
from edgeshrink_benchtool import download as downloads, log
from edgeshrink_benchtool.benchtool import BenchmarkModel
from edgeshrink_benchtool.binary import Options, find
from edgeshrink_benchtool.download import download
from edgeshrink_targets.local import Local

NEW = """INFO: STARTING!
INFO: Log parameter values verbosely: [0]
INFO: Graph: [model.tflite]
INFO: Loaded model model.tflite
INFO: The input model file size (MB): 67.3128
INFO: Initialized session in 5.579ms.
INFO: Running benchmark for at least 1 iterations and at least 0.5 seconds but terminate if exceeding 150 seconds.
INFO: count=1 curr=1357602 p5=1357602 median=1357602 p95=1357602

INFO: Running benchmark for at least 50 iterations and at least 1 seconds but terminate if exceeding 150 seconds.
INFO: count=50 first=1249964 curr=1240143 min=1238588 max=1252566 avg=1.24027e+06 std=2565 p5=1238753 median=1239807 p95=1247415

INFO: Inference timings in us: Init: 5579, First inference: 1357602, Warmup (avg): 1.3576e+06, Inference (avg): 1.24027e+06
INFO: Note: as the benchmark tool itself affects memory footprint, the following is only APPROXIMATE to the actual memory footprint of the model at runtime. Take the information at your discretion.
INFO: Memory footprint delta from the start of the tool (MB): init=6.36 overall=109.8
"""  # noqa: E501
# The same as older builds print it: no percentiles, and another word for the growth of memory.
OLD = "\n".join(
    line.removeprefix("INFO: ")
    .split(" p5=")[0]
    .replace("Memory footprint delta from the start of the tool", "Peak memory footprint")
    for line in NEW.splitlines()
)
ANDROID = "\n".join(
    f"05-31 10:31:13.022 21767 21767 I tflite  : {line.removeprefix('INFO: ')}"
    for line in NEW.splitlines()
)
GPU = """INFO: Created TensorFlow Lite delegate for GPU.
INFO: Initialized OpenCL-based API.
INFO: Created 1 GPU delegate kernels.
INFO: Explicitly applied GPU delegate, and the model graph will be completely executed by the delegate.
"""  # noqa: E501
XNNPACK = "INFO: Explicitly applied XNNPACK delegate, and the model graph will be partially executed by the delegate w/ 22 delegate kernels.\n"  # noqa: E501
PROFILED = """Profiling Info for Benchmark Initialization:
============================== Run Order ==============================
\t             [node type]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t         AllocateTensors\t    1.356\t    1.356\t100.000%\t100.000%\t     0.000\t        1\tAllocateTensors/0

Operator-wise Profiling Info for Regular Benchmark Runs:
============================== Run Order ==============================
\t             [node type]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                 CONV_2D\t    3.730\t    3.640\t 72.800%\t 72.800%\t     0.000\t        1\t[a;b/Conv2D]:1
\tTfLiteXNNPackDelegate\t    1.730\t    1.360\t 27.200%\t100.000%\t     0.000\t        2\t[]:2

============================== Top by Computation Time ==============================
\t             [node type]\t  [first]\t [avg ms]\t     [%]\t  [cdf%]\t  [mem KB]\t[times called]\t[Name]
\t                 CONV_2D\t    3.730\t    3.640\t 72.800%\t 72.800%\t     0.000\t        1\t[a;b/Conv2D]:1
"""  # noqa: E501

PLAN = BenchPlan(runs=50, seconds=1.0)


# ---- logs


@pytest.mark.parametrize("text", [NEW, ANDROID, NEW.replace("INFO: ", "")])
def test_a_log_of_a_new_build_is_read_whatever_its_prefix(text):
    told = log.parse(text)
    assert told.summary == Summary(
        50, 1.24027e9, 1.238588e9, 1.252566e9, 2565e3, 1.239807e9, 1.247415e9
    )
    assert (told.init_ns, told.first_ns) == (5579e3, 1357602e3)
    assert (told.growth_bytes, told.peak_bytes) == (round(109.8 * 2**20), None)


def test_a_log_of_an_old_build_tells_no_median():
    told = log.parse(OLD)
    assert told.summary.median_ns is None
    assert told.summary.mean_ns == 1.24027e9
    assert told.growth_bytes == round(109.8 * 2**20)


def test_peak_memory_is_read_where_it_is_watched():
    line = "INFO: Overall peak memory footprint (MB) via periodic monitoring: 12.5\n"
    assert log.parse(NEW + line).peak_bytes == round(12.5 * 2**20)


def test_one_counted_run_is_its_own_summary():
    text = NEW.replace(
        NEW.splitlines()[10], "INFO: count=1 curr=1240270 p5=1240270 median=1240270 p95=1240270"
    )
    found = log.parse(text).summary
    assert (found.count, found.mean_ns, found.min_ns, found.deviation_ns) == (
        1, 1.24027e9, 1.24027e9, 0.0,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("Inference timings", "Timings", "no line with inference timings"),
        ("count=", "number=", "no line of counted runs"),
        ("avg=1.24027e+06 std", "avg=1.2e+06 std", "contradicts itself"),
        ("Inference (avg): 1.24027e+06", "Inference (avg): 9", "with the mean that it tells, 9"),
        ("min=1238588", "min=-5", "-5 as min, which cannot be"),
        ("std=2565", "std=nan", "nan as std, which cannot be"),
        ("max=1252566", "max=inf", "inf as max, which cannot be"),
        ("std=2565", "std=fast", "'fast' as std, which is no number"),
        (" std=2565", "", "tells no std"),
        ("median=1239807", "median=1", "contradicts itself"),
        ("count=50", "count=0", "contradicts itself"),
        ("Init: 5579", "Init: -1", "-1 as timing"),
    ],
)
def test_a_log_that_lies_is_refused(old, new, sentence):
    assert old in NEW
    with pytest.raises(log.LogError, match=sentence.replace("(", r"\(")):
        log.parse(NEW.replace(old, new))


@given(st.text(), st.integers(0, len(NEW)))
def test_any_text_is_read_or_refused(noise, place):
    try:
        found = log.parse(NEW[:place] + noise + NEW[place:]).summary
    except log.LogError:
        return
    assert found.count >= 1
    assert 0 <= found.min_ns <= found.max_ns < math.inf


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GPU, (True, "")),
        (GPU.replace("Explicitly applied", "Applied").replace("by the", "w/ the"), (True, "")),
        (GPU.replace("completely", "partially"), (True, "a part of the operators")),
        (
            "VERBOSE: Replacing 62 out of 66 node(s) with delegate (TfLiteGpuDelegateV2) node, "
            "yielding 2 partitions for the whole graph.\n" + GPU.replace("completely", "partially"),
            (True, "62 of 66 operators"),
        ),
        (
            "Replacing 31 out of 31 node(s) with delegate (DispatchDelegate) node, yielding 1",
            (True, ""),
        ),
        (
            "INFO: Replacing 31 out of 31 node(s) with delegate (TfLiteXNNPackDelegate) node",
            (False, "its log names no delegate but XNNPACK"),
        ),
        (
            "GPU acceleration is unsupported on this platform.\n" + XNNPACK,
            (False, "GPU acceleration is unsupported on this platform"),
        ),
        (
            "Though GPU delegate is explicitly applied, the model graph will not be executed by "
            "the delegate.",
            (
                False,
                "Though GPU delegate is explicitly applied, the model graph will not be executed",
            ),
        ),
        (
            "Unconsumed cmdline flags: --use_npu=true",
            (False, "Unconsumed cmdline flags: --use_npu=true"),
        ),
        (NEW, (False, "its log names no delegate but XNNPACK")),
    ],
)
def test_what_ran_on_an_accelerator_is_seen(text, expected):
    assert log.delegated(text) == expected


def test_operators_come_from_the_regular_runs():
    found = log.operators(NEW + PROFILED)
    assert [(o.name, o.milliseconds, o.calls) for o in found] == [
        ("CONV_2D", 3.64, 1),
        ("TfLiteXNNPackDelegate", 1.36, 2),
    ]
    assert sum(o.share for o in found) == pytest.approx(1)
    assert log.operators(NEW) == ()


# ---- sessions: a program is run in the tool's place

PRINTS = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in *--enable_op_profiling=true*) cat {profile};; esac
cat {log}
"""


@pytest.fixture
def target():
    with Local.connect("", None) as target:
        yield target


@pytest.fixture
def model(tmp_path):
    path = tmp_path / "a model.tflite"
    path.write_bytes(b"only the tool reads it")
    return path


class Bench:
    """A session with a program that prints a log, and what it was called with."""

    def __init__(self, target, folder, text=NEW, script=PRINTS, kernels="xnnpack", **profile):
        (folder / "log").write_text(text)
        (folder / "profile").write_text(PROFILED)
        self.calls, self.tool = folder / "calls", folder / "benchmark_model"
        names = {name: folder / name for name in ("calls", "log", "profile")}
        self.tool.write_text(script.format(**names))
        options = {"binary": str(self.tool), "kernels": kernels}
        self.profile = DeviceProfile("phone", runtime="benchmark_model", options=options, **profile)
        self.session = BenchmarkModel().open(target, target.folder(), self.profile)

    def time(self, *models, plan=PLAN):
        with self.session:
            return self.session.time(models, plan)

    def flags(self):
        return self.calls.read_text().splitlines()[-1].split(" --")


def test_the_tool_is_pushed_made_a_program_and_asked_with_the_plan(target, tmp_path, model):
    bench = Bench(target, tmp_path, threads=3)
    assert bench.session.facts().runtime == "benchmark_model"
    digest = hashlib.sha256(bench.tool.read_bytes()).hexdigest()
    assert bench.session.facts().runtime_version == f"sha256:{digest[:12]}"
    assert bench.session.facts().machine
    (found,) = bench.time(model)
    assert isinstance(found, Measurement)
    assert bench.flags() == [
        f"--graph={model.resolve()}",
        "num_threads=3",
        "warmup_runs=1",
        "warmup_min_secs=0.5",
        "num_runs=50",
        "max_secs=150",
        "min_secs=1",
        "report_peak_memory_footprint=true",
    ]
    assert bench.tool.stat().st_mode & 0o111 == 0  # ours became a program, not the user's file
    assert list(Path(bench.session.tool).parent.iterdir()) == []


def test_a_measurement_has_the_summary_and_no_invented_samples(target, tmp_path, model):
    (found,) = Bench(target, tmp_path).time(model)
    assert found.samples_ns == ()
    assert (found.runs, found.valid) == (50, True)
    assert found.counted_seconds == pytest.approx(62.0135)
    assert found.median_ms == found.of_record_ms == pytest.approx(1239.807)
    assert found.mean_ms == pytest.approx(1240.27)
    assert found.standard_error_ms == pytest.approx(2.565 / math.sqrt(50))
    assert math.isnan(found.p90_ms)
    assert (found.load_ms, found.first_ms) == (5.579, 1357.602)
    assert (found.model_memory_bytes, found.peak_memory_bytes) == (round(109.8 * 2**20), None)
    assert found.notes == ()
    again = Measurement.from_dict(
        {k: v for k, v in found.as_dict().items() if k in Measurement.__dataclass_fields__}
    )
    assert again == found


def test_a_tool_without_a_median_is_told(target, tmp_path, model):
    (found,) = Bench(target, tmp_path, OLD).time(model)
    assert found.median_ms == found.mean_ms == pytest.approx(1240.27)
    assert "the tool tells no median: the mean stands for it" in found.notes


def test_rules_that_compare_by_p90_are_not_met(target, tmp_path, model):
    plan = BenchPlan("mlperf", runs=10, seconds=1.0, percentile=90)
    (found,) = Bench(target, tmp_path).time(model, plan=plan)
    assert not found.valid
    assert math.isnan(found.of_record_ms)
    assert found.disturbed == ("the rules compare by p90, which the tool does not tell",)


def test_several_models_are_said_not_to_be_interleaved(target, tmp_path, model):
    other = tmp_path / "other.tflite"
    other.write_bytes(b"2")
    results = Bench(target, tmp_path).time(model, tmp_path / "none.tflite", other)
    assert [type(r).__name__ for r in results] == ["Measurement", "Failure", "Measurement"]
    assert "cannot be read" in results[1].reason
    said = "models were timed one after another: the tool takes one alone"
    assert results[0].notes[-1] == said


@pytest.mark.parametrize(("accelerator", "delegate"), [("gpu", "GPU"), ("npu", "NPU")])
def test_an_accelerator_is_asked_for_and_named(target, tmp_path, model, accelerator, delegate):
    text = GPU.replace("GPU", delegate) + NEW
    bench = Bench(target, tmp_path, text, accelerator=accelerator)
    (found,) = bench.time(model)
    assert f"use_{accelerator}=true" in bench.flags()
    assert found.kernels == accelerator


def test_a_silent_fall_back_to_the_processor_is_a_failure(target, tmp_path, model):
    text = "GPU acceleration is unsupported on this platform.\n" + XNNPACK + NEW
    (found,) = Bench(target, tmp_path, text, accelerator="gpu").time(model)
    assert isinstance(found, Failure)
    assert found.reason == (
        "nothing ran on the GPU, and the tool fell back to the processor: "
        "GPU acceleration is unsupported on this platform"
    )


def test_a_part_on_the_processor_is_a_note(target, tmp_path, model):
    text = GPU.replace("completely", "partially") + NEW
    (found,) = Bench(target, tmp_path, text, accelerator="gpu").time(model)
    assert "only a part of the operators ran on the GPU" in found.notes


def test_operators_are_timed_in_a_run_of_their_own(target, tmp_path, model):
    bench = Bench(target, tmp_path)
    (found,) = bench.time(model, plan=BenchPlan(profile=True))
    calls = bench.calls.read_text().splitlines()
    assert ["op_profiling" in call for call in calls] == [False, False, True]  # the first: --help
    assert [o.name for o in found.operators] == ["CONV_2D", "TfLiteXNNPackDelegate"]


def test_a_tool_that_prints_no_operators_is_told(target, tmp_path, model):
    bench = Bench(target, tmp_path)
    (tmp_path / "profile").write_text("")
    (found,) = bench.time(model, plan=BenchPlan(profile=True))
    assert found.notes[-1] == "no time by operator: the tool printed none"


def test_without_xnnpack_and_on_some_cores(target, tmp_path, model):
    bench = Bench(target, tmp_path, kernels="builtin")
    (found,) = bench.time(model, plan=BenchPlan(affinity=(0,), energy=True))
    assert "use_xnnpack=false" in bench.flags()
    assert found.kernels == "builtin"
    assert "no energy: the tool does not tell it" in found.notes


def test_predict_says_why_it_cannot(target, tmp_path, model):
    with pytest.raises(NotImplementedError, match="gives no outputs"):
        Bench(target, tmp_path).session.predict(model, {})


FAILS = """#!/bin/sh
[ "$1" = --help ] && exit 0
echo "INFO: Loaded model"
echo "ERROR: Didn't find op for builtin opcode 'GELU' version '2'." >&2
echo "Benchmarking failed." >&2
exit 1
"""
FLOODS = """#!/bin/sh
[ "$1" = --help ] && exit 0
head -c 100000000 /dev/zero | tr '\\0' '\\n'
cat {log}
"""
KILLED = """#!/bin/sh
[ "$1" = --help ] && exit 0
kill -9 $$
"""


@pytest.mark.parametrize(
    ("script", "text", "sentence"),
    [
        (FAILS, NEW, "Didn't find op for builtin opcode 'GELU' version '2'. (exit code 1)"),
        (PRINTS, "", "benchmark_model told no times: it printed no line"),
        (PRINTS, NEW.replace("min=1238588", "min=-5"), "-5 as min, which cannot be"),
        (FLOODS, NEW, "printed more than 8,388,608 characters"),
        (KILLED, NEW, "(exit code -9)"),
        (FAILS.replace("GELU", "\x1b[2JGELU"), NEW, "opcode ' [2JGELU' version"),
    ],
    ids=["fails", "silent", "negative", "floods", "killed", "escapes"],
)
def test_a_tool_that_fails_or_lies_is_a_failure(target, tmp_path, model, script, text, sentence):
    (found,) = Bench(target, tmp_path, text, script).time(model)
    assert isinstance(found, Failure)
    assert sentence in found.reason
    assert not found.lost


def test_a_tool_for_another_machine_is_told_when_it_is_opened(target, tmp_path):
    with pytest.raises(CommandFailed, match="does not start on phone") as caught:
        Bench(target, tmp_path, script="\x7fELF no program")
    assert "processor" in caught.value.hint


# ---- where the tool comes from


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "needs either a binary or a url"),
        ({"binary": "a", "url": "https://b"}, "needs either a binary or a url"),
        ({"binary": "/no/such/tool"}, "must be a file"),
        ({"url": "http://localhost/tool", "sha256": "0" * 64}, "must begin with https://"),
        ({"url": "https://localhost/tool"}, "must be 64 hexadecimal digits; received ''"),
        ({"url": "https://localhost/tool", "sha256": "xyz"}, "must be 64 hexadecimal digits"),
    ],
)
def test_options_that_name_no_tool_are_refused(options, sentence):
    with pytest.raises(UsageError, match=sentence):
        find(Options(**options))


def test_an_unknown_option_is_refused_with_a_near_one(target, tmp_path):
    profile = DeviceProfile("phone", options={"binry": "x"})
    with pytest.raises(UsageError, match="binry") as caught:
        BenchmarkModel().open(target, str(tmp_path), profile)
    assert "binary" in caught.value.hint


class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self):
        type(self).asked += 1
        if self.path == "/away":
            self.send_response(302)
            self.send_header("Location", "http://localhost/tool")
            self.end_headers()
        elif self.path == "/tool":
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b"the tool")
        else:
            self.send_error(404)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    argv = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost"]
    argv += ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    try:
        subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl, which makes the certificate of a server")
    return folder


@pytest.fixture
def server(certificate, monkeypatch, tmp_path):
    """Yield the address of a real server with a certificate that this process believes."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate / "cert.pem"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Handler.asked = 0
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


TOOL = hashlib.sha256(b"the tool").hexdigest()


def test_a_download_is_kept_and_checked_each_time(server):
    path = find(Options(url=f"{server}/tool", sha256=TOOL))
    assert path.read_bytes() == b"the tool"
    assert find(Options(url=f"{server}/tool", sha256=TOOL)) == path
    assert Handler.asked == 1
    path.write_bytes(b"changed")
    assert find(Options(url=f"{server}/tool", sha256=TOOL)).read_bytes() == b"the tool"
    assert Handler.asked == 2


def kept():
    return [path for path in downloads.cache().glob("[!.]*") if path.is_file()]


def test_another_file_than_was_pinned_is_deleted(server):
    with pytest.raises(EdgeshrinkError, match="another file than was pinned") as caught:
        download(f"{server}/tool", "0" * 64)
    assert TOOL in str(caught.value)
    assert kept() == []


def test_a_download_that_is_too_large_is_stopped(server, monkeypatch):
    monkeypatch.setattr(downloads, "MOST_BYTES", 4)
    with pytest.raises(EdgeshrinkError, match="more than 4 bytes"):
        download(f"{server}/tool", TOOL)
    assert kept() == []


@pytest.mark.parametrize(
    ("path", "sentence"), [("away", "which is not https"), ("none", "404"), ("tool", "certificate")]
)
def test_a_download_that_cannot_be_trusted_is_refused(server, monkeypatch, path, sentence):
    if path == "tool":
        monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(EdgeshrinkError, match=sentence):
        download(f"{server}/{path}", TOOL)
    assert kept() == []
