"""Jobs in processes of their own: many in one, some that crash, and the same files in any way."""

from __future__ import annotations

import hashlib
import importlib
import json
import os
import re
import socket
import subprocess
import sys
import time
import zipfile
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from edgeshrink.api import Method
from edgeshrink.devices import RULES
from edgeshrink.engine import Request
from edgeshrink.engine.jobs import crew as crew_module
from edgeshrink.engine.jobs.cluster import Cluster
from edgeshrink.engine.jobs.crew import Crew, JobProcess
from edgeshrink.engine.jobs.job import Job
from edgeshrink.engine.jobs.tasks import Build, Compress
from edgeshrink.errors import UsageError
from edgeshrink.models import content_digest
from edgeshrink.plugins import installed
from edgeshrink.recipes import Recipe
from edgeshrink.results import Budgets, json_text

NETS = """
import os
import signal
import time
from pathlib import Path

import keras


def net():
    with Path("pids.txt").open("a") as log:
        log.write(f"{os.getpid()}\\n")
    layers = keras.layers
    return keras.Sequential([keras.Input((4,)), layers.Dense(3), layers.Dense(2)])


def killed():
    net()
    os.kill(os.getpid(), signal.SIGKILL)


def wrong():
    raise ValueError("no net")


def until_told():
    made = net()
    while not Path("told").exists():
        time.sleep(0.1)
    return made


def long():
    net()
    time.sleep(60)
"""


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with functions that build models, some of which do not."""
    (tmp_path / "nets.py").write_text(NETS)
    return tmp_path


def build(place: Path, name: str, function: str) -> Job:
    return Job(name, place / name, name, Build(f"nets:{function}"))


def pids(place: Path) -> list[str]:
    return (place / "pids.txt").read_text().split()


def members(model: Path) -> list[str]:
    """Return digests of what is in a .keras archive, without the addresses that Keras writes."""
    with zipfile.ZipFile(model) as archive:
        names = sorted({*archive.namelist()} - {"metadata.json"})
        found = [archive.read(name) for name in names]
    plain = [re.sub(rb'"shared_object_id": \d+', b"", one) for one in found]
    return [hashlib.sha256(one).hexdigest() for one in plain]


@pytest.mark.heavy
def test_a_process_does_many_jobs_and_one_that_ends_it_costs_no_other(place: Path) -> None:
    told: list[tuple[str, str]] = []
    with Crew(1, place, lambda job, note: told.append((job.name, note))) as crew:
        first, second = (crew.run(build(place, name, "net")) for name in ("first", "second"))
        assert "error" not in first
        assert "error" not in second
        # neither names nor random numbers know of the job before
        assert members(place / "first" / "model.keras") == members(place / "second" / "model.keras")
        assert len(set(pids(place))) == 1
        said = crew.run(build(place, "third", "killed"))["error"]
        assert said.startswith("SIGKILL ended the process, before its first step: memory may")
        assert said.endswith("job.log may say why")
        # the jobs before might have filled the memory, so it was tried in a process of its own
        assert [name for name, _ in told] == ["third"]
        assert told[0][1].endswith("; again in another process")
        assert len(set(pids(place)[1:])) == 2
        assert "error" not in crew.run(build(place, "fourth", "net"))
        assert pids(place)[-1] not in pids(place)[:-1]
        assert crew.run(build(place, "fifth", "wrong"))["error"] == "ValueError: no net"
        assert "no net" in (place / "fifth" / "job.log").read_text()
        assert "absent" in crew.run(build(place, "sixth", "absent"))["error"]
        assert "error" not in crew.run(build(place, "seventh", "net"))
        # a process is kept after an error in words, and not after one that nobody foresaw
        assert [one.jobs for one in crew._idle] == [2]
        assert pids(place)[-1] not in pids(place)[:-1]
        assert "no net" not in (place / "fourth" / "job.log").read_text()
        before = pids(place)
        assert crew.run(build(place, "fourth", "net"))["key"] == "fourth"  # done, so not done again
        assert pids(place) == before


@pytest.mark.heavy
def test_a_crew_that_is_closed_ends_what_it_does(place: Path) -> None:
    job = build(place, "long", "long")
    with ThreadPoolExecutor(1) as pool:
        with Crew(1, place) as crew:
            running = pool.submit(crew.run, job)
            while not (place / "pids.txt").exists():
                assert not running.done()
        with pytest.raises(CancelledError):
            running.result(20)
    (pid,) = pids(place)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    assert job.result() is None
    with pytest.raises(CancelledError):
        crew.run(job)


def test_a_process_ends_with_the_one_that_began_it(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text("import time\n\ntime.sleep(60)\n")
    job = build(tmp_path, "job", "none")
    with job.held(pytest.fail):
        job.begin()
    command = [sys.executable, "-m", "edgeshrink.engine.jobs.process"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(str(tmp_path / "job")) + "\n")
        process.stdin.flush()
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        process.stdin.close()  # as the system does, whichever way that one ends
        assert process.wait(20) != 0


def test_a_request_is_the_same_after_it_was_written_down() -> None:
    methods = installed().methods
    plain = Request(Path("m.keras"), Recipe.from_text("--int8", methods), Path("m.tflite"))
    changed: dict[str, Any] = {
        "model": Path("/other/m.keras"),
        "recipe": Recipe.from_text('--prune 0.5 --prune-layers "a,<b>" --lr 1e-3', methods, seed=7),
        "out": Path("o.esz"),
        "data": "d.npz",
        "data_free": True,
        "preprocess": "scale=1/16",
        "reading": {"window": 8, "ignore_columns": "time,id"},
        "task": "tags",
        "decode": "m:decode",
        "calibration": 7,
        "devices": ("desktop", "rpi4"),
        "toolchains": ("onnx",),
        "at": "ssh://pi",
        "connection": {"config": "c", "port": 7},
        "trust_profile": True,
        "run": Path("r"),
        "stages": Path("s"),
        "force": True,
        "unsafe": True,
        "custom": ("m:o",),
        "input_shapes": {"": (1, 2)},
        "metric": "top1",
        "budgets": Budgets(max_drop="none"),
        "judged": "validation",
        "robustness": True,
        "robustness_samples": 3,
        "exports": ("c",),
        "seconds": 9.5,
        "bench": RULES["mlperf"],
        "command": "edgeshrink",
    }
    assert changed.keys() == {one.name for one in fields(Request)}
    for request in (plain, Request(**changed)):
        again = Request.from_dict(json.loads(json_text(request.as_dict())), methods)
        assert again.recipe.to_toml() == request.recipe.to_toml()
        for one in fields(Request):
            if one.name != "recipe":
                assert getattr(again, one.name) == getattr(request, one.name), one.name


FALL = '''
"""A step that ends its process, unless oneDNN's kernels are off."""

