"""The scripts for remote machines, in the shells and with the tools that machines have."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

import pytest

from edgeshrink.api import CommandFailed, Flag, TargetError
from edgeshrink.testing import check_target
from edgeshrink_targets.shell import scripts
from edgeshrink_targets.shell.remote import Remote, start_client

pytestmark = pytest.mark.device


@dataclass(frozen=True)
class Options:
    shell: Annotated[str, Flag("The shell.")]
    tools: Annotated[str, Flag("The only folder in PATH.")]
    home: Annotated[str, Flag("Where the cache folder is made.")]


class Here(Remote):
    """This machine, as it would be behind a link."""

    name = "here"
    Options = Options

    def __init__(self, options: Any) -> None:
        super().__init__("here")
        self._options: Any = options

    @classmethod
    def connect(cls, address: str, options: Any) -> Self:
        target = cls(options)
        target._open()
        return target

    def _start(self, script: str, *, feed: bool) -> subprocess.Popen[bytes]:
        env = {"PATH": self._options.tools, "HOME": self._options.home}
        return start_client([self._options.shell, "-c", script], feed=feed, env=env)

    def _why(self, words: str, code: int) -> TargetError:
        return TargetError(f"lost: {words} {code}")


class Copied(Here):
    """A machine whose shell takes no files, like that of an Android device."""

    feeds = False

    def _send(self, local: Path, remote: str) -> None:
        shutil.copyfile(local, remote)


def tools_of(kind: str, shell: str, folder: Path) -> str:
    """Return a folder of commands of one kind, with a shell as its `sh`."""
    folder.mkdir()
    its_own: list[str] = []
    if kind != "debian":
        program = found(kind)
        lists = [program] + ["--list"] * (kind == "busybox")
        its_own = subprocess.run(lists, capture_output=True, text=True).stdout.split()
        assert {"sha256sum", "setsid", "find", "tail", "df"} <= set(its_own)
    for name in {*scripts.NEEDED.split(), "dd", "printf", "test", "true", "touch"}:
        (folder / name).symlink_to(program if name in its_own else found(name))
    (folder / "sh").symlink_to(shell)
    return str(folder)


def found(program: str) -> str:
    path = shutil.which(program)
    if not path:
        pytest.skip(f"{program} is not installed: apt-get install {program}")
    return path


@pytest.fixture(
    params=["dash debian", "bash debian", "busybox busybox", "mksh toybox", "mksh debian"]
)
def options(request, tmp_path):
    shell, _, kind = request.param.partition(" ")
    tools = tools_of(kind, found(shell), tmp_path / "tools")
    return Options(f"{tools}/sh", tools, str(tmp_path))


@pytest.mark.parametrize("kind", [Here, Copied])
def test_a_machine_keeps_the_promises_of_a_target(kind, options):
    check_target(kind, "", options, timeout=0.5)


def test_a_stranger_s_lock_is_kept_while_it_is_fresh_and_taken_when_it_is_old(options):
    cache = Path(options.home, ".cache/edgeshrink-device")
    (cache / "lock").mkdir(parents=True)
    (cache / "lock/owner").write_text("ab mary@lab 0123456789ab 4711 1700000000\n")
    with pytest.raises(TargetError, match="in use by mary@lab"):
        Here.connect("", options)
    run = cache / "runs/ab/run1"
    run.parent.mkdir(parents=True)
    script = 'echo $$ >"$0.pid"; sleep 60; true'
    started = time.monotonic()
    argv = ["sh", "-c", script, str(run)]
    with subprocess.Popen(argv, start_new_session=True) as command:
        while not Path(f"{run}.pid").exists():
            assert time.monotonic() - started < 10
        for path in (cache / "lock/owner", cache / "lock"):
            os.utime(path, (0, 0))
        with pytest.raises(TargetError, match="in use by mary@lab"):
            Here.connect("", options)
        os.killpg(command.pid, signal.SIGKILL)
    Here.connect("", options).close()
    assert not cache.exists()


class Renewing(Here):
    renewal = 0.1


def test_a_machine_that_is_held_is_renewed_but_not_beside_a_command(options):
    beat = Path(options.home, ".cache/edgeshrink-device/lock/beat")
    with Renewing.connect("", options) as target:
        os.utime(beat, (0, 0))
        until = time.monotonic() + 10
        while beat.stat().st_mtime == 0 and time.monotonic() < until:
            time.sleep(0.02)
        assert beat.stat().st_mtime > 0

        def watch(line):
            os.utime(beat, (0, 0))
            time.sleep(0.5)
            assert beat.stat().st_mtime == 0

        assert target.run("printf", "one\ntwo", watch=watch).stdout == "one\ntwo"


def test_who_was_cut_off_while_taking_a_machine_does_not_keep_it(options):
    lock = Path(options.home, ".cache/edgeshrink-device/lock")
    (lock / "taking").mkdir(parents=True)
    for path in (lock / "taking", lock):
        os.utime(path, (0, 0))
    Here.connect("", options).close()
    assert not lock.exists()


def test_a_clean_machine_has_nothing_left(options, tmp_path):
    (tmp_path / "model").write_bytes(os.urandom(1 << 20))
    with Here.connect("", options) as target:
        target.place(tmp_path / "model")
        assert 1 << 20 <= target.clean() < 2 << 20
    assert not Path(options.home, ".cache/edgeshrink-device").exists()


def test_much_output_is_stopped(options):
    with Here.connect("", options) as target:
        with pytest.raises(CommandFailed, match="answered with more than 34 MB"):
            target.run("cat", "/dev/zero")
        assert target.run("printf", "well").stdout == "well"
