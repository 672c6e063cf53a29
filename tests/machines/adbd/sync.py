"""Files of the device: the requests of the service `sync`, in both versions."""

from __future__ import annotations

import errno
import os
import stat
import struct
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .wire import Stream

if TYPE_CHECKING:
    from .device import Device

BLOCK = 1 << 16  # bytes of a file in one message


class Sync:
    """One client's conversation about files."""

    def __init__(self, stream: Stream, device: Device, faults: dict[str, Any]) -> None:
        self.stream, self.device, self.faults = stream, device, faults

    def run(self) -> None:
        """Answer requests until the client says QUIT."""
        requests = {
            b"STAT": lambda path: self.stream.write(b"STAT" + _stat(self.device.locate(path))),
            b"LST2": lambda path: self.stream.write(b"LST2" + _stat2(self.device.locate(path))),
            b"STA2": lambda path: self.stream.write(
                b"STA2" + _stat2(self.device.locate(path), follow=True)
            ),
            b"LIST": lambda path: self.list(self.device.locate(path), b"DENT", _stat, 16),
            b"LIS2": lambda path: self.list(self.device.locate(path), b"DNT2", _stat2, 72),
            b"SEND": self.take,
            b"SND2": self.take2,
            b"RECV": self.give,
            b"RCV2": self.give2,
        }
        while True:
            request, size = struct.unpack("<4sI", self.stream.read(8))
            if request == b"QUIT":
                return
            path = self.stream.read(size).decode()
            requests.get(request, lambda _: self.fail("unknown request"))(path)

    def fail(self, reason: str) -> None:
        """Refuse a request."""
        self.stream.write(b"FAIL" + struct.pack("<I", len(reason.encode())) + reason.encode())

    def list(self, folder: Path, mark: bytes, describe: Any, empty: int) -> None:
        """Send a folder's entries."""
        entries = sorted(folder.iterdir()) if folder.is_dir() else []
        for name in (*(entry.name for entry in entries), ".", ".."):
            size = struct.pack("<I", len(name.encode()))
            self.stream.write(mark + describe(folder / name) + size + name.encode())
        self.stream.write(b"DONE" + b"\0" * empty)

    def take(self, request: str) -> None:
        """Take a file; the request is `path,mode`."""
        path, _, mode = request.rpartition(",")
        self.receive(self.device.locate(path), int(mode))

    def take2(self, path: str) -> None:
        """Take a file; its mode and the compression follow."""
        _, mode, flags = struct.unpack("<4sII", self.stream.read(12))
        if flags:
            self.fail("compression is not supported")
        else:
            self.receive(self.device.locate(path), mode)

    def receive(self, path: Path, mode: int) -> None:
        """Take a file's blocks. All are read whatever happens: the client sends to the end."""
        error, got = "", 0
        link = b""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            target = None if stat.S_ISLNK(mode) else path.open("wb", buffering=0)
        except OSError as failure:
            target, error = None, f"couldn't create file: {failure.strerror}"
        while True:
            mark, size = struct.unpack("<4sI", self.stream.read(8))
            if mark == b"DONE":
                break
            if mark != b"DATA" or size > BLOCK:
                return self.fail("bad data message")
            data = self.stream.read(size)
            try:
                data = self.disturb(data, got)
                if target and not error:
                    target.write(data)
                elif stat.S_ISLNK(mode):
                    link += data
            except OSError as failure:
                error = f"write failed: {failure.strerror}"
            got += size
        if target:
            target.close()
        if error:
            path.unlink(missing_ok=True)
            return self.fail(error)
        if target:
            path.chmod((mode & 0o777) | 0o600)
            os.utime(path, (size, size))  # the last message's number is the time of change
        else:
            path.unlink(missing_ok=True)
            path.symlink_to(link.rstrip(b"\0").decode())
        self.stream.write(b"OKAY" + struct.pack("<I", 0))
        return None

    def disturb(self, data: bytes, got: int) -> bytes:
        """Return a block as it is to be stored, or do what the faults ask for."""
        end, never = got + len(data), float("inf")
        if end >= self.faults.get("push_cut", never):
            self.stream.link.cut()
        if end >= self.faults.get("push_stall", never):
            threading.Event().wait()
        if end >= self.faults.get("push_full", never):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if self.faults.get("push_flip") and not got:
            return bytes([data[0] ^ 1]) + data[1:]
        return data

    def give(self, path: str) -> None:
        """Send a file in blocks."""
        try:
            with self.device.locate(path).open("rb") as source:
                while data := source.read(BLOCK):
                    self.stream.write(b"DATA" + struct.pack("<I", len(data)) + data)
        except OSError as failure:
            return self.fail(failure.strerror or "cannot be read")
        self.stream.write(b"DONE" + struct.pack("<I", 0))
        return None

    def give2(self, path: str) -> None:
        """Send a file; the compression follows the request."""
        _, flags = struct.unpack("<4sI", self.stream.read(8))
        if flags:
            self.fail("compression is not supported")
        else:
            self.give(path)


def _stat(path: Path) -> bytes:
    try:
        found = path.lstat()
    except OSError:
        return struct.pack("<3I", 0, 0, 0)
    size = min(found.st_size, 0xFFFFFFFF)
    return struct.pack("<3I", found.st_mode, size, int(found.st_mtime) & 0xFFFFFFFF)


def _stat2(path: Path, *, follow: bool = False) -> bytes:
    try:
        found = path.stat(follow_symlinks=follow)
    except OSError as failure:
        return struct.pack("<I", failure.errno or errno.EIO) + b"\0" * 64
    numbers = (found.st_dev, found.st_ino, found.st_mode, found.st_nlink, found.st_uid)
    times = (int(found.st_atime), int(found.st_mtime), int(found.st_ctime))
    return struct.pack("<IQQIIIIQqqq", 0, *numbers, found.st_gid, found.st_size, *times)
