"""The wire: messages of 24 bytes and data on one socket, and the streams that share it."""

from __future__ import annotations

import contextlib
import os
import queue
import socket
import struct
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from .keys import is_signed, public_key

if TYPE_CHECKING:
    from .device import Device

COMMANDS = (b"CNXN", b"AUTH", b"OPEN", b"OKAY", b"WRTE", b"CLSE", b"STLS", b"SYNC")
# Until version 0x01000000 messages carry checksums, and are short.
VERSION, MAX_DATA = 0x01000001, 1 << 20
OLD_VERSION, OLD_MAX_DATA = 0x01000000, 4096
TOKEN, SIGNATURE, PUBLIC_KEY = 1, 2, 3  # kinds of AUTH


class Gone(Exception):
    """The stream, or the whole connection, was closed by the other side."""


class Stream:
    """One service at work, bytes both ways; one message at a time is under way."""

    def __init__(self, link: Link, here: int, there: int) -> None:
        self.link, self.here, self.there = link, here, there
        self.inbox: queue.Queue[bytes | None] = queue.Queue()
        self.acknowledged = threading.Semaphore(0)
        self.rest = b""
        self.closed = False

    def write(self, data: bytes) -> None:
        """Send bytes, and wait until the client has taken them."""
        for start in range(0, len(data), self.link.max_data):
            if self.closed:
                raise Gone
            block = data[start : start + self.link.max_data]
            self.link.send(b"WRTE", self.here, self.there, block)
            self.acknowledged.acquire()
            if self.closed:
                raise Gone

    def read(self, size: int | None = None) -> bytes:
        """Return exactly `size` bytes, or whatever comes next."""
        while len(self.rest) < (1 if size is None else size):
            data = self.inbox.get()
            if data is None:
                raise Gone
            self.rest += data
            self.link.send(b"OKAY", self.here, self.there)
        end = len(self.rest) if size is None else size
        data, self.rest = self.rest[:end], self.rest[end:]
        return data

    def end(self) -> None:
        """Wake whoever reads or writes: the other side has closed the stream."""
        self.closed = True
        self.inbox.put(None)
        self.acknowledged.release()


class Link:
    """The connection of one client."""

    def __init__(self, sock: socket.socket, device: Device) -> None:
        self.sock, self.device = sock, device
        self.lock = threading.Lock()
        self.streams: dict[int, Stream] = {}
        self.opened = 0
        self.version, self.max_data = OLD_VERSION, OLD_MAX_DATA
        self.token = os.urandom(20)

    def run(self) -> None:
        """Answer messages until the client is gone."""
        try:
            while True:
                header = self.receive(24)
                first, second, size, checksum = struct.unpack("<4I", header[4:20])
                if header[:4] not in COMMANDS or size > MAX_DATA:
                    break
                data = self.receive(size)
                if self.version == OLD_VERSION and checksum != _checksum(data):
                    break
                self.answer(header[:4], first, second, data)
        except (Gone, OSError):
            pass
        finally:
            for stream in list(self.streams.values()):
                stream.end()
            self.sock.close()

    def receive(self, size: int) -> bytes:
        """Return exactly `size` bytes."""
        data = bytearray()
        while len(data) < size:
            block = self.sock.recv(min(size - len(data), 1 << 16))
            if not block:
                raise Gone
            data += block
        return bytes(data)

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        """Send one message."""
        checksum = _checksum(data) if self.version == OLD_VERSION else 0
        magic = int.from_bytes(command, "little") ^ 0xFFFFFFFF
        header = struct.pack("<5I", first, second, len(data), checksum, magic)
        try:
            with self.lock:
                self.sock.sendall(command + header + data)
        except OSError as error:
            raise Gone from error

    def answer(self, command: bytes, first: int, second: int, data: bytes) -> None:
        """Do what one message asks for."""
        stream = self.streams.get(second)
        if command == b"CNXN":
            self.version = min(first, self.device.version)
            self.max_data = min(second, self.device.max_data)
            self.greet()
        elif command == b"AUTH":
            self.authenticate(first, data)
        elif len(data) > self.max_data:
            raise Gone  # as from a device that has no room for it
        elif command == b"OPEN":
            self.open(first, data.rstrip(b"\0").decode())
        elif command == b"OKAY" and stream:
            stream.acknowledged.release()
        elif command == b"WRTE" and stream:
            stream.inbox.put(data)
        elif command == b"CLSE" and stream:
            self.streams.pop(second).end()

    def greet(self) -> None:
        """Say who this is, or ask who is there, or say nothing at all."""
        if self.device.faults.read().get("offline"):
            return
        if self.device.asks():
            self.send(b"AUTH", TOKEN, 0, self.token)
        else:
            self.welcome()

    def welcome(self) -> None:
        """Say who this is: from now on the client may open streams."""
        said = self.device.banner().encode()
        self.send(b"CNXN", self.device.version, self.device.max_data, said)

    def authenticate(self, kind: int, data: bytes) -> None:
        """Take a signature by a known key, or ask for one; take a new key if the user does."""
        if kind == SIGNATURE and any(is_signed(self.token, data, k) for k in self.device.keys):
            self.welcome()
        elif kind == SIGNATURE:
            self.token = os.urandom(20)
            self.send(b"AUTH", TOKEN, 0, self.token)
        elif kind == PUBLIC_KEY and self.device.allows():
            self.device.keys.append(public_key(data))
            self.welcome()

    def open(self, there: int, name: str) -> None:
        """Start the service that a client asks for, on a stream of its own."""
        service = self.device.service(name)
        if service is None:
            self.send(b"CLSE", 0, there)
            return
        self.opened += 1
        stream = self.streams[self.opened] = Stream(self, self.opened, there)
        self.send(b"OKAY", stream.here, there)
        threading.Thread(target=self.serve, args=(stream, service), daemon=True).start()

    def serve(self, stream: Stream, service: Callable[[Stream], None]) -> None:
        """Run a service to its end, and close its stream."""
        with contextlib.suppress(Gone, OSError):
            service(stream)
        if self.streams.pop(stream.here, None) is not None:
            with contextlib.suppress(Gone):
                self.send(b"CLSE", stream.here, stream.there)

    def cut(self) -> None:
        """Pull out the cable."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)
        raise Gone


def _checksum(data: bytes) -> int:
    return sum(data) & 0xFFFFFFFF
