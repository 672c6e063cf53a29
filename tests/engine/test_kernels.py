from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from edgeshrink.engine import workers
from edgeshrink.engine.running.kernels import FILE, Kernels
from edgeshrink.engine.workers import CRASHED, KERNELS, Account
from edgeshrink.models import Artifact, Kind

PLAIN = {"kernels": "without oneDNN"}


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Artifact:
    """A model, in a process that has not imported TensorFlow and whose environment says nothing."""
    for name in (KERNELS, CRASHED):
        monkeypatch.setenv(name, "")  # put back at the end
        monkeypatch.delenv(name)
    monkeypatch.delitem(sys.modules, "tensorflow", raising=False)
    path = tmp_path / "m.keras"
    path.write_bytes(b"a model")
    return Artifact(path, Kind.KERAS)


def test_keys_and_notes_are_as_they_were_where_nothing_crashed(
    base: Artifact, tmp_path: Path
) -> None:
    kernels = Kernels.of(tmp_path, base)
    assert kernels == Kernels()
    assert kernels.marks == ({},)
    assert kernels.notes("prune", trained=True) == []


def test_a_crash_is_remembered_for_the_model_and_the_version(
    base: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CRASHED, "SIGSEGV prune(sparsity=0.5)")
    monkeypatch.setenv(KERNELS, "0")
    first = Kernels.of(tmp_path, base)
    assert first == Kernels(True, "SIGSEGV", "prune(sparsity=0.5)")
    assert first.marks == ({}, PLAIN)
    assert CRASHED not in workers.os.environ
    monkeypatch.delenv(KERNELS)
    assert Kernels.of(tmp_path, base) == first
    assert workers.os.environ[KERNELS] == "0"  # what TensorFlow is about to read

    monkeypatch.delenv(KERNELS)
    other = tmp_path / "other.keras"
    other.write_bytes(b"another model")
    assert Kernels.of(tmp_path, Artifact(other, Kind.KERAS)) == Kernels()
    monkeypatch.setattr("edgeshrink.engine.running.kernels.version_of", lambda name: "2.99")
    assert Kernels.of(tmp_path, base) == Kernels()


def test_it_is_said_of_what_crashed_and_of_what_trains(base: Artifact, tmp_path: Path) -> None:
    kernels = Kernels(True, "SIGSEGV", "prune")
    said = "made without oneDNN's kernels: SIGSEGV ended the process with them"
    assert kernels.notes("prune", trained=False) == [f"{said} in this step"]
    assert kernels.notes("cluster", trained=True) == [f"{said} during prune"]
    assert kernels.notes("int8", trained=False) == []


def test_what_the_environment_switches_off_is_said_of_steps_that_train(
    base: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(KERNELS, "0")
    kernels = Kernels.of(tmp_path, base)
    assert kernels.marks == (PLAIN,)
    said = ["made without oneDNN's kernels: TF_ENABLE_ONEDNN_OPTS is 0"]
    assert kernels.notes("prune", trained=True) == said
    assert kernels.notes("int8", trained=False) == []


def test_a_process_that_has_tensorflow_keeps_the_kernels_that_it_has(
    base: Artifact, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(CRASHED, "SIGSEGV prune")
    Kernels.of(tmp_path, base)
    monkeypatch.delenv(KERNELS)
    monkeypatch.setitem(sys.modules, "tensorflow", pytest)
    assert Kernels.of(tmp_path, base) == Kernels()


@pytest.mark.parametrize("content", ["", "[]", "3", "{}", '{"base": 1}', "null", '"x"', "\x00"])
def test_what_cannot_be_read_is_nothing(base: Artifact, tmp_path: Path, content: str) -> None:
    (tmp_path / FILE).write_text(content)
    assert Kernels.of(tmp_path, base) == Kernels()


@pytest.mark.parametrize(
    ("told", "returncode", "environ", "again"),
    [
        (["at prune"], -11, {}, {KERNELS: "0", CRASHED: "SIGSEGV prune"}),
        (["at prune", "at  int8"], -8, {KERNELS: "1"}, {KERNELS: "0", CRASHED: "SIGFPE  int8"}),
        (["at prune"], -11, {KERNELS: "False"}, None),  # they were off
        (["without oneDNN", "at prune"], -11, {}, None),
        ([], -11, {}, None),  # before any step
        (["at prune"], -9, {}, None),
        (["at prune"], -15, {}, None),
        (["at prune"], 1, {}, None),
        (["at prune", "ends 0"], -11, {}, None),  # the work was done
    ],
)
def test_what_is_tried_again(
    told: list[str], returncode: int, environ: dict[str, str], again: dict[str, str] | None
) -> None:
    account = Account(environ)
    assert all(account.take(f"{line}\n") for line in told)
    assert account.again(returncode) == again
    assert not account.take('"another line"\n')


def test_what_is_remembered_is_plain_json(base: Artifact, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv(CRASHED, "SIGBUS the forecast of times")
    Kernels.of(tmp_path, base)
    kept = json.loads((tmp_path / FILE).read_text())
    assert (kept["signal"], kept["at"]) == ("SIGBUS", "the forecast of times")
