"""Emulated ARM64 machines: real qemu, a real Debian, real ssh."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from edgeshrink.errors import TargetError
from edgeshrink.testing import check_target
from edgeshrink_targets.emulator import image
from edgeshrink_targets.emulator.target import Emulator, Options

pytestmark = [pytest.mark.device, pytest.mark.timeout(600)]

NEEDED = ("qemu-system-aarch64", "apt-get", "dpkg-deb", "mkfs.ext4", "ssh", "ssh-keygen")
# The part numbers by which Arm's processors name themselves.
PARTS = {"cortex-a72": "0xd08", "cortex-a76": "0xd0b"}
OWNER = """
import sys, time
from pathlib import Path
from edgeshrink_targets.emulator.target import Emulator, Options
machine = Emulator.connect("cortex-a53", Options())
remote = machine.place(Path(sys.argv[1]))
machine.run("sync").check()
print(remote, flush=True)
time.sleep(600)
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache folder with disks of its own, so that nobody else's machine is disturbed."""
    search = os.pathsep.join((os.environ["PATH"], "/usr/sbin", "/sbin"))
    missing = [name for name in NEEDED if not shutil.which(name, path=search)]
    if missing:
        pytest.skip(f"{', '.join(missing)} must be installed to emulate a machine")
    notes = []
    built = Emulator.setup("cortex-a72", Options(), lambda share, note: notes.append(note))
    assert notes[-1] == "the machine is built"
    assert str(image.find().folder) in built[0]
    # Spaces, a comma and a percent sign mean something to qemu and to ssh.
    home = tmp_path_factory.mktemp("cache") / "a, b 100%"
    own = home / "edgeshrink" / "emulator" / image.find().folder.name
    own.mkdir(parents=True)
    for path in image.find().folder.iterdir():
        if path.name not in {f"{cpu}.img" for cpu in (*PARTS, "cortex-a53")}:
            (own / path.name).symlink_to(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(home))
        yield own
    assert machines(own) == [], "a qemu was left behind"


def machines(folder: Path) -> list[int]:
    """Return the qemu processes that use a disk in this folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            words = path.read_bytes().split(b"\0")
            disk = str(folder).replace(",", ",,").encode()
            if words[0].endswith(b"qemu-system-aarch64") and any(disk in word for word in words):
                found.append(int(path.parent.name))
    return found


@pytest.mark.slow
def test_it_keeps_the_promises_of_a_target(cache):
    check_target(Emulator, "emulator:cortex-a72", timeout=4.0)
    assert machines(cache) == []


@pytest.mark.slow
def test_it_has_its_processor_and_its_files_survive_a_restart(cache, tmp_path):
    kept = tmp_path / "model.tflite"
    kept.write_bytes(os.urandom(1 << 20))
    with Emulator.connect("cortex-a76", Options(cores=1, memory_mb=512)) as machine:
        about = machine.run("cat", "/proc/cpuinfo", "/proc/device-tree/compatible").stdout
        assert PARTS["cortex-a76"] in about
        assert about.count("processor") == 1
        # By this name it is known to be emulated.
        assert "linux,dummy-virt" in about
        memory = machine.run("awk", "/MemTotal/ { print $2 }", "/proc/meminfo").stdout
        assert 400_000 < int(memory) < 512 * 1024
        code = "import ctypes, json, sys; print(sys.version_info[:2], sys.platform)"
        assert machine.run(*machine.python(), "-c", code).stdout == "(3, 11) linux\n"
        with socket.create_server(("127.0.0.1", 0)) as server:
            # 10.0.2.2 would be this machine, if the emulated one were on a network.
            host, port = "10.0.2.2", server.getsockname()[1]
            code = f"import socket; socket.create_connection(({host!r}, {port}), timeout=5)"
            tried = machine.run(*machine.python(), "-c", code)
            assert tried.returncode == 1
            assert "Error" in tried.stderr
        remote = machine.place(kept)
        with pytest.raises(TargetError, match="in use by another process"):
            Emulator.connect("cortex-a76", Options())
        assert machine.run("true").returncode == 0
    assert machines(cache) == []
    with Emulator.connect("cortex-a76", Options()) as machine:
        got = tmp_path / "again"
        machine.pull(remote, got)
        assert got.read_bytes() == kept.read_bytes()
        assert machine.clean() >= 1 << 20
        assert machine.run("test", "-e", remote).returncode != 0

        # And one that dies at work is told at once.
        (qemu,) = machines(cache)
        killer = threading.Timer(1.0, os.kill, (qemu, signal.SIGKILL))
        killer.start()
        started = time.monotonic()
        with pytest.raises(TargetError, match="its emulator ended"):
            machine.run("sleep", "300", timeout=300)
        assert time.monotonic() - started < 60
        killer.join()
    assert machines(cache) == []


def test_it_ends_with_its_owner_and_keeps_what_was_placed(cache, tmp_path):
    kept = tmp_path / "model.tflite"
    kept.write_bytes(os.urandom(1 << 20))
    argv = [sys.executable, "-c", OWNER, str(kept)]
    # What it cannot remove any more is to be in the test's own folder.
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    owner = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, env=env)
    try:
        remote = owner.stdout.readline().rstrip("\n")
        assert remote.endswith(".tflite")
        assert len(machines(cache)) == 1
    finally:
        owner.kill()
        owner.wait()
        owner.stdout.close()
    until = time.monotonic() + 10
    while machines(cache) and time.monotonic() < until:
        time.sleep(0.05)
    assert machines(cache) == []
    # Its plug was pulled: the file system recovers, and the lock of a dead process is no lock.
    with Emulator.connect("cortex-a53", Options()) as machine:
        machine.pull(remote, tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == kept.read_bytes()


def test_a_machine_that_does_not_start_in_time_is_stopped(cache):
    with pytest.raises(TargetError, match="not ready in time") as caught:
        Emulator.connect("cortex-a53", Options(boot_timeout=0.2))
    assert "boot_timeout" in caught.value.hint
    assert machines(cache) == []


def test_a_disk_that_cannot_be_mounted_is_told(cache):
    disk = cache / "cortex-a53.img"
    disk.write_bytes(bytes(1 << 20))
    with pytest.raises(TargetError, match="disk of the emulated cortex-a53 is damaged") as caught:
        Emulator.connect("cortex-a53", Options())
    assert str(disk) in caught.value.hint
    disk.unlink()
