"""Loopback phones, and private adb servers to reach them; the user's own server is left alone."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import filelock
import pytest

HERE = Path(__file__).parent
# The client of Google's platform tools 36; a wheel that carries it is the one way to pin it.
WHEEL = "adbutils==2.12.0"
CLIENTS = ("debian", "platform-tools")


def client(kind: str, config: pytest.Config) -> str:
    """Return the path of an adb client, or skip the test.

    Args:
        kind: "debian", which is the one in PATH, or "platform-tools", which is fetched once.
        config: pytest's, for its cache folder.
    """
    if kind == "debian":
        found = shutil.which("adb")
        if not found:
            pytest.skip("adb is not installed: apt-get install adb")
        return found
    cache = config.cache
    if cache is None:
        pytest.skip("the newer adb client needs pytest's cache folder")
    folder = cache.mkdir("adb-client")
    with filelock.FileLock(folder / "lock"):
        return _fetch(folder)


def _fetch(folder: Path) -> str:
    program = folder / "adb"
    if not program.exists():
        argv = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        argv += ["--no-binary=:none:", "--retries=1", "--dest", str(folder), WHEEL]
        subprocess.run(argv, capture_output=True)
        wheel = next(folder.glob("adbutils-*.whl"), None)
        if wheel is None:
            pytest.skip(f"pip cannot fetch {WHEEL}, which carries an adb client")
        with zipfile.ZipFile(wheel) as archive:
            if "adbutils/binaries/adb" not in archive.namelist():
                pytest.skip(f"{wheel.name} carries no adb client for this machine")
            partial = folder / "adb.partial"
            partial.write_bytes(archive.read("adbutils/binaries/adb"))
        partial.chmod(0o755)
        partial.rename(program)
    return str(program)


def toybox(folder: Path) -> tuple[str, ...]:
    """Return the options of a phone that has Android's shell and tools only, or skip the test.

    Debian's build of toybox leaves out what Android's has and busybox can stand in for.
    """
    shell, tools, more = (shutil.which(name) for name in ("mksh", "toybox", "busybox"))
    if not (shell and tools and more):
        pytest.skip("Android's userland is not here: apt-get install mksh toybox busybox-static")
    folder.mkdir()
    names = subprocess.run([tools], capture_output=True, text=True, check=True).stdout.split()
    for name in names:
        (folder / name).symlink_to(tools)
    for name in {"tr", "dd", "awk"} - set(names):
        (folder / name).symlink_to(more)
    (folder / "sh").symlink_to(shell)
    return ("--shell", shell, "--path", str(folder))


def free_port() -> int:
    """Return a port that is free now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def is_ended(pid: str) -> bool:
    """Return whether a process of this machine ends within five seconds."""
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state == "Z":
            return True
        time.sleep(0.02)
    return False


@dataclass
class Bridge:
    """An adb client with a server of its own.

    Attributes:
        adb: the client's path.
        environment: what leads the client to its server.
    """

    adb: str
    environment: dict[str, str]

    def __call__(self, *argv: str, timeout: float = 20) -> subprocess.CompletedProcess[str]:
        """Run the client."""
        return subprocess.run(
            [self.adb, *argv],
            capture_output=True,
            text=True,
            timeout=timeout,
            env={**os.environ, **self.environment},
            stdin=subprocess.DEVNULL,
        )

    def forget(self) -> None:
        """Drop every device."""
        self("disconnect")


@contextlib.contextmanager
def bridge(adb: str, home: Path) -> Iterator[Bridge]:
    """Run an adb server on a free port, with keys of its own, for as long as the block lasts."""
    environment = {
        "ANDROID_ADB_SERVER_PORT": str(free_port()),
        "ADB_MDNS": "0",  # no noise on the network
        "ADB_USB": "0",  # the user's phones and emulators stay out of this
        "ADB_EMU": "0",
        "HOME": str(home),
        "ANDROID_SERIAL": "",
    }
    everything = {**os.environ, **environment}
    for key in ("ADB_SERVER_SOCKET", "ANDROID_SERIAL", "ADB_VENDOR_KEYS"):
        everything.pop(key, None)
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [adb, "nodaemon", "server"], env=everything, stdout=log, stderr=log
        )
        try:
            _await_port(int(environment["ANDROID_ADB_SERVER_PORT"]), server)
            yield Bridge(adb, environment)
        finally:
            server.kill()
            server.wait()


def _await_port(port: int, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 10
    while time.monotonic() < until and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"the adb server does not listen on port {port}")


@dataclass
class Phone:
    """A loopback phone.

    Attributes:
        root: the folder of its files.
        options: the command line of `python -m adbd`, beside its root and port.
        port: where it listens; kept when it is plugged in again.
    """

    root: Path
    options: tuple[str, ...] = ()
    port: int = 0
    process: subprocess.Popen[str] | None = field(default=None, repr=False)

    @property
    def address(self) -> str:
        """The host and port that `adb connect` takes."""
        return f"127.0.0.1:{self.port}"

    @property
    def tmp(self) -> Path:
        """The folder that the phone calls /data/local/tmp."""
        return self.root / "data/local/tmp"

    def plug_in(self) -> None:
        """Start the phone; it keeps its files and its port."""
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "adbd", "--root", str(self.root)),
                *("--port", str(self.port), "--faults", str(self.root / "faults.json")),
                *self.options,
            ],
            cwd=HERE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout
        said = self.process.stdout.readline()
        found = re.fullmatch(r"listening on 127\.0\.0\.1:(\d+)\n", said)
        assert found, f"the loopback phone did not start: {said!r}"
        self.port = int(found[1])

    def unplug(self) -> None:
        """End the phone, as if its cable were pulled out."""
        if self.process:
            self.process.kill()
            self.process.communicate()
            self.process = None

    def fault(self, **faults: Any) -> None:
        """Let these go wrong from now on, and nothing else."""
        partial = self.root / "faults.partial"
        partial.write_text(json.dumps(faults))
        partial.rename(self.root / "faults.json")


@contextlib.contextmanager
def phone(root: Path, *options: str) -> Iterator[Phone]:
    """Run a loopback phone for as long as the block lasts."""
    root.mkdir(parents=True, exist_ok=True)
    made = Phone(root, options)
    try:
        made.plug_in()
        yield made
    finally:
        made.unplug()