import os
import signal
from dataclasses import dataclass

from edgeshrink.api import Method, Phase, hookimpl


@dataclass(frozen=True)
class Options:
    pass


class Fall(Method):
    """End the process."""

    name, title, phase, Options = "fall", "Falling", Phase.PRUNE, Options

    def apply(self, model, context):
        if os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0":
            os.kill(os.getpid(), signal.SIGSEGV)
        return model


@hookimpl
def edgeshrink_methods():
    return [Fall]
'''


@pytest.fixture
def fall(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Method:
    """A step that crashes in oneDNN's kernels, installed for processes that are begun from now."""
    site = tmp_path / "site"
    info = site / "edgeshrink_fall-1.dist-info"
    info.mkdir(parents=True)
    (site / "edgeshrink_fall.py").write_text(FALL)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: edgeshrink-fall\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[edgeshrink]\nfall = edgeshrink_fall\n")
    monkeypatch.setenv("PYTHONPATH", f"{site}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    monkeypatch.syspath_prepend(site)
    module = importlib.import_module("edgeshrink_fall")
    made: Method = module.Fall()
    return made


@pytest.mark.heavy
def test_a_job_gives_the_same_files_whatever_its_process_did_before(
    digits: Path, digits_model: Path, tmp_path: Path, fall: Method, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[JobProcess] = []

    class Noted(JobProcess):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            begun.append(self)

    monkeypatch.setattr(crew_module, "JobProcess", Noted)
    plugins = installed()
    trained = Recipe.from_text("--prune 0.5 --epochs 1 --int8", plugins.methods)

    def job(name: str, recipe: Recipe) -> Job:
        folder = tmp_path / name
        request = Request(
            digits_model,
            recipe,
            folder / "model.tflite",
            data=str(digits),
            preprocess="scale=1/16",
            run=folder / "run",
            stages=tmp_path / f"stages-{name}",  # none are shared here
            bench=RULES["smoke"],
        )
        return Job(name, folder, name, Compress(request))

    def files(name: str) -> list[str]:
        stages = sorted((tmp_path / f"stages-{name}").glob("*-*/*.[kt]*"))
        return [content_digest(p) for p in (*stages, tmp_path / name / "model.tflite")]

    with Crew(1, tmp_path) as crew:
        fallen = crew.run(job("fallen", Recipe((fall,))))
        assert "error" not in fallen, fallen
        first, second = (crew.run(job(name, trained)) for name in ("first", "second"))
    (said,) = (row for row in fallen["report"]["ledger"]["rows"] if row["step"] == "fall")
    assert "without oneDNN's kernels: SIGSEGV ended the process" in said["notes"][0]
    # the crash ended one process, and the kernels of the next one are not those of other jobs
    assert [one.jobs for one in begun] == [1, 1, 2]
    assert len(files("first")) >= 5
    assert files("first") == files("second")
    for found in (first, second):
        assert not any("oneDNN" in note for row in rows(found) for note in row["notes"])
    assert [row["scores"] for row in rows(first)] == [row["scores"] for row in rows(second)]


def rows(found: dict[str, Any]) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = found["report"]["ledger"]["rows"]
    return told


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_does_the_same_jobs_each_once(place: Path, scheduler: str) -> None:
    names = [f"job{number}" for number in range(3)]
    jobs = [build(place, name, "net") for name in names]
    with Cluster(scheduler, place) as cluster, ThreadPoolExecutor(6) as pool:
        cluster.check(place)
        # whoever asks for a job that is being done waits for it
        found = list(pool.map(cluster.run, [*jobs, *jobs]))
        wrong = cluster.run(build(place, "wrong", "wrong"))
        killed = cluster.run(build(place, "killed", "killed"))
    assert not any("error" in one for one in found)
    assert found[:3] == found[3:]
    assert len(pids(place)) == 4
    assert wrong["error"] == "ValueError: no net"
    assert killed["error"].startswith("SIGKILL ended the process")
    assert members(place / "job0" / "model.keras") == members(place / "job2" / "model.keras")
    with Crew(1, place) as crew:  # what a cluster has done is done here too
        assert crew.run(jobs[0]) == found[0]
    assert len(pids(place)) == 4


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_is_closed_ends_what_its_workers_do(place: Path, scheduler: str) -> None:
    job = build(place, "long", "long")
    with ThreadPoolExecutor(1) as pool:
        with Cluster(scheduler, place) as cluster:
            running = pool.submit(cluster.run, job)
            while not (place / "pids.txt").exists():
                assert not running.done()
                time.sleep(0.1)
        with pytest.raises(CancelledError):
            running.result(20)
    (pid,) = pids(place)
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)
    assert job.result() is None


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore")
def test_a_cluster_that_cannot_work_is_refused(
    place: Path, scheduler: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Cluster(scheduler, place) as cluster:
        with pytest.raises(UsageError, match=r"does not see .*elsewhere"):
            cluster.check(place, place / "elsewhere")
        monkeypatch.setattr("edgeshrink.engine.jobs.cluster.source_digest", lambda name: "new")
        with pytest.raises(UsageError, match="has another version of edgeshrink"):
            cluster.check(place)
    monkeypatch.setattr("edgeshrink.engine.jobs.cluster.ANSWER_SECONDS", 1)
    with pytest.raises(UsageError, match="no Dask scheduler answers at 'tcp://localhost:1'"):
        Cluster("tcp://localhost:1", place)


@pytest.mark.heavy
@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_that_restarts_is_given_what_it_lost(place: Path) -> None:
    pytest.importorskip("distributed")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"tcp://127.0.0.1:{free.getsockname()[1]}"
    told: list[str] = []

    def begin(name: str, *more: str) -> subprocess.Popen[bytes]:
        argv = [sys.executable, "-m", f"distributed.cli.dask_{name}", *more]
        return subprocess.Popen(argv, cwd=place, stderr=subprocess.DEVNULL)

    def both() -> list[subprocess.Popen[bytes]]:
        scheduler = begin("scheduler", "--host", address, "--no-dashboard")
        return [scheduler, begin("worker", address, "--nthreads", "1", "--no-nanny")]

    def answering() -> Cluster:
        until = time.monotonic() + 60
        while True:
            try:
                return Cluster(address, place, lambda job, note: told.append(note))
            except UsageError:
                assert time.monotonic() < until
                time.sleep(0.5)

    begun = both()
    try:
        with answering() as cluster, ThreadPoolExecutor(1) as pool:
            running = pool.submit(cluster.run, build(place, "long", "until_told"))
            while not (place / "pids.txt").exists():
                assert not running.done()
                time.sleep(0.1)
            begun[0].kill()
            begun[0].wait()
            begun += both()
            while not told:
                assert not running.done()
                time.sleep(0.1)
            (place / "told").touch()
            assert "error" not in running.result(60)
        assert told[0] == "the scheduler lost it; it is given out again"
    finally:
        for process in begun:
            process.kill()
            process.wait()
