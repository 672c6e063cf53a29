"""Runs that are killed, damaged, shared or that fail: nothing whole is lost or made twice."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import keras
import numpy as np
import pytest

import edgeshrink as package
from edgeshrink import engine
from edgeshrink.devices import RULES
from edgeshrink.engine import Request, plan
from edgeshrink.engine.running.run_folder import RunFolder
from edgeshrink.engine.running.stage_store import Stage, StageStore
from edgeshrink.errors import ConversionError, UsageError
from edgeshrink.models import Artifact, Kind, file_digest, write_sealed
from edgeshrink.plugins import installed
from edgeshrink.recipes import Recipe
from edgeshrink.results import Report

Run = Callable[..., subprocess.CompletedProcess[str]]
SCALE = {"preprocess": "scale=1/16", "rules": "smoke"}


@pytest.mark.heavy
@pytest.mark.parametrize("stage", [pytest.param("training", marks=pytest.mark.slow), "converting"])
def test_a_killed_run_goes_on_from_the_last_whole_stage(
    edgeshrink: Run, digits: Path, digits_model: Path, tmp_path: Path, stage: str
) -> None:
    argv = ["compress", digits_model, "--prune", "0.5", "--int8", "--data", digits]
    argv += ["--preprocess", "scale=1/16", "--epochs", "1", "--rules", "smoke", "-o", "k.tflite"]
    with subprocess.Popen(
        [sys.executable, "-m", "edgeshrink.cli", *map(str, argv)],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "NO_COLOR": "1"},
        start_new_session=True,
    ) as process:
        folder = tmp_path / "k.run"
        wanted = {"training": "prune-*", "converting": "int8-*"}[stage]
        deadline = time.monotonic() + 120
        while not list(folder.glob(wanted)) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
    assert not (tmp_path / "k.tflite").exists()
    assert not list(folder.glob(f"{wanted}/done.json"))
    done = edgeshrink(*argv, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["ledger"]["rows"]
    assert rows[1]["reused"]
    assert rows[2]["reused"] == (stage == "converting")
    assert not rows[3]["reused"]


@pytest.mark.heavy
def test_a_damaged_stage_is_made_again(digits: Path, digits_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "d.tflite"
    options = {"output": out, "float": True, "data": str(digits), "force": True, **SCALE}
    first = package.compress(digits_model, **options)
    stage = out.with_suffix(".run") / first.ledger.final.file
    stage.write_bytes(stage.read_bytes()[:-7])
    again = package.compress(digits_model, **options)
    assert not again.ledger.final.reused
    assert again.ledger.rows[1].reused


def told(**changed: Any) -> dict[str, Any]:
    """Return what a stage with the one file `m.keras` says of itself, with some of it changed."""
    whole = {"file": "m.keras", "kind": "keras", "made_by": "prune", "facts": {}, "state": ""}
    whole |= {"companions": [], "files": {"m.keras": ""}, "seconds": 1.0, "notes": []}
    return whole | changed


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        ({}, True),
        ({"file": "../m.keras", "files": {"../m.keras": ""}}, False),
        ({"file": "other.keras"}, False),
        ({"companions": ["names.json"]}, False),
        ({"kind": "program"}, False),
        ({"files": ["m.keras"]}, False),
        ({"seconds": "long"}, False),
    ],
)
def test_a_stage_is_believed_when_all_that_it_names_is_its_own(
    changed: dict[str, Any], found: bool, tmp_path: Path
) -> None:
    said: list[str] = []
    store = StageStore(tmp_path, said.append)
    with store.held("prune", "0" * 16, pytest.fail) as place:
        for file in (place / "m.keras", tmp_path / "m.keras"):
            file.write_bytes(b"x")
        document = told(**changed)
        if isinstance(document["files"], dict):
            document["files"] = {name: file_digest(place / "m.keras") for name in document["files"]}
        write_sealed(place / "done.json", document)
        stage = store.find("prune", "0" * 16, Artifact(tmp_path / "m.keras", Kind.KERAS))
        if stage is None:
            store.begin(place)
    assert (stage is not None, len(said)) == (found, int(not found))
    assert {path.name for path in place.iterdir()} == (
        {"m.keras", "done.json"} if found else {"lock"}
    )


def made(store: StageStore, base: Artifact, key: str, waiting: Callable[[], Any]) -> bool:
    """Make a stage of one file unless it is there; return whether it was made now."""
    with store.held("prune", key, waiting) as place:
        if store.find("prune", key, base):
            return False
        store.begin(place)
        time.sleep(0.1)
        (place / "m.keras").write_bytes(b"x")
        store.finish(Stage(Artifact(place / "m.keras", Kind.KERAS, "prune", base), 0.1, ()))
        return True


def test_runs_that_want_a_stage_at_once_make_it_once(tmp_path: Path) -> None:
    base, together = Artifact(tmp_path / "base.keras", Kind.KERAS), Barrier(4)

    def want(key: str) -> bool:
        together.wait()
        return made(StageStore(tmp_path, pytest.fail), base, key, pytest.fail)

    with ThreadPoolExecutor(4) as pool:
        for place in range(10):
            key = f"{place:016}"
            assert sorted(pool.map(want, [key] * 4)) == [False, False, False, True]
            names = {path.name for path in (tmp_path / f"prune-{key}").iterdir()}
            assert names == {"m.keras", "done.json"}


HOLDER = """
import sys, time
from pathlib import Path
from edgeshrink.engine.running.stage_store import StageStore

