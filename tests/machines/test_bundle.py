"""The Python for Android: through the real adb, onto an ARM64 root that has nothing of glibc's.

Android's shell (mksh) and BusyBox are static ARM64 programs from Debian; the kernel starts them by
qemu's user-mode emulation, which it is told about by binfmt_misc.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import phone as phones
import pytest

from edgeshrink.api import cache_folder, need
from edgeshrink.errors import CommandFailed, TargetError
from edgeshrink_targets import debian
from edgeshrink_targets.adb import python_bundle
from edgeshrink_targets.adb.target import Adb, Options

pytestmark = [pytest.mark.device, pytest.mark.timeout(600)]

# Not qemu's default, `max`, which computes some int8 kernels wrongly.
CPU = "cortex-a76"
BINFMT = Path("/proc/sys/fs/binfmt_misc")
# What systemd would give to the kernel at boot, where there is one.
REGISTRATION = Path("/usr/lib/binfmt.d/qemu-aarch64.conf")
LITERT = "ai-edge-litert==2.3.0"
ABOUT = """
import hashlib, json, os, subprocess, sys, tempfile, threading
child = "import os, sys; print(sys.executable, sys.argv[1], os.environ['EDGESHRINK_PYTHON'])"
said = subprocess.run([sys.executable, "-c", child, "two words"], stdout=-1, text=True).stdout
with tempfile.NamedTemporaryFile() as file:
    temporary = os.path.dirname(file.name)
print(json.dumps({
    "executable": sys.executable, "child": said, "temporary": temporary, "path": sys.path,
    "digest": hashlib.sha256("ümläut".encode()).hexdigest(), "argv": sys.argv[1:],
    "encoding": sys.stdout.encoding, "variables": sorted(os.environ),
}))
"""
LOAD = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
environment = ctypes.c_void_p()
print("status", library.LiteRtCreateEnvironment(0, None, ctypes.byref(environment)))
print("made", bool(environment.value))
"""


def emulation() -> None:
    """Let the kernel start ARM64 programs, also inside of a chroot, or skip."""
    if os.uname().machine == "aarch64":
        return
    if os.geteuid() != 0:
        pytest.skip("only root can change its root folder and register an emulator")
    if not REGISTRATION.exists():
        pytest.skip("qemu's user-mode emulation is not here: apt-get install qemu-user-static")
    if not (BINFMT / "register").exists():
        mounted = subprocess.run(
            ["mount", "-t", "binfmt_misc", "none", str(BINFMT)], capture_output=True
        )
        if mounted.returncode:
            pytest.skip("binfmt_misc cannot be mounted, so that no emulator can be registered")
    entry = BINFMT / "qemu-aarch64"
    if not entry.exists():
        try:
            (BINFMT / "register").write_bytes(REGISTRATION.read_bytes())
        except OSError as error:
            pytest.skip(f"the emulator cannot be registered: {error}")
    said = entry.read_text()
    flags = said.partition("flags: ")[2].partition("\n")[0]
    # F: the emulator is found in a chroot too. P: programs are told the name they were called by.
    if "enabled" not in said or not {"F", "P"} <= set(flags):
        pytest.skip(f"the registered emulator of ARM64 has the flags {flags}; F and P are needed")


def android(root: Path) -> None:
    """Make what the bundle may expect of a phone: a shell, tools, the list of processors."""
    debs = root.with_name("debs")
    debs.mkdir()
    files = root.with_name("files")
    files.mkdir()
    archive = debian.Archive(cache_folder("debian"))
    for deb in archive.fetch(["mksh", "busybox-static"], debs):
        debian.extract(deb, files, lambda name: "bin/" in name)
    programs = root / "system/bin"
    programs.mkdir(parents=True)
    shutil.copyfile(files / "usr/lib/klibc/bin/mksh", programs / "sh")
    shutil.copyfile(files / "bin/busybox", programs / "busybox")
    for name in ("sh", "busybox"):
        (programs / name).chmod(0o755)
    tools = (
        "cat chmod df du find gzip mkdir mv printf rm rmdir setsid sha256sum sleep tail tar tr wc"
    )
    for name in (*tools.split(), "ls", "true"):
        (programs / name).symlink_to("busybox")
    processors = root / "sys/devices/system/cpu"
    processors.mkdir(parents=True)
    for name in ("possible", "present"):
        (processors / name).write_text("0-1\n")
    for name in ("proc", "dev"):
        (root / name).mkdir()
    (root / "dev/null").touch()


@contextlib.contextmanager
def mounted(root: Path):
    """Mount /proc and /dev/null in the root for as long as the block lasts.

    The root becomes a mount of its own, as `df` must find one.
    """
    mounts = (
        ["--bind", str(root), str(root)],
        ["-t", "proc", "proc", str(root / "proc")],
        ["--bind", "/dev/null", str(root / "dev/null")],
    )
    done: list[str] = []
    try:
        for words in mounts:
            subprocess.run(["mount", *words], check=True)
            done.append(words[-1])
        yield
    finally:
        for path in reversed(done):
            subprocess.run(["umount", "--lazy", path], check=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory, request):
    """An Android-like phone on loopback, and how to connect to it."""
    need(debian.APT, debian.DPKG)
    program = phones.client("debian", request.config)
    emulation()
    folder = tmp_path_factory.mktemp("android")
    root = folder / "root"
    root.mkdir()
    android(root)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QEMU_CPU", CPU)
        # adb gets a home of its own; what was built once stays where it is.
        patch.setenv("XDG_CACHE_HOME", str(cache_folder("").parent))
        with (
            mounted(root),
            phones.bridge(program, folder) as bridge,
            phones.phone(root, "--chroot", "--property", "ro.product.cpu.abi=arm64-v8a") as phone,
        ):
            for key, value in bridge.environment.items():
                patch.setenv(key, value)
            yield f"adb:{phone.address}", Options(adb=program)


