"""A TCP proxy on loopback whose link can be cut, stalled and slowed while it runs."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Self

BLOCK = 1 << 14


class CutProxy:
    """Passes what comes to `port` on to another port of this machine, until told otherwise.

    Args:
        target: the port to pass on to.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._lock = threading.Lock()
        self._flows = threading.Event()
        self._flows.set()
        self._left: int | None = None
        self._rate: float | None = None
        self._mute = False
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def cut(self, after: int = 0) -> None:
        """Reset all connections once so many more bytes went to the target."""
        self._left = after
        if not after:
            self._reset()

    def stall(self) -> None:
        """Let nothing through, and leave the connections open."""
        self._flows.clear()

    def heal(self) -> None:
        """Let all through again; what was cut stays cut."""
        self._left = self._rate = None
        self._mute = False
        self._flows.set()

    def slow(self, rate: float) -> None:
        """Let so many bytes through in a second, either way."""
        self._rate = rate

    def mute(self) -> None:
        """Accept new connections and say nothing."""
        self._mute = True

    def refuse(self) -> None:
        """Accept no new connections from now on."""
        # A thread in accept() keeps the socket alive until it is woken.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._accepting.join()

    def close(self) -> None:
        """End everything."""
        self.refuse()
        self._reset()
        self._flows.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                self._open.append(client)
            if self._mute:
                continue
            target = socket.create_connection(("127.0.0.1", self._target))
            with self._lock:
                self._open.append(target)
            for source, sink, up in ((client, target, True), (target, client, False)):
                threading.Thread(target=self._pump, args=(source, sink, up), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while block := source.recv(BLOCK):
                self._flows.wait()
                if self._rate is not None:
                    time.sleep(len(block) / self._rate)
                if up and self._left is not None:
                    self._left -= len(block)
                    if self._left <= 0:
                        self._reset()
                        return
                sink.sendall(block)
            sink.shutdown(socket.SHUT_WR)

    def _reset(self) -> None:
        """End all connections with a reset, not in order."""
        with self._lock:
            sockets, self._open = self._open, []
        for one in sockets:
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RD)  # wakes the thread that reads from it
            one.close()
