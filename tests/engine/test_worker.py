"""Work that is ended by signals, through the real command: told, tried again, never left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

Run = Callable[..., subprocess.CompletedProcess[str]]
pytestmark = pytest.mark.heavy

PLUGIN = '''
"""Steps that end their own process, as a library or a user's code might."""

import os
import signal
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from edgeshrink.api import Flag, Method, Phase, hookimpl


@dataclass(frozen=True)
class Options:
    how: Annotated[str, Flag("A signal, or what else to do.")]
    always: Annotated[bool, Flag("Without oneDNN's kernels too.")] = False


class Fall(Method):
    """End the process, unless oneDNN's kernels are off."""

    name, title, phase, Options = "fall", "Falling", Phase.PRUNE, Options

    def apply(self, model, context):
        with Path("fallen.txt").open("a") as log:
            log.write(os.environ.get("TF_ENABLE_ONEDNN_OPTS", "on") + "\\n")
        how = self.options.how
        if how == "wait":
            Path("waiting.txt").write_text(f"{os.getpid()} {os.getppid()}")
            time.sleep(60)
        elif how == "exit":
            sys.exit(0)
        elif how == "_exit":
            os._exit(0)
        elif self.options.always or os.environ.get("TF_ENABLE_ONEDNN_OPTS") != "0":
            os.kill(os.getpid(), signal.Signals[how])
        return model


@hookimpl
def edgeshrink_methods():
    return [Fall]
