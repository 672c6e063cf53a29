"""Parts of an emulated machine and of Android's Python: what needs neither qemu nor adb."""

from __future__ import annotations

import contextlib
import gzip
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from edgeshrink.errors import EdgeshrinkError, TargetError, UsageError
from edgeshrink_targets.adb import python_bundle
from edgeshrink_targets.emulator import image, machine
from edgeshrink_targets.emulator.initramfs import initramfs
from edgeshrink_targets.emulator.target import Emulator, Options

# Stand-ins for an emulator that fails; they ignore their arguments.
DEAD = "echo one; echo 'no such processor' >&2; exit 1"
IN_USE = """echo 'qemu: Failed to get "write" lock' >&2; exit 1"""
SLOW = 'echo $$ > "$0.pid"; exec sleep 600'
NO_DISK = f"""
for word; do case $word in file,id=console,path=*) console=${{word#*path=}};; esac; done
echo '{image.NO_DISK}' > "$console"; exec sleep 600
"""
OWNER = """
import signal
import sys
from pathlib import Path
from edgeshrink_targets.emulator.image import Image
from edgeshrink_targets.emulator.machine import Machine
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job ignores it
folder = Path(sys.argv[1])
hardware = {"memory_mb": 256, "cores": 1, "qemu": str(folder / "qemu"), "timeout": 600}
Machine(Image(folder), "cortex-a53", **hardware)
"""


def program(folder: Path, script: str) -> str:
    path = folder / "qemu"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    (folder / "root.img").write_bytes(bytes(4096))
    return str(path)


def start(folder: Path, script: str, timeout: float = 20) -> machine.Machine:
    qemu = program(folder, script)
    return machine.Machine(
        image.Image(folder), "cortex-a53", memory_mb=256, cores=1, qemu=qemu, timeout=timeout
    )


def is_gone(pid: int) -> bool:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z":
                time.sleep(0.02)
                continue
        return True
    return False


def pid_in(folder: Path) -> int:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return int((folder / "qemu.pid").read_text())
        time.sleep(0.02)
    raise AssertionError("the stand-in did not start")


@pytest.mark.skipif(not shutil.which("cpio"), reason="cpio is not installed")
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
@given(
    files=st.dictionaries(
        st.from_regex(r"[a-z][\w.-]{0,40}", fullmatch=True),
        st.tuples(st.sampled_from([0o644, 0o755]), st.binary(max_size=300)),
        max_size=6,
    )
)
def test_an_initramfs_is_what_cpio_reads(files, tmp_path_factory):
    into = tmp_path_factory.mktemp("initramfs")
    placed = {f"folder/{name}": entry for name, entry in files.items()}
    data = initramfs(("folder",), placed)
    assert initramfs(("folder",), placed) == data
    argv = ["cpio", "--extract", "--make-directories", "--quiet"]
    subprocess.run(argv, input=gzip.decompress(data), cwd=into, check=True)
    found = {p.relative_to(into).as_posix(): p for p in into.rglob("*") if p.is_file()}
    assert sorted(found) == sorted(placed)
    for name, (mode, content) in placed.items():
        assert found[name].read_bytes() == content
        assert found[name].stat().st_mode & 0o777 == mode


@pytest.mark.parametrize("address", ["", "max", "cortex-a7", "ssh://pi", "emulator:"])
def test_only_known_processors_are_emulated(address):
    for act in (
        lambda: Emulator.connect(address, Options()),
        lambda: Emulator.setup(address, Options(), lambda share, note: None),
    ):
        with pytest.raises(UsageError, match="cortex-a53, cortex-a72, cortex-a76; received"):
            act()


def test_a_machine_that_was_not_set_up_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(TargetError, match="cortex-a76 was not set up") as caught:
        Emulator.connect("emulator:cortex-a76", Options())
    assert "devices setup" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_setup_without_qemu_says_what_to_install():
    with pytest.raises(EdgeshrinkError, match="no-qemu must be installed") as caught:
        Emulator.setup("cortex-a72", Options(qemu="no-qemu"), lambda share, note: None)
    assert caught.value.hint == "apt-get install qemu-system-arm"