with StageStore(Path(sys.argv[1]), print).held("prune", "0" * 16, print) as place:
    (place / "half.keras").write_bytes(b"half")
    print("held", flush=True)
    time.sleep(60)
"""


def test_who_waits_for_a_stage_is_told_so_and_makes_it_when_its_maker_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgeshrink.models.locks.PATIENCE", 0.1)
    argv = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        base = Artifact(tmp_path / "base.keras", Kind.KERAS)
        # it is told that it waits, and only then the other one is killed
        assert made(StageStore(tmp_path, pytest.fail), base, "0" * 16, holder.kill)
    (place,) = tmp_path.glob("prune-*")
    assert {path.name for path in place.iterdir()} == {"m.keras", "done.json"}


@pytest.mark.heavy
def test_runs_that_share_stages_make_each_once(
    digits: Path, digits_model: Path, tmp_path: Path
) -> None:
    plugins, store = installed(), tmp_path / "stages"

    def run(name: str, flags: str, metric: str = "") -> Report:
        out = tmp_path / name / "m.tflite"
        out.parent.mkdir()
        request = Request(
            digits_model,
            Recipe.from_text(flags, plugins.methods),
            out,
            data=str(digits),
            preprocess="scale=1/16",
            stages=store,
            metric=metric,
            bench=RULES["smoke"],
        )
        report = engine.compress(plan(request, plugins), plugins)
        for row in report.ledger.rows[1:]:
            assert file_digest(out.with_suffix(".run") / row.file) in digests(store)
        return report

    first = run("one", "--prune 0.5 --epochs 1 --teacher original --int8")
    assert {row.reused for row in first.ledger.rows[1:]} == {False}
    again = run("two", "--prune 0.5 --epochs 1 --teacher original --fp16")
    reused = {row.step.partition("(")[0]: row.reused for row in again.ledger.rows[1:]}
    assert reused == {"base as float": True, "prune": True, "fp16": False, "strip": False}
    other = run("three", "--prune 0.5 --epochs 1 --teacher original --fp16", metric="top5")
    assert not other.ledger.rows[2].reused  # what training kept may have been chosen by it
    assert len(list(store.glob("answers-*.npz"))) == 1  # of the teacher, asked once
    names = {path.name for path in (tmp_path / "two" / "m.run").iterdir()}
    assert not names & {"outputs", *(path.name for path in store.iterdir())}


def digests(folder: Path) -> set[str]:
    return {file_digest(path) for path in folder.rglob("*") if path.is_file()}


def test_two_runs_cannot_share_a_folder(digits: Path, digits_model: Path, tmp_path: Path) -> None:
    out = tmp_path / "x.tflite"
    with (
        RunFolder(out.with_suffix(".run"), print).locked(),
        pytest.raises(UsageError, match="another process works"),
    ):
        package.compress(digits_model, output=out, int8=True, data=str(digits), **SCALE)


def test_runs_that_begin_at_once_are_served_or_told_that_another_works(tmp_path: Path) -> None:
    def begin(folder: Path, together: Barrier) -> str:
        together.wait()
        try:
            with RunFolder(folder, print).locked():
                return "worked"
        except UsageError as error:
            return str(error).partition(" in ")[0]

    with ThreadPoolExecutor(4) as pool:
        for place in range(20):
            together = Barrier(4)
            begun = [pool.submit(begin, tmp_path / f"{place}.run", together) for _ in range(4)]
            said = {one.result() for one in begun}
            assert "worked" in said
            assert said <= {"worked", "another process works"}


@pytest.mark.heavy
def test_a_failed_step_is_named_with_the_last_good_model(
    digits: Path, digits_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edgeshrink.nn.conversion import keras_to_tflite

    # the converter's own process is told to work on a file that is no SavedModel
    real = keras_to_tflite.export

    def spoiled(model: keras.Model, folder: Path, **form: bool) -> Path:
        saved = real(model, folder, **form)
        if np.asarray(model.layers[-2].kernel == 0).any():
            (saved / "saved_model.pb").write_bytes(b"not a model")
        return saved

    monkeypatch.setattr(keras_to_tflite, "export", spoiled)
    with pytest.raises(ConversionError, match=r"^int8: .*the last good model is .*prune.keras"):
        package.compress(
            digits_model,
            output=tmp_path / "x.tflite",
            prune=0.5,
            int8=True,
            data=str(digits),
            epochs=1,
            **SCALE,
        )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one megabyte, where this user may mount one."""
    folder = tmp_path / "small"
    folder.mkdir()
    argv = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(argv, capture_output=True).returncode:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk_is_told_and_nothing_is_lost(small_disk: Path, tmp_path: Path) -> None:
    keras.utils.set_random_seed(0)
    layers = [keras.Input((64,)), keras.layers.Dense(4096), keras.layers.Dense(4)]
    model = tmp_path / "wide.keras"
    keras.Sequential(layers).save(model)
    before = model.read_bytes()
    with pytest.raises(OSError, match="No space left") as told:
        package.compress(model, output=small_disk / "w.tflite", float=True, rules="smoke")
    assert told.value.errno == errno.ENOSPC
    assert not (small_disk / "w.tflite").exists()
    assert model.read_bytes() == before