'''


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the plugin, as pip would install it."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "edgeshrink_fall.py").write_text(PLUGIN)
    info = folder / "edgeshrink_fall-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: edgeshrink-fall\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[edgeshrink]\nfall = edgeshrink_fall\n")
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from edgeshrink.testing import tiny_model

    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    tiny_model().save(path)
    return path


@pytest.fixture
def environ(site: Path) -> dict[str, str]:
    path = os.pathsep.join([str(site), *filter(None, [os.environ.get("PYTHONPATH", "")])])
    clean = {k: v for k, v in os.environ.items() if k != "TF_ENABLE_ONEDNN_OPTS"}
    return {**clean, "PYTHONPATH": path, "NO_COLOR": "1", "COLUMNS": "120"}


@pytest.fixture
def compress(
    environ: dict[str, str], model: Path, tmp_path: Path
) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(*argv: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(model, *argv),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
            env={**environ, **more},
        )

    return run


def command(model: Path, *argv: str) -> list[str]:
    program = [sys.executable, "-m", "edgeshrink.cli"]
    return [*program, "compress", str(model), *argv, "--rules", "smoke", "-o", "x.tflite"]


def notes(done: subprocess.CompletedProcess[str]) -> dict[str, list[str]]:
    rows = json.loads(done.stdout)["ledger"]["rows"]
    return {row["step"].partition("(")[0]: row["notes"] for row in rows}


def test_a_step_that_crashes_is_made_again_without_onednn_and_said(
    compress: Run, tmp_path: Path
) -> None:
    argv = ("--step", "fall how=SIGSEGV", "--step", "float", "--json")
    done = compress(*argv)
    assert done.returncode == 0, done.stderr
    during = "fall(how=SIGSEGV)"
    assert done.stderr.count("warning: ") == 1
    assert f"SIGSEGV ended the process during {during}; starting it again" in done.stderr
    said = "made without oneDNN's kernels: SIGSEGV ended the process with them in this step"
    assert notes(done)["fall"][0] == said
    assert (tmp_path / "fallen.txt").read_text() == "on\n0\n"
    # the base as float was made before, by all kernels; it was not made again
    rows = json.loads(done.stdout)["ledger"]["rows"]
    assert [row["reused"] for row in rows] == [False, True, False, False, False][: len(rows)]

    again = compress(*argv, "--force")
    assert again.returncode == 0, again.stderr
    assert notes(again)["fall"][0] == said
    assert "ended the process" not in again.stderr
    assert (tmp_path / "fallen.txt").read_text() == "on\n0\n"  # found, not made


@pytest.mark.slow
@pytest.mark.parametrize("name", ["SIGABRT", "SIGILL", "SIGFPE", "SIGBUS"])
def test_other_crashes_are_tried_again_as_well(compress: Run, tmp_path: Path, name: str) -> None:
    done = compress("--step", f"fall how={name}", "--json")
    assert done.returncode == 0, done.stderr
    assert f"{name} ended the process during fall" in done.stderr
    assert (tmp_path / "fallen.txt").read_text() == "on\n0\n"


def test_a_second_crash_of_the_same_step_ends_the_run_with_a_sentence(
    compress: Run, tmp_path: Path
) -> None:
    step = "fall how=SIGSEGV always=true"
    done = compress("--step", step)
    assert done.returncode == 1
    last = "error: SIGSEGV ended the process during fall(how=SIGSEGV, always=True)"
    assert f"{last}, without oneDNN's kernels\nhint:  leave that step out, or" in done.stderr
    assert "the same command goes on from the last whole step" in done.stderr
    assert (tmp_path / "fallen.txt").read_text() == "on\n0\n"
    # it is remembered: no crash with them first
    assert compress("--step", step).returncode == 1
    assert (tmp_path / "fallen.txt").read_text() == "on\n0\n0\n"
    # and so it is where a user has switched them off
    assert compress("--step", step, "--run", "y.run", TF_ENABLE_ONEDNN_OPTS="0").returncode == 1
    assert (tmp_path / "fallen.txt").read_text() == "on\n0\n0\n0\n"


STUDY = """
title = "Falls"
rules = "smoke"
[data.digits]
spec = "digits.npz"
preprocess = "scale=1/16"
[models.small]
file = "digits.keras"
data = "digits"
[recipes]
once = ["fall how=SIGSEGV", "float"]
always = ["fall how=SIGSEGV always=true", "float"]
[[tables]]
name = "1"
title = "Falls"
columns = ["accuracy"]
rows = [
 {label = "once", model = "small", recipe = "once"},
 {label = "always", model = "small", recipe = "always"},
]
"""


@pytest.mark.slow
def test_a_run_of_a_study_that_crashes_is_tried_again_likewise(
    environ: dict[str, str], digits: Path, digits_model: Path, tmp_path: Path
) -> None:
    (tmp_path / "falls.toml").write_text(STUDY)
    shutil.copy(digits, tmp_path / "digits.npz")
    shutil.copy(digits_model, tmp_path / "digits.keras")
    argv = [sys.executable, "-m", "edgeshrink.cli", "study", "falls.toml", "--json"]
    done = subprocess.run(argv, cwd=tmp_path, env=environ, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    (table,) = json.loads(done.stdout)["tables"]
    missing = {row["label"]: row["missing"] for row in table["rows"]}
    assert missing["once"] == ""
    assert "SIGSEGV ended the process during fall(how=SIGSEGV, always=True)" in missing["always"]
    assert "without oneDNN's kernels; " in missing["always"]
    # both recipes share the folder of the model's stages, and so what is remembered there
    assert (tmp_path / "fallen.txt").read_text() == "on\n0\n0\n"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("SIGKILL", ": memory may have run out\nhint:  a smaller --batch-size or --calibration"),
        ("SIGTERM", "\nhint:  the same command goes on from the last whole step\n"),
    ],
)
def test_what_was_killed_is_not_tried_again(
    compress: Run, tmp_path: Path, name: str, said: str
) -> None:
    done = compress("--step", f"fall how={name}")
    assert done.returncode == 1
    assert f"error: {name} ended the process during fall(how={name}){said}" in done.stderr
    assert (tmp_path / "fallen.txt").read_text() == "on\n"


def test_a_crash_before_any_step_is_told_and_not_tried_again(
    environ: dict[str, str], model: Path, tmp_path: Path
) -> None:
    (tmp_path / "mine.py").write_text("import os\ndef data():\n    os.abort()\n")
    done = subprocess.run(
        command(model, "--data", "mine:data"),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env=environ,
    )
    assert done.returncode == 1
    assert "error: SIGABRT ended the process, before its first step\n" in done.stderr
    assert "hint:  memory or threads may have run out; `edgeshrink doctor` checks" in done.stderr
    assert "warning: " not in done.stderr


def test_code_that_leaves_python_is_a_failure(compress: Run, tmp_path: Path) -> None:
    done = compress("--step", "fall how=exit")
    assert done.returncode == 1
    assert "error: code that was run called sys.exit(0) in " in done.stderr
    assert "edgeshrink_fall.py, line " in done.stderr
    done = compress("--step", "fall how=_exit")
    assert done.returncode == 1
    assert "the process ended with exit code 0 during fall(how=_exit), and said" in done.stderr
    assert not (tmp_path / "x.tflite").exists()


@pytest.fixture
def limited() -> Iterator[Callable[[int], list[str]]]:
    """Give the words that start a command with so many threads and processes at most, as root."""
    place = next(
        (
            p
            for p in map(Path, ("/sys/fs/cgroup/pids", "/sys/fs/cgroup"))
            if (p / "tasks").exists() or (p / "cgroup.procs").exists()
        ),
        None,
    )
    group = place / f"edgeshrink-test-{os.getpid()}" if place else None
    try:
        assert group is not None
        group.mkdir()
        (group / "pids.max").write_text("max")
    except (AssertionError, OSError):
        pytest.skip("limiting processes needs a control group that this user may write")

    def words(most: int) -> list[str]:
        (group / "pids.max").write_text(str(most))
        return ["sh", "-c", f'echo $$ > {group}/cgroup.procs; exec "$@"', "sh"]

    yield words
    deadline = time.monotonic() + 20
    while (group / "cgroup.procs").read_text() and time.monotonic() < deadline:
        time.sleep(0.1)
    group.rmdir()


def test_a_machine_without_room_for_threads_is_told_and_the_run_goes_on(
    limited: Callable[[int], list[str]], environ: dict[str, str], model: Path, tmp_path: Path
) -> None:
    argv = command(model, "--step", "float")

    def run(words: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*words, *argv], cwd=tmp_path, env=environ, capture_output=True, text=True
        )

    for most, said in (
        (1, "error: no more processes can be started"),
        (2, "error: no more threads can be started"),
        (3, "error: "),  # numpy's threads
        (9, "error: "),  # TensorFlow's
    ):
        done = run(limited(most))
        assert done.returncode == 1, done.stderr
        assert said in done.stderr
        assert "threads" in done.stderr or "processes" in done.stderr
        assert "Traceback" not in done.stderr
        assert "unexpected" not in done.stderr
    assert run([]).returncode == 0


@pytest.fixture
def waiting(
    environ: dict[str, str], model: Path, tmp_path: Path
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A run in the middle of a step, and the number of its worker's process."""
    # shells start what runs in the background with SIGINT ignored, nohup with SIGHUP
    default = dict.fromkeys((signal.SIGINT, signal.SIGHUP), signal.SIG_DFL)
    before = {number: signal.signal(number, handler) for number, handler in default.items()}
    started = subprocess.Popen(
        command(model, "--step", "fall how=wait", "--step", "float"),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=environ,
    )
    for number, handler in before.items():
        signal.signal(number, handler)
    with started as process:
        place, deadline = tmp_path / "waiting.txt", time.monotonic() + 120
        while not (place.exists() and place.read_text()) and time.monotonic() < deadline:
            time.sleep(0.05)
        worker, parent = map(int, place.read_text().split())
        assert parent == process.pid
        yield process, worker
        process.kill()


def family(worker: int) -> list[int]:
    """Return the worker and the processes that it started."""
    tasks = Path(f"/proc/{worker}/task").glob("*/children")
    return [worker, *(int(child) for task in tasks for child in task.read_text().split())]


def alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def all_end(processes: list[int]) -> bool:
    deadline = time.monotonic() + 20
    while any(map(alive, processes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not any(map(alive, processes))


linux = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="reads /proc")


@linux
@pytest.mark.parametrize("whom", ["supervisor", "worker"])
def test_nothing_is_left_behind_when_one_is_killed(
    waiting: tuple[subprocess.Popen[str], int], whom: str
) -> None:
    process, worker = waiting
    started = family(worker)
    assert len(started) > 1  # the converter's, at least
    os.kill({"supervisor": process.pid, "worker": worker}[whom], signal.SIGKILL)
    assert all_end(started)
    _, said = process.communicate(timeout=20)
    if whom == "worker":
        assert process.returncode == 1
        assert "SIGKILL ended the process during fall(how=wait): memory may have" in said


@linux
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_signals_reach_the_worker(waiting: tuple[subprocess.Popen[str], int], name: str) -> None:
    process, worker = waiting
    started = family(worker)
    process.send_signal(signal.Signals[name])
    _, said = process.communicate(timeout=20)
    assert all_end(started)
    if name == "SIGINT":
        assert process.returncode == 130
        assert said.endswith(
            "error: interrupted\nhint:  the same command resumes after the last whole step\n"
        )
    else:
        assert process.returncode == -signal.Signals[name]


@linux
def test_ctrl_c_reaches_both_and_interrupts_once(
    waiting: tuple[subprocess.Popen[str], int],
) -> None:
    process, worker = waiting
    for each in (worker, process.pid):  # as a terminal does it
        os.kill(each, signal.SIGINT)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 130
    assert said.count("error: interrupted") == 1
    assert "Traceback" not in said


@linux
def test_the_supervisor_is_small_and_loads_nothing_heavy(
    waiting: tuple[subprocess.Popen[str], int],
) -> None:
    process, _ = waiting
    status = Path(f"/proc/{process.pid}/status").read_text()
    resident = next(line for line in status.splitlines() if line.startswith("VmRSS"))
    assert int(resident.split()[1]) < 20_000  # kB
    mapped = Path(f"/proc/{process.pid}/maps").read_text()
    assert "tensorflow" not in mapped
    assert "numpy" not in mapped
