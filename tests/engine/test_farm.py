"""Several devices at once: real runners in real processes, some of which fail or lie."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tiny_models import converted

import edgeshrink as package
from edgeshrink.devices.measurement import RULES
from edgeshrink.devices.profile import DeviceProfile
from edgeshrink.engine.measuring import compatibility
from edgeshrink.engine.measuring.checkpoint import Kept
from edgeshrink.engine.measuring.device_farm import DeviceFarm, granted_threads
from edgeshrink.errors import ModelError, UsageError
from edgeshrink.models.artifact import Artifact, Kind
from edgeshrink.plugins import installed
from edgeshrink.results.judge import Judge
from edgeshrink.tflite.reader import read_model

Run = Callable[..., subprocess.CompletedProcess[str]]
DEAD = 'target = "ssh"\naddress = "ssh://nobody@127.0.0.1:1"\n'


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to work in, with the user's device profiles and a cache of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    installed.cache_clear()  # it remembers where the user's profiles are
    (tmp_path / "edgeshrink" / "device_profiles").mkdir(parents=True)
    return tmp_path


def device(here: Path, name: str, text: str) -> None:
    (here / "edgeshrink" / "device_profiles" / f"{name}.toml").write_text(text, encoding="utf-8")


def patched_python(here: Path, name: str, code: str) -> str:
    """Return an interpreter that runs `code` before the runner: a runtime that goes wrong."""
    folder = here / name
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(code, encoding="utf-8")
    script = folder / "python"
    script.write_text(
        f'#!/bin/sh\nPYTHONPATH="{folder}:$PYTHONPATH" exec "{sys.executable}" "$@"\n'
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    return f'python = "{script}"\n'


LYING = """
import ai_edge_litert.interpreter as module
import numpy as np
plain = module.Interpreter.get_tensor
def get_tensor(self, index):
    found = plain(self, index)
    return ANSWER if found.dtype.kind == "f" else found
