"""Commands on the device: the shell protocol, the shell of old devices, and plain `exec`."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import struct
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

from .wire import Gone, Stream

if TYPE_CHECKING:
    from .device import Device

STDIN, STDOUT, STDERR, EXIT, CLOSE_STDIN = range(5)  # kinds of packets


class Output:
    """A command's output on its way to the client, up to the byte where the cable is cut."""

    def __init__(self, stream: Stream, limit: int | None) -> None:
        self.stream, self.left = stream, limit
        self.lock = threading.Lock()

    def pump(self, source: int, kind: int | None) -> None:
        """Carry what a file descriptor gives, in packets of a kind or bare, to its end."""
        with contextlib.suppress(Gone, OSError):  # OSError: a terminal whose last user has left
            while data := os.read(source, 1 << 16):
                with self.lock:
                    self.send(data, kind)

    def send(self, data: bytes, kind: int | None) -> None:
        """Send output; the cable is cut within it when its time has come."""
        cut = self.left is not None and len(data) >= self.left
        if self.left is not None:
            data = data[: self.left]
            self.left -= len(data)
        head = b"" if kind is None else struct.pack("<BI", kind, len(data))
        if data:
            self.stream.write(head + data)
        if cut:
            self.stream.link.cut()


def run_shell(stream: Stream, device: Device, command: str, faults: dict[str, Any]) -> None:
    """Run a command in packets: both outputs apart, an end of the input, an exit code."""
    time.sleep(faults.get("shell_delay", 0))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = device.start(command, faults, **pipes)
    assert process.stdin
    assert process.stdout
    assert process.stderr

    def feed() -> None:
        try:
            while True:
                kind, size = struct.unpack("<BI", stream.read(5))
                data = stream.read(size)
                with contextlib.suppress(OSError, ValueError):  # the command reads no more
                    if kind == STDIN:
                        _write(process.stdin, data)
                    elif kind == CLOSE_STDIN:
                        process.stdin.close()
        except Gone:
            # The client has died. Android's adbd hangs up the shell too, and nothing else:
            # whatever the shell has started goes on.
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGHUP)

    output = Output(stream, faults.get("shell_cut"))
    pumps = [
        _spawn(output.pump, process.stdout.fileno(), STDOUT),
        _spawn(output.pump, process.stderr.fileno(), STDERR),
    ]
    _spawn(feed)
    for thread in pumps:
        thread.join()
    code = process.wait()
    stream.write(struct.pack("<BIB", EXIT, 1, code if code >= 0 else 128 - code))


def run_exec(stream: Stream, device: Device, command: str, faults: dict[str, Any]) -> None:
    """Run a command on bare bytes: one output, no exit code; a lost client ends its input."""
    time.sleep(faults.get("shell_delay", 0))
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = device.start(command, faults, **pipes)
    assert process.stdin
    assert process.stdout

    def feed() -> None:
        with contextlib.suppress(Gone, OSError):
            while True:
                _write(process.stdin, stream.read())
        with contextlib.suppress(OSError):
            process.stdin.close()

    _spawn(feed)
    Output(stream, faults.get("shell_cut")).pump(process.stdout.fileno(), None)
    process.wait()


def run_old_shell(stream: Stream, device: Device, command: str, faults: dict[str, Any]) -> None:
    """Run a command in a terminal, as devices before Android 7 do.

    The terminal merges both outputs and ends lines with CR LF; there is no exit code. A lost
    client hangs up all that runs in the terminal.
    """
    time.sleep(faults.get("shell_delay", 0))
    ours, theirs = pty.openpty()
    process = device.start(command, faults, tty=True, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)

    def feed() -> None:
        with contextlib.suppress(Gone, OSError):
            while True:
                os.write(ours, stream.read())
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGHUP)

    _spawn(feed)
    Output(stream, faults.get("shell_cut")).pump(ours, None)
    process.wait()
    os.close(ours)


def _spawn(work: Any, *arguments: Any) -> threading.Thread:
    thread = threading.Thread(target=work, args=arguments, daemon=True)
    thread.start()
    return thread


def _write(pipe: Any, data: bytes) -> None:
    while data:
        data = data[pipe.write(data) :]
