"""What the tests were never run on is said: by doctor always, at the first run once."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from edgeshrink import cli
from edgeshrink.cli import untested

TENSORFLOW = "edgeshrink was not tested with tensorflow 2.99.1, the newest tested is 2.21"
WINDOWS = "edgeshrink was not tested on Windows, only on Linux"


@pytest.fixture
def strange(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Another system and a newer TensorFlow, and a cache of its own."""
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    monkeypatch.setattr(
        untested, "version_of", lambda name: {"tensorflow": "2.99.1", "keras": "3.15.9"}[name]
    )
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "edgeshrink" / "untested.json"


def test_what_is_here_was_tested() -> None:
    """The versions that pass these tests are told as tested: raise them with pyproject.toml."""
    assert untested.untested() == [] or platform.system() != "Linux"


def test_each_is_told_once(strange: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert untested.untold() == [WINDOWS, TENSORFLOW]
    assert untested.untold() == []
    monkeypatch.setattr(platform, "system", lambda: "Darwin")
    assert untested.untold() == ["edgeshrink was not tested on macOS, only on Linux"]
    assert json.loads(strange.read_text()) != []


@pytest.mark.parametrize("content", ["", "{", "3", '{"a": 1}', "[[]]"])
def test_what_cannot_be_read_is_told_again(strange: Path, content: str) -> None:
    strange.parent.mkdir(parents=True)
    strange.write_text(content)
    assert untested.untold() == [WINDOWS, TENSORFLOW]
    assert untested.untold() == []


def test_a_cache_that_cannot_be_written_is_no_failure(strange: Path) -> None:
    strange.parent.parent.mkdir()
    strange.parent.write_text("a file in its place")
    assert untested.untold() == untested.untold() == [WINDOWS, TENSORFLOW]


def test_doctor_says_it_every_time(strange: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        cli.run(["doctor", "--json"])
        assert json.loads(capsys.readouterr().out)["untested"] == [WINDOWS, TENSORFLOW]
    cli.run(["doctor"])
    assert f"– {WINDOWS}" in " ".join(capsys.readouterr().out.split())


def test_the_first_run_says_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import platform\nplatform.system = lambda: 'Plan9'\n"
    )
    path = os.pathsep.join([str(tmp_path), *filter(None, sys.path)])
    env = {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(tmp_path / "cache")}
    argv = [sys.executable, "-m", "edgeshrink.cli", "inspect", "missing.keras"]
    first, second = (subprocess.run(argv, capture_output=True, text=True, env=env) for _ in "12")
    assert "warning: edgeshrink was not tested on Plan9, only on Linux\n" in first.stderr
    assert "not tested" not in second.stderr
    assert first.returncode == second.returncode == 2
