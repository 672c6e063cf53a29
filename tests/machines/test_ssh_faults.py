"""Links that are cut and machines that lie: each ends soon, with a sentence, and leaves nothing."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgeshrink.api import CommandFailed, TargetError
from edgeshrink_targets.ssh.target import Options, Ssh

pytestmark = pytest.mark.device
# Interval and count of the signs of life are 1 s and 2 in these tests, to connect takes 2 s.
SOON = 20
LIAR = f"#!/bin/sh\ncat >/dev/null\necho {'beef' * 16}\n"


@pytest.fixture(autouse=True)
def soon():
    started = time.monotonic()
    yield
    assert time.monotonic() - started < SOON


@pytest.fixture
def device(server, proxy):
    with Ssh.connect("ssh:device", server.options(proxy.port)) as target:
        yield target


@pytest.fixture
def large(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(os.urandom(8 << 20))
    return path


def wait_until(true, seconds=10.0):
    until = time.monotonic() + seconds
    while not true() and time.monotonic() < until:
        time.sleep(0.02)
    return true()


def test_a_link_that_is_cut_in_a_push_leaves_nothing(device, server, proxy, large):
    folder = Path(device.folder())
    proxy.cut(after=1 << 20)
    with pytest.raises(TargetError, match="was lost: the connection was cut"):
        device.push(large, f"{folder}/large")
    assert wait_until(lambda: not [name for name in server.files() if "partial" in name])
    assert list(folder.iterdir()) == []


def test_a_link_that_stalls_in_a_push_leaves_nothing_once_it_is_back(device, server, proxy, large):
    folder = Path(device.folder())
    threading.Timer(0.3, proxy.stall).start()
    proxy.slow(4e6)
    with pytest.raises(TargetError, match="was lost: it gave no sign of life"):
        device.push(large, f"{folder}/large")
    device.close()
    proxy.heal()
    Ssh.connect("ssh:device", server.options(proxy.port)).close()
    assert not server.cache.exists()


def test_a_link_that_is_cut_in_a_pull_leaves_nothing_here(device, proxy, large, tmp_path):
    remote = f"{device.folder()}/large"
    device.push(large, remote)
    proxy.slow(1e6)
    threading.Timer(1, proxy.cut).start()
    with pytest.raises(TargetError, match="was lost"):
        device.pull(remote, tmp_path / "got")
    assert not list(tmp_path.glob("*got*"))


@pytest.mark.parametrize(
    ("how", "why"),
    [("cut", "the connection was cut"), ("stall", "it gave no sign of life")],
)
def test_a_command_whose_link_was_lost_is_ended_at_the_next_connection(
    device, server, proxy, how, why
):
    pids = []

    def lose(line):
        pids.append(int(line))
        getattr(proxy, how)()

    with pytest.raises(TargetError, match=f"was lost: {why}"):
        device.run("sh", "-c", "echo $$; sleep 60", watch=lose)
    device.close()
    command = Path(f"/proc/{pids[0]}")
    assert command.exists()
    proxy.heal()
    with Ssh.connect("ssh:device", server.options(proxy.port)) as again:
        assert wait_until(lambda: not command.exists())
        assert again.run("echo", "well").stdout == "well\n"
    assert not server.cache.exists()


def test_a_link_that_stalls_ends_a_command_with_a_timeout_too(device, proxy):
    proxy.stall()
    with pytest.raises(TargetError, match="was lost: it gave no sign of life"):
        device.run("sleep", "60", timeout=1)


def test_a_command_goes_on_after_a_short_stall(device, proxy):
    def stall(line):
        proxy.stall()
        threading.Timer(1, proxy.heal).start()

    done = device.run("sh", "-c", "echo begun; sleep 0.2; echo done; exit 3", watch=stall)
    assert (done.returncode, done.stdout) == (3, "begun\ndone\n")


def test_after_a_cut_the_next_command_connects_anew(device, proxy):
    proxy.cut()
    proxy.heal()
    assert wait_until(lambda: device._shared.ends_soon())
    assert device.run("echo", "well").stdout == "well\n"


def test_a_machine_that_refuses_connections_is_told(server, proxy):
    proxy.refuse()
    with pytest.raises(TargetError, match="refuses connections") as caught:
        Ssh.connect("ssh:device", server.options(proxy.port))
    assert "start the ssh server" in caught.value.hint


def test_a_port_that_says_nothing_is_told(server, proxy):
    proxy.mute()
    with pytest.raises(TargetError, match="accepts connections but does not speak ssh"):
        Ssh.connect("ssh:device", server.options(proxy.port))


def test_a_link_that_stalls_in_the_login_is_told(server, proxy):
    proxy.slow(1000)  # the banner comes through, the rest takes too long
    with pytest.raises(TargetError, match="does not answer: no login in 3 s"):
        Ssh.connect("ssh:device", server.options(proxy.port, connect_timeout=1))


def test_a_machine_that_is_cut_in_the_login_is_told(server, proxy):
    proxy.cut(after=500)
    with pytest.raises(TargetError, match="was lost: the connection was cut"):
        Ssh.connect("ssh:device", server.options(proxy.port))


def test_a_name_that_is_not_known_is_told():
    with pytest.raises(TargetError, match="has a name that is not known"):
        Ssh.connect("ssh://no-such-host.invalid", Options(connect_timeout=2))


def test_a_key_that_is_not_accepted_is_told(server):
    with pytest.raises(TargetError, match="accepts none of your keys") as caught:
        Ssh.connect("ssh:device", server.options(key="other"))
    assert "ssh-copy-id" in caught.value.hint


def test_a_host_key_that_changed_is_told(server):
    with pytest.raises(TargetError, match="has another host key than before"):
        Ssh.connect("ssh:device", server.options(known="other"))


def test_a_host_key_that_is_not_known_is_told_and_not_accepted(server):
    options = server.options(known="")
    for _ in range(2):
        with pytest.raises(TargetError, match="host key that is not known") as caught:
            Ssh.connect("ssh:device", options)
    assert caught.value.hint.startswith("run `ssh device` once by hand")


def test_a_client_that_is_not_there_is_told(server):
    with pytest.raises(TargetError, match="'no-ssh' cannot be started") as caught:
        Ssh.connect("ssh:device", server.options(ssh="no-ssh"))
    assert caught.value.hint.startswith("install OpenSSH's client")


def test_a_configuration_that_is_not_there_is_told(server):
    with pytest.raises(TargetError, match="cannot be used: Can't open user config file"):
        Ssh.connect("ssh:device", server.options(config=f"{server.folder}/none"))


def test_half_an_answer_is_no_answer_whatever_the_exit_code(server, tmp_path):
    client = tmp_path / "halves"
    client.write_text('#!/bin/sh\nssh "$@" | head -c 1000\nexit 0\n')
    client.chmod(0o755)
    with Ssh.connect("ssh:device", server.options(ssh=str(client))) as device:
        assert device.run("echo", "little").stdout == "little\n"
        with pytest.raises(TargetError, match="its answer ended early, and ssh with 0"):
            device.run("sh", "-c", "yes | head -n 10000")


def test_a_machine_that_lies_about_what_arrived_is_told(server, tmp_path):
    (tmp_path / "model").write_bytes(b"model")
    server.shim("sha256sum", LIAR)
    with Ssh.connect("ssh:device", server.options()) as device:
        with pytest.raises(TargetError, match=r"arrived changed .* 5 bytes with sha256 9372.*beef"):
            device.place(tmp_path / "model")
        device.run("sh", "-c", 'echo x >"$0"', f"{device.cache()}/file")
        with pytest.raises(TargetError, match="arrived changed from ssh://device"):
            device.pull(f"{device.cache()}/file", tmp_path / "got")
        assert [name for name in server.files() if name.startswith("files/")] == []
    assert not (tmp_path / "got").exists()


def test_a_machine_that_answers_nonsense_is_told(server, tmp_path):
    server.shim("df", "#!/bin/sh\nhead -c 1000 /dev/urandom\n")
    (tmp_path / "model").write_bytes(b"model")
    with (
        Ssh.connect("ssh:device", server.options()) as device,
        pytest.raises(TargetError, match="does not say how much room it has") as caught,
    ):
        device.place(tmp_path / "model")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500


def test_a_machine_without_a_needed_command_is_told(server, tmp_path):
    commands = tmp_path / "commands"
    commands.mkdir()
    for name in ("sh", "dd", "cat", "mkdir", "find", "rm", "setsid", "df", "tail"):
        (commands / name).symlink_to(f"/usr/bin/{name}")
    server.stop()
    server.extra = f'ForceCommand PATH={commands}; eval "$SSH_ORIGINAL_COMMAND"'
    server.start()
    with pytest.raises(TargetError, match=r"lacks what every machine needs: .*, sha256sum,"):
        Ssh.connect("ssh:device", server.options())


def test_a_disk_without_room_is_told_before_anything_is_sent(server, large):
    line = "/dev/sda 9999 9000 999 91% /"
    server.shim("df", f"#!/bin/sh\necho Filesystem\necho {line}\n")
    with (
        Ssh.connect("ssh:device", server.options()) as device,
        pytest.raises(TargetError, match=r"has 1,022,976 bytes free for .* needs 8,388,608"),
    ):
        device.push(large, f"{device.cache()}/large")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to mount a small disk")
def test_a_disk_that_is_full_leaves_nothing(server, large):
    disk = server.folder / "cache"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "edgeshrink", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        with Ssh.connect("ssh:device", server.options()) as device:
            with pytest.raises(TargetError, match=r"bytes free for .* needs 8,388,608"):
                device.place(large)
            server.shim("df", "#!/bin/sh\necho /dev/sda 99999 0 99999 0% /\n")  # a lie
            with pytest.raises(TargetError, match=r"cannot be written .*No space left on device"):
                device.place(large)
            assert not [name for name in server.files() if "partial" in name]
            with pytest.raises(TargetError, match=r"did not keep the exit code .*disk is full"):
                device.run("sh", "-c", 'cat /dev/zero >"$0"', f"{device.cache()}/fill")
            device.clean()
            assert device.run("echo", "well").stdout == "well\n"
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_the_disk_of_this_machine_is_told_from_the_device(device, tmp_path):
    remote = f"{device.folder()}/file"
    device.run("touch", remote).check()
    with pytest.raises(TargetError, match=r"cannot be put at .*No such file"):
        device.pull(remote, tmp_path / "none" / "file")


def test_a_cache_folder_that_cannot_be_made_is_told(server):
    (server.folder / "cache").write_text("a file")
    with pytest.raises(TargetError, match=r"has no folder to work in: .*mkdir"):
        Ssh.connect("ssh:device", server.options())


def test_a_command_that_was_killed_by_somebody_else_has_no_exit_code(device, server):
    def kill(line):
        for pid in server.running(f"{device.cache()}/runs"):
            os.kill(pid, 9)

    with pytest.raises(TargetError, match="did not keep the exit code of sh -c"):
        device.run("sh", "-c", "echo begun; sleep 3", watch=kill)


def test_a_timeout_is_the_commands_and_not_the_links(device):
    with pytest.raises(CommandFailed, match="gave no answer in 1 s"):
        device.run(sys.executable, "-c", "import time; time.sleep(60)", timeout=1)
    assert device.run("true").returncode == 0
