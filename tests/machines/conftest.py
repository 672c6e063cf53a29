"""What device tests share: a real ssh server on loopback, which keeps all in a temporary folder."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cutproxy import CutProxy

from edgeshrink_targets.ssh import target

# sshd starts itself anew for each connection, so it must be named by its path.
SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
PATH = "/usr/local/bin:/usr/bin:/bin"


@dataclass
class Server:
    """An ssh server on loopback.

    Attributes:
        folder: where all of it is.
        keys: a folder with the key pairs `client`, `host` and `other`.
        port: where it listens.
        shims: programs in it come before those of the system, over there.
    """

    folder: Path
    keys: Path
    port: int
    extra: str = ""
    process: subprocess.Popen[bytes] | None = None

    @property
    def shims(self) -> Path:
        return self.folder / "shims"

    @property
    def home(self) -> Path:
        """The home of whoever logs in."""
        return self.folder / "home"

    @property
    def cache(self) -> Path:
        """The folder that edgeshrink makes over there."""
        return self.folder / "cache" / "edgeshrink-device"

    def start(self) -> None:
        """Start it, with what the configuration says now."""
        self.shims.mkdir(exist_ok=True)
        self.home.mkdir(exist_ok=True)
        config = self.folder / "sshd_config"
        config.write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {self.keys}/host\n"
            f"PidFile none\nAuthorizedKeysFile {self.keys}/client.pub\nStrictModes no\n"
            "UsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n"
            # An empty home: what somebody's start-up files do (change PATH, wait for a lock that an
            # earlier test's end left behind) is not what is tested.
            f"SetEnv HOME={self.home} XDG_CACHE_HOME={self.folder}/cache PATH={self.shims}:{PATH}\n"
            f"{self.extra}\n"
        )
        assert SSHD is not None
        self.process = subprocess.Popen(
            [SSHD, "-D", "-f", config, "-E", self.folder / "log"], start_new_session=True
        )
        until = time.monotonic() + 10
        while time.monotonic() < until:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.01)
        raise AssertionError("the ssh server does not listen")

    def options(
        self,
        port: int | None = None,
        *,
        key: str = "client",
        known: str = "host",
        more: str = "",
        **options: int | str,
    ) -> target.Options:
        """Return options with which `ssh:device` is this server.

        Args:
            port: of a proxy in between.
            key: with which to log in.
            known: the key that the server is to have; empty for one that is not known.
            more: lines for the end of the configuration.
            **options: others than quick ones.
        """
        port = port or self.port
        # ssh does not quote the path for the client of a jump host
        config = self.folder / f"config-{port}-{key}-{known}"
        hosts = self.folder / f"hosts-{port}-{known}"
        line = f"[127.0.0.1]:{port} {(self.keys / f'{known}.pub').read_text()}" if known else ""
        hosts.write_text(line)
        config.write_text(
            f"Host device\n  HostName 127.0.0.1\n  Port {port}\n{more}\n"
            f"Host *\n  User {getpass.getuser()}\n  IdentityFile {self.keys}/{key}\n"
            f'  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile "{hosts}"\n'
            "  GlobalKnownHostsFile /dev/null\n"
        )
        quick = {"connect_timeout": 2, "alive_interval": 1, "alive_count": 2}
        return target.Options(**{"config": str(config), **quick, **options})  # type: ignore[arg-type]

    def shim(self, name: str, text: str) -> None:
        """Put a program before the system's own, over there."""
        path = self.shims / name
        path.write_text(text)
        path.chmod(0o755)

    def files(self) -> list[str]:
        """Return what is in the cache folder, folders too."""
        return sorted(str(path.relative_to(self.cache)) for path in self.cache.rglob("*"))

    def stop(self) -> None:
        """End it, its connections, and what runs over there."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
        for pid in self.running(str(self.folder)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(os.getpgid(pid), signal.SIGKILL)

    @staticmethod
    def running(text: str) -> list[int]:
        """Return the processes, other than this one, whose command line has a text in it."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                line = path.read_bytes().replace(b"\0", b" ")
                if text.encode() in line and int(path.parent.name) != os.getpid():
                    found.append(int(path.parent.name))
        return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return one.getsockname()[1]


@pytest.fixture(scope="session")
def ssh_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Key pairs of a client, of a server, and of another."""
    if SSHD is None:
        pytest.skip("sshd is not installed: apt-get install openssh-server")
    if not shutil.which("ssh"):
        pytest.skip("ssh is not installed: apt-get install openssh-client")
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # the system's own start script does that
    folder = tmp_path_factory.mktemp("keys")
    for name in ("client", "host", "other"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name]
        subprocess.run(command, check=True)
    return folder


@contextlib.contextmanager
def running_server(folder: Path, keys: Path) -> Iterator[Server]:
    one = Server(folder, keys, free_port())
    one.start()
    try:
        yield one
    finally:
        one.stop()


@pytest.fixture
def server(tmp_path: Path, ssh_keys: Path) -> Iterator[Server]:
    """An ssh server on loopback, for one test."""
    with running_server(tmp_path, ssh_keys) as one:
        yield one


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory, ssh_keys: Path) -> Iterator[Server]:
    """An ssh server on loopback, for all tests of a file that leave it as it is."""
    with running_server(tmp_path_factory.mktemp("server"), ssh_keys) as one:
        yield one


@pytest.fixture
def proxy(server: Server) -> Iterator[CutProxy]:
    """A proxy before the ssh server, which passes all."""
    with CutProxy(server.port) as one:
        yield one


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that all else runs beside it."""
    items.sort(key=lambda item: "emulat" not in item.nodeid)
