"""The device: its folder, its properties, its programs and its services."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shlex
import socket
import subprocess
import termios
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .faults import Faults
from .keys import Key
from .shell import run_exec, run_old_shell, run_shell
from .sync import Sync
from .wire import MAX_DATA, OLD_MAX_DATA, OLD_VERSION, VERSION, Gone, Stream

PROPERTIES = {
    "ro.product.name": "loopback",
    "ro.product.model": "Loopback_Phone",
    "ro.product.device": "loopback",
    "ro.product.manufacturer": "edgeshrink",
    "ro.product.cpu.abi": "arm64-v8a",
    "ro.build.version.release": "15",
    "ro.build.version.sdk": "35",
    "ro.hardware": "loopback",
    "ro.board.platform": "loopback",
    "ro.soc.model": "LOOPBACK1",
}
SHOWN = ("ro.product.name", "ro.product.model", "ro.product.device")
# Folders that commands name, wherever the device's root really is.
FOLDERS = re.compile(r"(?<![\w/.-])/(data/local/tmp|sdcard)(?![\w.-])")


@dataclass
class Device:
    """A device in a folder.

    Attributes:
        root: where its files are.
        chroot: whether commands run inside `root`.
        shell: the shell, as commands are to find it.
        path: folders of programs, outside of a chroot.
        auth: "none" asks nobody; "accept" takes new keys; "reject" waits for ever.
        features: what the device tells the client that it can.
    """

    root: Path
    faults: Faults
    chroot: bool = False
    shell: str = "/bin/sh"
    path: str = os.defpath
    auth: str = "none"
    features: tuple[str, ...] = ()
    properties: dict[str, str] = field(default_factory=lambda: dict(PROPERTIES))
    keys: list[Key] = field(default_factory=list)

    def install(self) -> None:
        """Make the folders and the program `getprop`, where they are not there yet."""
        for name in ("data/local/tmp", "sdcard", "system/bin", "faulty"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        program = self.root / "system/bin/getprop"
        if not program.exists():
            program.write_text(_getprop(self.properties, self.shell))
            program.chmod(0o755)

    @property
    def version(self) -> int:
        """Of the protocol; a device without the shell protocol speaks the old one."""
        return VERSION if "shell_v2" in self.features else OLD_VERSION

    @property
    def max_data(self) -> int:
        """Bytes in a message."""
        return MAX_DATA if "shell_v2" in self.features else OLD_MAX_DATA

    def asks(self) -> bool:
        """Return whether clients have to show a key."""
        return self.auth != "none" or bool(self.faults.read().get("unauthorized"))

    def allows(self) -> bool:
        """Return whether the user taps "Allow" when a new client shows its key."""
        return self.auth != "reject" and not self.faults.read().get("unauthorized")

    def banner(self) -> str:
        """Return what the device says of itself when a client connects."""
        said = "".join(f"{key}={self.properties[key]};" for key in SHOWN)
        features = f"features={','.join(self.features)}" if self.features else ""
        return f"device::{said}{features}"

    def locate(self, path: str) -> Path:
        """Return where a file of the device is; a path of the host's under `root` stays itself."""
        whole = Path(os.path.normpath(path))
        if not self.chroot and whole.is_relative_to(self.root):
            return whole
        return self.root / os.path.normpath(f"/{path}").lstrip("/")

    def service(self, name: str) -> Callable[[Stream], None] | None:
        """Return what serves a stream of this name; None for what is refused or unknown."""
        faults = self.faults.read()
        if "refuse" in faults and name.startswith(faults["refuse"]):
            return None
        kind, _, rest = name.partition(":")
        if kind == "sync":
            return lambda stream: Sync(stream, self, faults).run()
        if kind == "exec":
            return lambda stream: run_exec(stream, self, rest, faults)
        if kind == "shell" and "v2" not in kind:
            return lambda stream: run_old_shell(stream, self, rest, faults)
        if kind.startswith("shell,") and "shell_v2" in self.features:
            return lambda stream: run_shell(stream, self, rest, faults)
        if kind == "tcp" and rest.isdigit():
            return lambda stream: _forward(stream, int(rest))
        return None

    def start(
        self, command: str, faults: dict[str, Any], *, tty: bool = False, **pipes: Any
    ) -> subprocess.Popen[bytes]:
        """Start a command of the device's shell in a session of its own.

        Args:
            command: a line for the shell.
            faults: of this moment.
            tty: whether its standard input is its terminal.
            **pipes: stdin, stdout and stderr, as `Popen` takes them.
        """
        root = "/" if self.chroot else str(self.root)
        base = "/system/bin:/system/xbin:/bin:/usr/bin" if self.chroot else self.path
        system = root.rstrip("/")
        environment = {
            **{key: value for key, value in os.environ.items() if key.startswith("QEMU_")},
            "PATH": f"{system}/faulty:{system}/system/bin:{base}",
            "HOME": root,
            "TMPDIR": f"{system}/data/local/tmp",
            "ANDROID_ROOT": f"{system}/system",
        }
        self._lie(faults.get("programs", {}))

        def enter() -> None:
            if tty:
                fcntl.ioctl(0, termios.TIOCSCTTY, 0)
            if self.chroot:
                os.chroot(self.root)
            os.chdir(root)

        text = command if self.chroot else FOLDERS.sub(rf"{self.root}/\1", command)
        return subprocess.Popen(
            [self.shell, "-c", text],
            env=environment,
            preexec_fn=enter,
            start_new_session=True,
            bufsize=0,
            **pipes,
        )

    def _lie(self, programs: dict[str, str]) -> None:
        """Put programs that answer otherwise where they are found first."""
        folder = self.root / "faulty"
        for old in folder.iterdir():
            if old.name not in programs:
                old.unlink()
        for name, script in programs.items():
            text = f"#!{self.shell}\n{script}\n"
            if not (folder / name).exists() or (folder / name).read_text() != text:
                (folder / name).write_text(text)
                (folder / name).chmod(0o755)


def _getprop(properties: dict[str, str], shell: str) -> str:
    cases = "".join(f"{key}) echo {shlex.quote(text)};;\n" for key, text in properties.items())
    listing = "".join(f"echo {shlex.quote(f'[{k}]: [{v}]')}\n" for k, v in properties.items())
    return f'#!{shell}\ncase "$1" in\n{cases}"")\n{listing};;\n*) echo;;\nesac\n'


def _forward(stream: Stream, port: int) -> None:
    """Carry bytes between a stream and a port of this machine."""
    with socket.create_connection(("127.0.0.1", port), 5) as sock:

        def up() -> None:
            with contextlib.suppress(Gone, OSError):
                while True:
                    sock.sendall(stream.read())
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

        threading.Thread(target=up, daemon=True).start()
        while data := sock.recv(1 << 16):
            stream.write(data)