module.Interpreter.get_tensor = get_tensor
"""


def model(name: str = "float") -> Path:
    return converted() / f"{name}.tflite"


def data(here: Path) -> str:
    random = np.random.default_rng(0)
    x, y = random.random((60, 8, 8, 1), dtype=np.float32), random.integers(0, 4, 60)
    np.savez(here / "data.npz", x_train=x, y_train=y, x_test=x[:40], y_test=y[:40])
    return str(here / "data.npz")


def test_a_device_gets_the_outputs_and_the_score_of_this_machine(here: Path) -> None:
    device(here, "other", f'python = "{sys.executable}"\n')  # its own process, not "this machine"
    report = package.bench(
        model(), model("int8"), device=("desktop", "other"), rules="smoke", data=data(here)
    )
    assert not report.failed
    by_device = {(r.device, Path(r.model).stem): r for r in report.results}
    assert [r.device for r in report.results] == ["desktop", "desktop", "other", "other"]
    for name in ("float", "int8"):
        one, other = by_device["desktop", name], by_device["other", name]
        assert one.scores == other.scores
        assert other.host_error == pytest.approx(0, abs=1e-4)
        assert one.host_error is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("found * np.nan", "not finite"),
        ("found * 0 + 0.25", "differ from this machine's"),
        ("found[..., ::-1]", "differ from this machine's"),
    ],
)
def test_a_runtime_that_computes_wrongly_is_caught(here: Path, answer: str, said: str) -> None:
    device(here, "liar", patched_python(here, "lies", LYING.replace("ANSWER", answer)))
    report = package.bench(model(), device=("liar", "desktop"), rules="smoke")
    liar, desktop = report.results
    assert liar.failure is not None
    assert "computes wrongly" in liar.failure.reason
    assert said in liar.failure.reason
    assert liar.measurement is None
    assert desktop.measurement is not None


def test_a_dead_device_is_a_row_and_the_others_go_on(here: Path, edgeshrink: Run) -> None:
    device(here, "dead", DEAD)
    device(here, "alive", f'python = "{sys.executable}"\n')
    done = edgeshrink(
        "bench", model(), "--device", "dead", "--device", "alive", "--rules", "smoke", "--json",
        cwd=here,
    )  # fmt: skip
    assert done.returncode == 3, done.stderr
    dead, alive = json.loads(done.stdout)["results"]
    assert dead["failure"]["lost"]
    assert "refused" in dead["failure"]["reason"]
    assert alive["measurement"]["samples_ns"]
    assert "--resume" in done.stderr


def test_resume_keeps_what_was_measured_before_a_device_was_lost(here: Path) -> None:
    device(here, "dead", DEAD)
    device(here, "alive", f'python = "{sys.executable}"\n')
    asked = {"device": ("alive", "dead"), "rules": "smoke", "data": data(here)}
    first = package.bench(model(), **asked)
    again = package.bench(model(), **asked, resume=True)
    assert first.lost
    assert again.lost
    assert again.results[0].measurement == first.results[0].measurement
    assert again.results[0].scores == first.results[0].scores
    assert "measured in an earlier, cut run" in again.results[0].notes
    anew = package.bench(model(), **asked)
    assert anew.results[0].measurement != first.results[0].measurement


def test_a_whole_sweep_leaves_nothing_in_the_cache(here: Path) -> None:
    device(here, "alive", f'python = "{sys.executable}"\n')
    package.bench(model(), device=("alive",), rules="smoke")
    left = (here / "cache" / "edgeshrink" / "sweeps").glob("*/")
    assert list(left) == []


def test_devices_and_addresses_are_checked_before_any_work(here: Path) -> None:
    with pytest.raises(UsageError, match="twice"):
        package.bench(model(), device=("desktop", "desktop"))
    with pytest.raises(UsageError, match="at= goes with one device"):
        package.bench(model(), device=("desktop", "rpi4"), at="ssh://pi@pi")
    with pytest.raises(UsageError, match="takes no address"):
        package.bench(model(), at="ssh://pi@pi")
    device(here, "wrong", 'target = "ssh"\n[connection]\nconf = "x"\n')
    with pytest.raises(UsageError, match="conf") as told:
        package.bench(model(), device=("wrong",))
    assert "config" in told.value.hint


def test_a_file_that_cannot_fit_is_not_sent(here: Path) -> None:
    size = model().stat().st_size
    device(here, "small", f'python = "/no/such/python"\nstorage_bytes = {size - 1}\n')
    report = package.bench(model(), device=("small", "desktop"), rules="smoke")
    reason = report.results[0].failure.reason
    assert f"{size:,} bytes" in reason
    assert f"{size - 1:,}" in reason
    assert report.results[1].measurement is not None


def test_why_a_file_does_not_fit_a_device() -> None:
    flat = read_model(model("int8").read_bytes())

    def said(**more: object) -> str:
        return " / ".join(compatibility.problems(flat, DeviceProfile("board", **more)))

    assert said() == ""
    room = said(storage_bytes=64, memory_bytes=64)
    assert room.startswith(f"the file has {flat.size_bytes:,} bytes, and board has 64 to store it")
    assert "bytes of memory at least, and board has 64" in room
    assert said(precisions=("float32",)) == (
        "the file computes in int8, and board has no kernels for it"
    )
    operator = flat.operators[0]
    old = said(operators={operator.name: operator.version - 1})
    assert old == (
        f"on board, its runtime refuses versions above {operator.version - 1} ({operator.name})"
    )
    assert said(operators={operator.name: operator.version}) == ""


def test_sparse_weights_of_integers_are_refused() -> None:
    flat = read_model(model("int8").read_bytes())
    (first, *_) = flat.weights
    tensors = tuple(replace(t, sparse=t is first) for t in flat.tensors)
    board = DeviceProfile("board", reads=(installed().readers["litert"],))
    (said,) = compatibility.problems(replace(flat, tensors=tensors), board)
    assert said.startswith("on board, LiteRT 2.3 refuses integer weights stored sparsely (")


def test_what_cannot_run_here_is_not_compared(here: Path) -> None:
    def broken() -> Judge:
        raise ModelError("no kernels here")

    other = DeviceProfile("other", python=sys.executable)
    farm = DeviceFarm([other], RULES["smoke"], installed(), broken, Kept(here / "kept"))
    file = Artifact(model(), Kind.TFLITE)
    (found,) = farm.observe([file], None, here)["other"]
    assert found.notes == ("its outputs were not compared with this machine's: no kernels here",)


@pytest.mark.skipif(shutil.which("ssh") is None, reason="OpenSSH's client is not installed")
def test_compress_reaches_its_devices_before_it_works(
    here: Path, digits_model: Path, edgeshrink: Run
) -> None:
    device(here, "dead", DEAD)
    done = edgeshrink(
        "compress", digits_model, "--int8", "--device", "dead", "-o", "out.tflite", cwd=here
    )
    assert done.returncode == 3
    assert "refused" in done.stderr
    assert not (here / "out.tflite").exists()
    assert not list(here.glob("out.run/[0-9a-z]*-*"))


@pytest.mark.heavy
def test_compress_puts_each_device_in_the_ledger(
    here: Path, digits: Path, digits_model: Path
) -> None:
    device(here, "other", f'python = "{sys.executable}"\n')
    device(here, "pi", f'emulated = true\npython = "{sys.executable}"\nthreads = 1\n')
    report = package.compress(
        digits_model,
        output=here / "small.tflite",
        int8=True,
        data=str(digits),
        preprocess="scale=1/16",
        rules="smoke",
        device=("desktop", "other", "pi"),
    )
    final = report.ledger.final
    assert report.ledger.devices == ("desktop", "other", "pi")
    desktop, other, pi = final.on
    assert desktop.latency.median_ms > 0
    assert other.latency.median_ms > 0
    assert desktop.score == other.score == pi.score == final.score
    assert pi.latency is None
    assert pi.emulated
    assert type(report).from_dict(json.loads(json.dumps(report.as_dict()))) == report


def test_a_device_without_room_is_refused_before_any_work(
    here: Path, digits_model: Path, edgeshrink: Run
) -> None:
    device(here, "nano", "storage_bytes = 200\n")
    done = edgeshrink("compress", digits_model, "--int8", "--device", "nano", "--dry-run", cwd=here)
    assert done.returncode == 2
    assert "at 8 bits" in done.stderr
    assert "room for 200" in done.stderr


def test_dynamic_range_is_by_tensor_where_dense_kernels_are_old(
    here: Path, digits_model: Path
) -> None:
    device(here, "old", "[operators]\nFULLY_CONNECTED = 11\n")
    asked = {"output": here / "small.tflite", "dynamic": True, "device": ("old",), "rules": "smoke"}
    with pytest.raises(UsageError, match=r"on old, its runtime refuses versions above 11"):
        package.compress(digits_model, dynamic_granularity="channel", **asked)
    package.compress(digits_model, **asked)
    flat = read_model((here / "small.tflite").read_bytes())
    versions = {o.version for o in flat.operators if o.name == "FULLY_CONNECTED"}
    assert versions
    assert max(versions) < 12


@pytest.mark.parametrize(
    ("wanted", "cores", "given"), [(4, 4, 4), (1_500, 4, 4), (10**6, 0, 64), (2, 0, 2), (1, 8, 1)]
)
def test_threads_are_no_more_than_a_device_has(wanted: int, cores: int, given: int) -> None:
    threads, said = granted_threads(wanted, cores)
    assert threads == given
    assert bool(said) is (wanted != given)
    if said:
        assert said[0].startswith(f"{wanted:,} threads were asked for; the device ")


def test_a_thousand_threads_are_asked_for_and_not_made(here: Path, edgeshrink: Run) -> None:
    (here / "mine.toml").write_text("threads = 1_000_000")
    for asked in (("--threads", "1500"), ("--device", "mine.toml")):
        done = edgeshrink(
            "bench", converted() / "float.tflite", "--rules", "smoke", "--json", *asked
        )
        assert done.returncode == 0, done.stderr
        measured = json.loads(done.stdout)["results"][0]["measurement"]
        assert measured["threads"] == measured["device"]["cores"]
        assert any("threads were asked for" in note for note in measured["notes"])