@pytest.fixture(scope="module")
def installed(place):
    """The same, with Python on it."""
    notes: list[str] = []
    said = Adb.setup(*place, lambda share, note: notes.append(note))
    assert said == ["Python 3.11.2 with its own C library in /data/local/tmp/edgeshrink/python"]
    assert notes[-1] == "installed"
    with Adb.connect(*place) as device:
        yield device


def test_python_runs_there_and_so_do_its_children(installed):
    done = installed.run(*installed.python(), "-c", ABOUT, "a b", "")
    said = json.loads(done.check().stdout)
    launcher = "/data/local/tmp/edgeshrink/python/run.sh"
    assert said["executable"] == launcher
    assert said["child"] == f"{launcher} two words {launcher}\n"
    assert said["argv"] == ["a b", ""]
    assert said["encoding"] == "utf-8"
    assert said["digest"] == hashlib.sha256("ümläut".encode()).hexdigest()
    assert said["temporary"].startswith("/data/local/tmp")
    assert not {"LD_PRELOAD", "LD_LIBRARY_PATH"} & set(said["variables"])


def test_exit_codes_and_signals_pass_through(installed):
    python = installed.python()
    assert installed.run(*python, "-c", "import sys; sys.exit(7)").returncode == 7
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert installed.run(*python, "-c", code).returncode == -9
    failed = installed.run(*python, "-c", "1/0")
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


def test_the_launcher_works_from_wherever_it_is_called(installed):
    folder = "/data/local/tmp/edgeshrink/python"
    show = "import sys; print(sys.executable)"
    ways = (
        f"cd {folder} && sh run.sh -c '{show}'",
        f"cd {folder}/lib && sh ../run.sh -c '{show}'",
        f"{folder}/run.sh -c '{show}'",
        f"LD_PRELOAD=/none.so PYTHONPATH=/given sh {folder}/run.sh -c '{show}; print(sys.path[1])'",
    )
    said = [installed.run("sh", "-c", way).check().stdout for way in ways]
    assert said == [f"{folder}/run.sh\n"] * 3 + [f"{folder}/run.sh\n/given\n"]


def test_litert_is_loaded_by_ctypes(installed, tmp_path):
    argv = ["-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(tmp_path)]
    argv += ["--only-binary=:all:", "--platform", "manylinux_2_27_aarch64"]
    done = subprocess.run(
        [sys.executable, *argv, "--python-version", "311", LITERT], capture_output=True
    )
    if done.returncode:
        pytest.skip(f"pip cannot fetch {LITERT} for ARM64")
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        library = Path(archive.extract("ai_edge_litert/libLiteRt.so", tmp_path))
    remote = installed.place(library)
    said = installed.run(*installed.python(), "-c", LOAD, remote, timeout=120).check()
    assert said.stdout.splitlines() == ["status 0", "made True"]


def test_installing_again_replaces_what_is_there(installed, place):
    broken = "/data/local/tmp/edgeshrink/python/run.sh"
    installed.run("sh", "-c", f"echo exit 3 > {broken}").check()
    assert installed.run(*installed.python(), "-c", "").returncode == 3
    python_bundle.install(installed, lambda share, note: None)
    assert installed.run(*installed.python(), "-c", "").returncode == 0
    left = installed.run("find", "/data/local/tmp/edgeshrink").check().stdout
    assert "python.new" not in left
    assert ".gz" not in left, "the archive is of no use any more"


def test_a_python_that_does_not_run_is_not_believed(installed, monkeypatch):
    monkeypatch.setattr(python_bundle, "UNPACK", ":")  # what is there is whole
    monkeypatch.setattr(python_bundle, "CHECK", "print('[]')")
    with pytest.raises(CommandFailed, match="does not run"):
        python_bundle.install(installed, lambda share, note: None)
    monkeypatch.setattr(python_bundle, "CHECK", "raise SystemExit('no such instruction')")
    with pytest.raises(CommandFailed, match="does not run: no such instruction"):
        python_bundle.install(installed, lambda share, note: None)


def test_what_cannot_be_unpacked_is_told(installed, monkeypatch):
    python = installed.python()
    monkeypatch.setattr(
        python_bundle, "UNPACK", python_bundle.UNPACK.replace("tar -xzf", "tar -xzf none")
    )
    with pytest.raises(CommandFailed, match="cannot be unpacked in /data/local/tmp/edgeshrink: "):
        python_bundle.install(installed, lambda share, note: None)
    assert installed.run(*python, "-c", "").returncode == 0, "what was there is still there"


def test_another_processor_is_refused(place, tmp_path):
    program = place[1].adb
    with phones.bridge(program, tmp_path) as bridge, pytest.MonkeyPatch.context() as patch:
        for key, value in bridge.environment.items():
            patch.setenv(key, value)
        with (
            phones.phone(tmp_path / "root", "--property", "ro.product.cpu.abi=x86_64") as phone,
            pytest.raises(TargetError, match=r"runs on arm64-v8a; .* has 'x86_64'"),
        ):
            Adb.setup(f"adb:{phone.address}", Options(program), lambda share, note: None)


@pytest.mark.slow
def test_equal_packages_give_equal_bytes(tmp_path, installed):
    there = python_bundle.build(cache_folder("bundle"), lambda share, note: None)
    again = python_bundle.build(tmp_path / "again", lambda share, note: None)
    assert again.read_bytes() == there.read_bytes()
    packages = json.loads(again.with_suffix("").with_suffix(".json").read_text())["packages"]
    assert {"libc6", "python3.11-minimal"} <= {package["name"] for package in packages}
    assert again.stat().st_size < 12e6