@pytest.mark.skipif(os.name != "posix", reason="the guard is a POSIX shell's")
class TestMachine:
    def test_one_that_dies_tells_why(self, tmp_path):
        with pytest.raises(TargetError, match="stopped: one / no such processor"):
            start(tmp_path, DEAD)

    def test_a_disk_in_use_is_told(self, tmp_path):
        with pytest.raises(TargetError, match="in use by another process"):
            start(tmp_path, IN_USE)

    def test_one_that_is_not_ready_in_time_is_stopped(self, tmp_path):
        with pytest.raises(TargetError, match="not ready in time: it said nothing"):
            start(tmp_path, SLOW, timeout=0.5)
        assert is_gone(pid_in(tmp_path))

    def test_one_without_its_disk_names_the_disk(self, tmp_path):
        with pytest.raises(TargetError, match="damaged") as caught:
            start(tmp_path, NO_DISK)
        assert str(tmp_path / "cortex-a53.img") in caught.value.hint

    def test_its_folder_is_removed(self, tmp_path, monkeypatch):
        monkeypatch.setattr(machine.tempfile, "tempdir", str(tmp_path / "temporary"))
        (tmp_path / "temporary").mkdir()
        with pytest.raises(TargetError):
            start(tmp_path, DEAD)
        assert list((tmp_path / "temporary").iterdir()) == []

    @pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
    def test_it_ends_with_its_owner(self, tmp_path, end):
        program(tmp_path, SLOW)
        argv = [sys.executable, "-c", OWNER, str(tmp_path)]
        # What it cannot remove any more is to be in the test's own folder.
        env = {**os.environ, "TMPDIR": str(tmp_path)}
        owner = subprocess.Popen(argv, stderr=subprocess.DEVNULL, env=env)
        try:
            pid = pid_in(tmp_path)
            assert Path(f"/proc/{pid}").exists()
        finally:
            owner.send_signal(end)
            owner.wait()
        assert is_gone(pid)

    def test_a_disk_is_copied_once(self, tmp_path):
        source, copy = tmp_path / "root.img", tmp_path / "own.img"
        with source.open("wb") as stream:
            stream.truncate(50 << 20)
            stream.write(b"begins")
        machine._copy(source, copy)
        assert copy.stat().st_size == 50 << 20
        assert copy.stat().st_blocks * 512 < 1 << 20, "what is not used takes no room"
        copy.write_bytes(b"used")
        machine._copy(source, copy)
        assert copy.read_bytes() == b"used"
        assert sorted(p.name for p in tmp_path.iterdir()) == ["own.img", "root.img"]


@pytest.mark.skipif(not shutil.which("ssh"), reason="OpenSSH's client is not installed")
def test_ssh_reads_its_configuration_as_it_was_meant(tmp_path):
    folder = tmp_path / "a, b 100% %h"
    folder.mkdir()
    made = object.__new__(machine.Machine)
    made.image, made.cpu, made.port, made.folder = image.Image(folder), "cortex-a72", 2222, folder
    argv = ["ssh", "-G", "-F", str(made.ssh_config()), "cortex-a72"]
    said = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    values = dict(line.split(" ", 1) for line in said.splitlines())
    assert values["hostname"] == "127.0.0.1"
    assert values["port"] == "2222"
    assert values["stricthostkeychecking"] == "true"
    assert values["userknownhostsfile"].replace("%%", "%") == str(folder / "known_hosts")


def test_a_free_port_can_be_listened_to():
    with socket.create_server(("127.0.0.1", machine._free_port())) as server:
        assert server.getsockname()[1] > 0


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("usr/bin/python3.11", True),
        ("usr/bin/openssl", False),
        ("usr/lib/aarch64-linux-gnu/libffi.so.8", True),
        ("usr/lib/python3.11/json/decoder.py", True),
        ("usr/lib/python3.11/tkinter/__init__.py", False),
        ("usr/lib/python3.11/ctypes/test/x.py", False),
        ("usr/lib/python3.11/config-3.11-aarch64-linux-gnu/Makefile", False),
        ("usr/lib/python3.11/lib-dynload/_ctypes.cpython-311-aarch64-linux-gnu.so", True),
        ("usr/lib/python3.11/lib-dynload/_ssl.cpython-311-aarch64-linux-gnu.so", False),
        ("usr/share/doc/python3.11/README", False),
    ],
)
def test_the_bundle_takes_what_python_needs(path, wanted):
    assert python_bundle._wanted(path) is wanted


def test_a_packed_bundle_says_nothing_of_who_made_it(tmp_path):
    for name in ("one", "two"):
        folder = tmp_path / name
        (folder / "lib").mkdir(parents=True)
        (folder / "lib/a").write_bytes(b"a")
        (folder / "run.sh").write_text(python_bundle.LAUNCHER)
        (folder / "run.sh").chmod(0o755 if name == "one" else 0o775)
        os.utime(folder / "lib/a", (1, 1) if name == "one" else (2, 2))
        python_bundle._pack(folder, tmp_path / f"{name}.tar.gz")
    first, second = ((tmp_path / f"{name}.tar.gz").read_bytes() for name in ("one", "two"))
    assert first == second
    with tarfile.open(tmp_path / "one.tar.gz") as archive:
        assert [(m.name, m.mode) for m in archive] == [
            ("lib", 0o755),
            ("lib/a", 0o644),
            ("run.sh", 0o755),
        ]
