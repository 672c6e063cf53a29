"""The ssh target, with the real client and a real server on loopback."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from cutproxy import CutProxy

from edgeshrink.api import CommandFailed, TargetError
from edgeshrink.testing import check_target
from edgeshrink_targets.shell.lock import Owner
from edgeshrink_targets.ssh.target import Ssh

pytestmark = pytest.mark.device
NAME = "a 'b' \"c\" $d `e` *\nü\\"
# A process that connects, says so, and waits for ever.
CONNECTS = """
import sys, time
from edgeshrink_targets.ssh.target import Options, Ssh
target = Ssh.connect("ssh:device", Options(config=sys.argv[1]))
print("connected", flush=True)
if len(sys.argv) > 2:
    target.run("sh", "-c", 'echo $$ >"$0"; sleep 60', sys.argv[2])
time.sleep(60)
"""


def wait_until(true, seconds=10.0):
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.02)
    return true()


def is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


@pytest.fixture(scope="module")
def device(shared_server):
    with Ssh.connect("ssh:device", shared_server.options()) as target:
        yield target


@pytest.fixture
def own_device(server):
    with Ssh.connect("ssh:device", server.options()) as target:
        yield target


def test_it_keeps_the_promises_of_a_target(server):
    check_target(Ssh, "ssh:device", server.options(), timeout=1)
    assert {Path(name).parts[0] for name in server.files()} == {"files"}  # what it placed


def test_an_exit_code_of_255_is_the_commands_own(device):
    done = device.run("sh", "-c", "echo out; exit 255")
    assert (done.returncode, done.stdout) == (255, "out\n")


def test_a_command_killed_by_a_signal_has_a_negative_exit_code(device):
    assert device.run("sh", "-c", "kill -SEGV $$").returncode == -signal.SIGSEGV


def test_a_missing_interpreter_ends_with_127(device):
    done = device.run("python9", "script.py")
    assert (done.returncode, done.stderr) == (127, "python9: not found\n")


def test_a_file_that_is_no_program_ends_with_126(device, tmp_path):
    (tmp_path / "text").write_text("no program")
    assert device.run(str(tmp_path / "text")).returncode == 126


def test_the_end_of_a_long_standard_error_comes_back(device, tmp_path):
    code = "import sys; sys.stderr.write('e' * 2**20 + 'end'); print('out')"
    done = device.run(sys.executable, "-c", code)
    assert (done.stdout, done.stderr) == ("out\n", "e" * (2**16 - 3) + "end")


def test_arguments_may_be_longer_than_a_command_line_of_ssh(device):
    words = [str(n) * 10 for n in range(20_000)]
    done = device.run("sh", "-c", "echo $#; echo $20000", "sh", *words)
    assert done.stdout.splitlines()[0] == "20000"


def test_watch_gets_lines_while_the_command_runs(device, tmp_path):
    lines = []

    def watch(line):
        lines.append(line)
        (tmp_path / "seen").touch()

    script = 'echo first; while ! [ -e "$0" ]; do sleep 0.05; done; echo; echo; printf last'
    done = device.run("sh", "-c", script, str(tmp_path / "seen"), timeout=20, watch=watch)
    assert (lines, done.stdout) == (["first", "", "", "last"], "first\n\n\nlast")


def test_a_greeting_of_the_login_shell_is_no_output(server):
    server.stop()
    server.extra = 'ForceCommand echo Welcome; exec sh -c "$SSH_ORIGINAL_COMMAND"'
    server.start()
    with Ssh.connect("ssh:device", server.options()) as device:
        assert device.run("echo", "out").stdout == "out\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), TimeoutError(), TargetError("no")])
def test_what_ends_a_run_early_ends_all_that_the_command_started(device, tmp_path, error):
    def fail(line):
        raise error

    script = 'sleep 60 & echo $! >"$0"; echo ready; sleep 60'
    with pytest.raises(type(error)) as caught:
        device.run("sh", "-c", script, str(tmp_path / "pid"), watch=fail)
    assert caught.value is error
    assert wait_until(lambda: not is_alive(int((tmp_path / "pid").read_text())))
    assert device.run("true").returncode == 0


def test_a_timeout_ends_all_that_the_command_started(device, tmp_path):
    script = 'trap "" TERM; sleep 60 & echo $! >"$0"; sleep 60'
    with pytest.raises(CommandFailed, match=r"gave no answer in 0\.5 s and was stopped"):
        device.run("sh", "-c", script, str(tmp_path / "pid"), timeout=0.5)
    assert wait_until(lambda: not is_alive(int((tmp_path / "pid").read_text())))


def test_a_command_that_ends_leaves_nothing_running(own_device, server, tmp_path):
    own_device.run("sh", "-c", 'sleep 60 & echo $! >"$0"', str(tmp_path / "pid"), timeout=54321)
    assert wait_until(lambda: not is_alive(int((tmp_path / "pid").read_text())))
    assert wait_until(lambda: not server.running(own_device.cache()))
    assert wait_until(lambda: not server.running("sleep 54331"))  # the watch over its time


def test_much_output_is_bounded_and_quick(device):
    started = time.monotonic()
    with pytest.raises(CommandFailed, match="answered with more than 34 MB and was stopped"):
        device.run("head", "-c", "100000000", "/dev/zero")
    assert time.monotonic() - started < 20
    assert device.run("true").returncode == 0


def test_files_of_any_name_go_there_and_back(device, tmp_path):
    (tmp_path / NAME).write_bytes(b"\x00\r\n\xff")
    for remote in (f"{device.folder()}/{NAME}", f"{device.folder()}/-rf"):
        device.push(tmp_path / NAME, remote)
        device.pull(remote, tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == b"\x00\r\n\xff"
    assert device.place(tmp_path / NAME).startswith(device.cache())


def test_a_push_outside_of_the_cache_leaves_one_file(device, tmp_path):
    (tmp_path / "source").write_bytes(b"x")
    (tmp_path / "there").mkdir()
    device.push(tmp_path / "source", str(tmp_path / "there/file"))
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["file"]


def test_a_program_stays_one(device, tmp_path):
    (tmp_path / "program").write_text("#!/bin/sh\necho runs\n")
    (tmp_path / "program").chmod(0o755)
    assert device.run(device.place(tmp_path / "program")).stdout == "runs\n"


@pytest.mark.parametrize(("name", "why"), [("", "is a folder"), ("none/x", "is in no folder")])
def test_a_push_to_no_place_for_a_file_is_refused(device, tmp_path, name, why):
    (tmp_path / "source").write_bytes(b"x")
    with pytest.raises(TargetError, match=why):
        device.push(tmp_path / "source", f"{device.folder()}/{name}".rstrip("/"))


@pytest.mark.parametrize(("name", "why"), [("", "is a folder"), ("none", "is not there")])
def test_a_pull_of_no_file_leaves_none(device, tmp_path, name, why):
    with pytest.raises(CommandFailed, match=why):
        device.pull(f"{device.folder()}/{name}".rstrip("/"), tmp_path / "got")
    assert not list(tmp_path.glob("*got*"))


def test_a_pull_of_more_than_is_expected_is_refused(device, tmp_path):
    remote = f"{device.folder()}/large"
    device.run("truncate", "-s", "50M", remote).check()
    with pytest.raises(CommandFailed, match="52,428,800 bytes, more than the 1,000"):
        device.pull(remote, tmp_path / "got", limit=1000)
    assert not list(tmp_path.glob("*got*"))


def test_a_placed_file_is_sent_once(server, own_device, tmp_path):
    model = tmp_path / "model.tflite"
    model.write_bytes(os.urandom(1000))
    remote = own_device.place(model)
    assert remote.startswith(str(server.cache))
    assert remote.endswith(".tflite")
    assert Path(remote).read_bytes() == model.read_bytes()
    before = Path(remote).stat().st_mtime_ns
    own_device.close()
    with Ssh.connect("ssh:device", server.options()) as again:
        assert again.place(model) == remote
    assert Path(remote).stat().st_mtime_ns == before


def test_a_placed_file_that_is_not_whole_is_sent_again(own_device, tmp_path, server):
    (tmp_path / "model").write_bytes(b"whole")
    remote = own_device.place(tmp_path / "model")
    own_device.close()
    Path(remote).write_bytes(b"")  # as after a loss of power
    with Ssh.connect("ssh:device", server.options()) as again:
        again.place(tmp_path / "model")
    assert Path(remote).read_bytes() == b"whole"


def test_folders_are_private_and_removed(own_device, server):
    folders = [Path(own_device.folder()), Path(own_device.folder())]
    assert all(folder.stat().st_mode & 0o077 == 0 for folder in folders)
    own_device.close()
    assert not server.cache.exists()


def test_clean_frees_what_is_kept(own_device, server, tmp_path):
    (tmp_path / "model").write_bytes(os.urandom(3 << 20))
    own_device.place(tmp_path / "model")
    own_device.run(
        "sh", "-c", 'mkdir -p "$0"; touch "$0/f"; chmod 500 "$0"', f"{own_device.cache()}/.p"
    )
    folder = own_device.folder()
    assert 3 << 20 <= own_device.clean() < 4 << 20
    assert own_device.run("test", "-d", folder).returncode == 0
    assert Path(own_device.place(tmp_path / "model")).is_file()
    own_device.clean()
    own_device.close()
    assert not server.cache.exists()


def test_a_second_connection_is_told_who_has_the_machine(own_device, server):
    with pytest.raises(TargetError, match=rf"in use by .*\(process {os.getpid()}\) since 20"):
        Ssh.connect("ssh:device", server.options())
    assert own_device.run("true").returncode == 0
    own_device.close()
    Ssh.connect("ssh:device", server.options()).close()


def test_another_process_has_the_machine_until_it_is_killed(server, tmp_path):
    config = shutil.copy(server.options().config, tmp_path / "config-of-the-other")
    argv = [sys.executable, "-c", CONNECTS, str(config), str(tmp_path / "pid")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout.readline() == b"connected\n"
            with pytest.raises(TargetError, match=rf"\(process {other.pid}\)"):
                Ssh.connect("ssh:device", server.options())
            assert wait_until((tmp_path / "pid").exists)
        finally:
            other.kill()
    # Its command ends when the next user comes, and its connection with it.
    command = int((tmp_path / "pid").read_text())
    assert is_alive(command)
    with Ssh.connect("ssh:device", server.options()) as device:
        assert wait_until(lambda: not is_alive(command))
        assert wait_until(lambda: not server.running("config-of-the-other"))
        runs = [name for name in server.files() if name.startswith("runs/")]
        assert [f"{device.cache()}/{name}" for name in runs] == [f"{device._held.own}"]


def stranger(server, *, minutes):
    """Make the lock, and a command, of somebody on another host."""
    owner = Owner("ab12", "mary@lab", "0123456789ab", 4711, 1_700_000_000)
    lock, run = server.cache / "lock", server.cache / "runs" / "ab12"
    for folder in (lock, run):
        folder.mkdir(parents=True, exist_ok=True)
    (lock / "owner").write_text(f"{owner.line}\n")
    before = time.time() - 60 * minutes
    for path in (lock / "owner", lock):
        os.utime(path, (before, before))
    return run


def test_somebody_on_another_host_has_the_machine_while_they_renew_it(server):
    stranger(server, minutes=1)
    with pytest.raises(TargetError, match=r"in use by mary@lab \(process 4711\) since 2023-11-1"):
        Ssh.connect("ssh:device", server.options())


def test_somebody_on_another_host_has_the_machine_while_their_command_runs(server):
    run = stranger(server, minutes=60)
    script = 'echo $$ >"$0.pid"; sleep 60; true'
    argv = ["sh", "-c", script, str(run / "run1")]
    with subprocess.Popen(argv, start_new_session=True) as command:
        try:
            assert wait_until((run / "run1.pid").exists)
            with pytest.raises(TargetError, match="in use by mary@lab"):
                Ssh.connect("ssh:device", server.options())
        finally:
            os.killpg(command.pid, signal.SIGKILL)


def test_a_machine_that_was_left_is_taken_over(server):
    run = stranger(server, minutes=3)
    # The number is now that of a process which has nothing to do with it.
    (run / "run1.pid").write_text(f"{os.getpid()}\n")
    with Ssh.connect("ssh:device", server.options()) as device:
        assert device.run("true").returncode == 0
        assert not run.exists()
    assert not server.cache.exists()


def test_who_was_silent_is_told_that_the_machine_was_taken_over(own_device, server):
    stranger(server, minutes=0)
    with pytest.raises(TargetError, match="was taken over by mary@lab"):
        own_device.run("true")
    own_device.close()
    assert (server.cache / "lock" / "owner").exists()  # is not its own any more


def test_a_lock_says_nothing_that_is_run_or_shown_raw(server):
    stranger(server, minutes=1)
    (server.cache / "lock" / "owner").write_text("\x1b[31m$(touch /tmp/x) `id`\n")
    with pytest.raises(TargetError, match="in use by somebody who is just connecting"):
        Ssh.connect("ssh:device", server.options())


def test_a_jump_host_of_the_configuration_is_used(server, tmp_path, ssh_keys):
    with CutProxy(server.port) as jump:
        more = f"  ProxyJump jump\nHost jump\n  HostName 127.0.0.1\n  Port {jump.port}\n"
        more += "  HostKeyAlias jump\n"
        options = server.options(more=more)
        hosts = next(server.folder.glob("hosts*"))
        hosts.write_text(f"{hosts.read_text()}jump {(ssh_keys / 'host.pub').read_text()}")
        with Ssh.connect("ssh:device", options) as device:
            assert device.run("echo", "there").stdout == "there\n"
            jump.refuse()  # the connection that is there goes on
            assert device.run("echo", "there").stdout == "there\n"
        with pytest.raises(TargetError, match="refuses connections"):
            Ssh.connect("ssh:device", options)
