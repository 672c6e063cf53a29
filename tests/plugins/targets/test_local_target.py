"""The local target, with real processes and real files."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from paths import ROOT

from edgeshrink.errors import CommandFailed, TargetError, UsageError
from edgeshrink_targets.local import Local

GRANDCHILD = """
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def local():
    with Local.connect("", None) as target:
        yield target


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def wait_until_gone(pid: int) -> bool:
    until = time.monotonic() + 5
    while is_alive(pid) and time.monotonic() < until:
        time.sleep(0.02)
    return not is_alive(pid)


def test_the_plugin_returns_local_and_imports_nothing_heavy():
    code = (
        "import sys, edgeshrink_targets as plugin;"
        "print([c.name for c in plugin.edgeshrink_targets()]);"
        "print({'numpy', 'tensorflow', 'keras'} & set(sys.modules))"
    )
    path = os.pathsep.join(("src", "plugins"))
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        cwd=ROOT,
        check=True,
    )
    assert done.stdout.splitlines() == ["['adb', 'emulator', 'local', 'ssh']", "set()"]


def test_run_tells_output_errors_and_exit_code(local):
    code = "import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"
    done = local.run(sys.executable, "-c", code)
    assert (done.returncode, done.stdout, done.stderr) == (3, "out\n", "err\n")
    with pytest.raises(CommandFailed, match="exited 3: err"):
        done.check()


def test_run_uses_no_shell(local):
    code = "import sys; print(sys.argv[1])"
    assert local.run(sys.executable, "-c", code, "$HOME; *").stdout == "$HOME; *\n"


def test_run_of_a_missing_command_ends_with_127(local):
    done = local.run("no-such-command-here")
    assert (done.returncode, done.stderr) == (127, "no-such-command-here: not found")


def test_run_of_a_file_that_is_no_program_ends_with_126(local, tmp_path):
    (tmp_path / "text").write_text("no program")
    assert local.run(str(tmp_path / "text")).returncode == 126


def test_a_command_killed_by_a_signal_has_a_negative_exit_code(local):
    done = local.run(sys.executable, "-c", "import os; os.kill(os.getpid(), 9)")
    assert done.returncode == -9


def test_watch_gets_lines_while_the_command_runs(local, tmp_path):
    flag = tmp_path / "seen"
    code = (
        "import pathlib, sys, time; print('first', flush=True)\n"
        "while not pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)\n"
        "print('second')"
    )
    lines = []

    def watch(line):
        lines.append(line)
        flag.touch()

    done = local.run(sys.executable, "-c", code, str(flag), timeout=20, watch=watch)
    assert (lines, done.stdout) == (["first", "second"], "first\nsecond\n")


def test_much_output_on_both_streams_does_not_block(local):
    code = "import sys; sys.stderr.write('e' * 2**20); sys.stdout.write('o' * 2**20)"
    done = local.run(sys.executable, "-c", code, timeout=30)
    assert (len(done.stdout), len(done.stderr)) == (2**20, 2**20)


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_a_timeout_ends_the_whole_process_group(local, tmp_path):
    with pytest.raises(CommandFailed, match="gave no answer in 1 s"):
        local.run(sys.executable, "-c", GRANDCHILD, str(tmp_path / "pid"), timeout=1)
    assert wait_until_gone(int((tmp_path / "pid").read_text()))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_an_interrupt_ends_the_whole_process_group(local, tmp_path):
    def interrupt(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        local.run(sys.executable, "-c", GRANDCHILD, str(tmp_path / "pid"), watch=interrupt)
    assert wait_until_gone(int((tmp_path / "pid").read_text()))


def test_push_and_pull_carry_bytes_and_replace_what_was_there(local, tmp_path):
    source = tmp_path / "source"
    source.write_bytes(b"\x00new")
    remote = f"{local.folder()}/file"
    Path(remote).write_bytes(b"old")
    local.push(source, remote)
    local.pull(remote, tmp_path / "back")
    assert (tmp_path / "back").read_bytes() == b"\x00new"
    assert sorted(p.name for p in Path(remote).parent.iterdir()) == ["file"]


def test_pushing_twice_leaves_one_file(local, tmp_path):
    (tmp_path / "source").write_bytes(b"x")
    folder = Path(local.folder())
    for _ in range(2):
        local.push(tmp_path / "source", str(folder / "file"))
    assert [p.name for p in folder.iterdir()] == ["file"]


def test_pushing_a_missing_file_is_a_target_error_and_leaves_nothing(local, tmp_path):
    folder = Path(local.folder())
    with pytest.raises(TargetError, match="No such file"):
        local.push(tmp_path / "none", str(folder / "file"))
    assert list(folder.iterdir()) == []


def test_close_removes_the_folders(tmp_path):
    target = Local.connect("", None)
    folders = [Path(target.folder()), Path(target.folder())]
    (folders[0] / "file").touch()
    assert all(f.stat().st_mode & 0o077 == 0 for f in folders)
    target.close()
    assert not any(f.exists() for f in folders)


def test_an_address_is_refused():
    with pytest.raises(UsageError, match="takes no address"):
        Local.connect("10.0.0.7", None)


def test_an_error_in_watch_ends_the_command_at_once(local):
    def fail(line):
        raise ValueError(line)

    started = time.monotonic()
    with pytest.raises(ValueError, match="hello"):
        local.run(
            sys.executable,
            "-c",
            "import time; print('hello', flush=True); time.sleep(60)",
            watch=fail,
        )
    assert time.monotonic() - started < 20
