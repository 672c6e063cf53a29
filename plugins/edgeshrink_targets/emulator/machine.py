"""An emulated ARM64 machine: a qemu process that ends with us, whatever ends us."""

from __future__ import annotations

import atexit
import contextlib
import shutil
import socket
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

from edgeshrink.api import TargetError
from edgeshrink_targets.emulator.image import HOST_ALIAS, NO_DISK, READY, Image

# Started as `sh -c GUARD sh qemu …`, with a pipe as standard input that only we hold open: when
# it closes, because we closed it or because we died, qemu dies.
GUARD = """
exec 3<&0
"$@" 3<&- </dev/null &
machine=$!
{ read -r _ <&3; kill -9 $machine; } >/dev/null 2>&1 &
guard=$!
exec 3<&-
wait $machine
code=$?
kill $guard 2>/dev/null
exit $code
"""
# Another process may take the port between our choice and qemu's.
PORT_TRIES = 3
PORT_TAKEN = "Could not set up host forwarding rule"
DISK_IN_USE = 'Failed to get "write" lock'
STOP_SECONDS = 10.0


class Machine:
    """A qemu process with its disk, reached by ssh on a port of 127.0.0.1.

    It can reach no network. Its disk keeps what was written from one start to the next.

    Args:
        image: what it starts from.
        cpu: the processor in qemu's words.
        memory_mb: its memory, in MiB.
        cores: the number of its processors.
        qemu: the program.
        timeout: seconds until it must be ready.

    Raises:
        TargetError: it does not start, or its disk is in use.
    """

    def __init__(
        self, image: Image, cpu: str, *, memory_mb: int, cores: int, qemu: str, timeout: float
    ) -> None:
        self.image, self.cpu = image, cpu
        self.disk = image.folder / f"{cpu}.img"
        self.folder = Path(tempfile.mkdtemp(prefix="edgeshrink-machine-"))
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self._hardware = (
            *(qemu, "-machine", "virt", "-cpu", cpu, "-smp", str(cores), "-m", str(memory_mb)),
            *("-display", "none", "-monitor", "none", "-parallel", "none", "-no-reboot"),
            *("-kernel", str(image.kernel), "-initrd", str(image.initrd)),
            *("-append", "console=ttyAMA0 quiet panic=-1"),
            *("-chardev", f"file,id=console,path={_value(self._console)}"),
            *("-serial", "chardev:console"),
            *("-drive", f"file={_value(self.disk)},format=raw,if=none,id=disk"),
            *("-device", "virtio-blk-device,drive=disk", "-device", "virtio-rng-device"),
            *("-device", "virtio-net-device,netdev=net"),
        )
        atexit.register(self.close)
        try:
            _copy(image.disk, self.disk)
            self._start(time.monotonic() + timeout)
        except BaseException:
            self.close()
            raise

    @property
    def _console(self) -> Path:
        return self.folder / "console"

    @property
    def _errors(self) -> Path:
        return self.folder / "errors"

    def alive(self) -> bool:
        """Return whether qemu runs."""
        return self.process is not None and self.process.poll() is None

    def ssh_config(self) -> Path:
        """Write what OpenSSH's client must know to reach the machine by the name of its CPU."""
        path = self.folder / "ssh_config"
        lines = (
            f"Host {self.cpu}",
            "HostName 127.0.0.1",
            f"Port {self.port}",
            "User root",
            f"IdentityFile {_quoted(self.image.client_key)}",
            "IdentitiesOnly yes",
            "IdentityAgent none",
            f"HostKeyAlias {HOST_ALIAS}",
            f"UserKnownHostsFile {_quoted(self.image.known_hosts)}",
            "GlobalKnownHostsFile /dev/null",
            "StrictHostKeyChecking yes",
            "UpdateHostKeys no",
            # The default of newer clients takes a second of emulated arithmetic.
            "KexAlgorithms curve25519-sha256",
        )
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    def wait(self, seconds: float) -> bool:
        """Wait for the machine to power itself off; return whether it did."""
        if self.process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(seconds)
        return not self.alive()

    def close(self) -> None:
        """Stop the machine at once, as if its plug were pulled; a second time is no error."""
        atexit.unregister(self.close)
        if self.process is not None:
            assert self.process.stdin is not None  # for the type checker: it is a pipe
            self.process.stdin.close()
            if not self.wait(STOP_SECONDS):
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, until: float) -> None:
        for _ in range(PORT_TRIES):
            self.port = _free_port()
            net = f"user,id=net,restrict=on,hostfwd=tcp:127.0.0.1:{self.port}-:22"
            with self._errors.open("wb") as errors:
                # In a session of its own, so that Ctrl-C leaves it to `close`.
                self.process = subprocess.Popen(
                    ["/bin/sh", "-c", GUARD, "sh", *self._hardware, "-netdev", net],
                    stdin=subprocess.PIPE,
                    stdout=errors,
                    stderr=errors,
                    start_new_session=True,
                )
            if self._ready(until):
                return
            self.process.stdin.close()  # type: ignore[union-attr]  # it is a pipe
        raise TargetError(f"no port of 127.0.0.1 is free for the emulated {self.cpu}")

    def _ready(self, until: float) -> bool:
        """Wait until the machine takes ssh connections; False if another port must be tried."""
        while True:
            said = _text(self._console)
            if READY in said and self._answers():
                return True
            if NO_DISK in said:
                raise TargetError(
                    f"the disk of the emulated {self.cpu} is damaged",
                    hint=f"remove {self.disk}: a new one is made at the next start",
                )
            if not self.alive():
                errors = _text(self._errors)
                if PORT_TAKEN in errors:
                    return False
                if DISK_IN_USE in errors:
                    raise TargetError(
                        f"the emulated {self.cpu} is in use by another process",
                        hint="wait for it to end; each CPU model has one disk",
                    )
                raise TargetError(f"the emulated {self.cpu} stopped: {_last(errors, said)}")
            if time.monotonic() > until:
                raise TargetError(
                    f"the emulated {self.cpu} was not ready in time: {_last(said)}",
                    hint="give it more with boot_timeout = ... under [connection]",
                )
            time.sleep(0.05)

    def _answers(self) -> bool:
        """Return whether the ssh server greets: it says that it is there before it listens."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2) as probe:
                return probe.recv(4) == b"SSH-"
        except OSError:
            return False


def _text(path: Path) -> str:
    """Return the end of what was written to a log, as far as there is one."""
    try:
        return path.read_bytes()[-20_000:].decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _last(*logs: str) -> str:
    """Return the last lines of the first log that has any."""
    for log in logs:
        if lines := [line.strip() for line in log.splitlines() if line.strip()]:
            return " / ".join(lines[-3:])
    return "it said nothing"


def _value(path: Path) -> str:
    """Return a path as a value in qemu's options, where a comma ends a value."""
    return str(path).replace(",", ",,")


def _quoted(path: Path) -> str:
    """Return a path as a word of OpenSSH's configuration, where % begins a token."""
    return '"' + str(path).replace("%", "%%") + '"'


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _copy(source: Path, copy: Path) -> None:
    """Copy a sparse file, so that it takes no more room than its data, if it is not there yet.

    Raises:
        TargetError: it cannot be written.
    """
    if copy.exists():
        return
    partial = copy.with_name(f".{copy.name}.{uuid.uuid4().hex}")
    argv = ("cp", "--sparse=always", "--reflink=auto", "--", str(source), str(partial))
    try:
        done = subprocess.run(argv, capture_output=True, text=True)
        if done.returncode:
            raise TargetError(f"the disk of an emulated machine cannot be made: {done.stderr}")
        # Unlike a rename, this leaves alone what another process put there meanwhile.
        with contextlib.suppress(FileExistsError):
            copy.hardlink_to(partial)
    finally:
        partial.unlink(missing_ok=True)
