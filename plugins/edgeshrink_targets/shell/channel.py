"""The pipes of a client's process, read with deadlines, and the marks of a script in them."""

from __future__ import annotations

import contextlib
import os
import queue
import subprocess
import threading
import time
from collections.abc import Callable
from typing import IO, BinaryIO

BLOCK = 1 << 16
# How much is kept of what a client says on its standard error.
MOST_WORDS = 1 << 14


class Lost(Exception):
    """The stream ended before the mark that a whole answer ends with."""


class Silent(Exception):
    """Nothing came in time."""


class TooMuch(Exception):
    """More was answered than there is room for."""


class Channel:
    """A script that runs on a machine, as its client's process shows it.

    The script sets marks in its standard output: a line end, the nonce, a space, words, a line
    end. What comes before the first mark (a shell's greeting) belongs to nobody.

    Args:
        process: the client, with pipes for standard output and standard error.
        nonce: what nobody but the script knows.
    """

    def __init__(self, process: subprocess.Popen[bytes], nonce: str) -> None:
        self.fed = 0
        self._process = process
        self._mark = f"\n{nonce} ".encode()
        # A script may be all that speaks, so the first mark needs no line end before it.
        self._buffer = bytearray(b"\n")
        self._chunks: queue.Queue[bytes] = queue.Queue(maxsize=64)
        self._words = bytearray()
        self._closed = threading.Event()
        self._threads = [self._thread(self._read_output), self._thread(self._read_words)]

    def _thread(self, work: Callable[[], None]) -> threading.Thread:
        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        return thread

    def _read_output(self) -> None:
        while not self._closed.is_set():
            block = _next(self._process.stdout)
            while not self._closed.is_set():
                with contextlib.suppress(queue.Full):
                    self._chunks.put(block, timeout=0.1)
                    break
            if not block:
                return

    def _read_words(self) -> None:
        while block := _next(self._process.stderr):
            self._words += block
            del self._words[:-MOST_WORDS]

    def _more(self, until: float | None) -> None:
        """Add what comes next to the buffer."""
        left = None if until is None else max(0.0, until - time.monotonic())
        try:
            block = self._chunks.get(timeout=left)
        except queue.Empty:
            raise Silent from None
        if not block:
            self._chunks.put(b"")  # the end stays the end
            raise Lost
        self._buffer += block

    def feed(self, stream: BinaryIO) -> None:
        """Send a file to the script's standard input, while its answer is waited for."""

        def send() -> None:
            assert self._process.stdin is not None  # for the type checker: it is a pipe
            # A script that has ended tells why in its answer.
            with contextlib.suppress(OSError, ValueError):
                while block := stream.read(BLOCK):
                    self._process.stdin.write(block)
                    self.fed += len(block)
                self._process.stdin.close()

        self._threads.append(self._thread(send))

    def words(self, until: float | None) -> str:
        """Return the words of the next mark; what comes before it is dropped."""
        self.until_mark(until, most=1 << 20)
        return self.rest_of_mark(until)

    def rest_of_mark(self, until: float | None) -> str:
        """Return the words of the mark that `until_mark` came to."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > BLOCK:
                raise TooMuch
            self._more(until)
        line = self._buffer[:end].decode("utf-8", "replace")
        del self._buffer[: end + 1]
        return line

    def until_mark(
        self, until: float | None, *, most: int, watch: Callable[[str], None] | None = None
    ) -> bytes:
        """Return what comes before the next mark.

        Args:
            until: when the time is over, by `time.monotonic`; None waits for ever.
            most: bytes.
            watch: called with each line as it comes.

        Raises:
            Lost: the stream ended.
            Silent: the time is over.
            TooMuch: there is no mark in `most` bytes.
        """
        looked = told = 0
        while (found := self._buffer.find(self._mark, looked)) < 0:
            looked = max(0, len(self._buffer) - len(self._mark))
            if watch is not None:
                told = self._tell(watch, told, len(self._buffer))
            if len(self._buffer) > most + len(self._mark):
                raise TooMuch
            self._more(until)
        if watch is not None:
            told = self._tell(watch, told, found)
            if told < found:
                watch(self._buffer[told:found].decode("utf-8", "replace"))
        text = bytes(self._buffer[:found])
        if len(text) > most:
            raise TooMuch
        del self._buffer[: found + len(self._mark)]
        return text

    def _tell(self, watch: Callable[[str], None], told: int, end: int) -> int:
        """Give whole lines to `watch`; return where the next one begins."""
        while (at := self._buffer.find(b"\n", told, end)) >= 0:
            # An empty line may be the line end that a mark begins with.
            if at == told and end - at < len(self._mark) and end == len(self._buffer):
                break
            watch(self._buffer[told:at].decode("utf-8", "replace"))
            told = at + 1
        return told

    def copy(self, size: int, stream: BinaryIO, patience: float) -> None:
        """Write the next `size` bytes to a file.

        Raises:
            Lost: the stream ended.
            Silent: nothing came for `patience` seconds.
        """
        while size:
            if not self._buffer:
                self._more(time.monotonic() + patience)
            block = self._buffer[:size]
            stream.write(block)
            size -= len(block)
            del self._buffer[: len(block)]

    def has_ended(self, within: float = 0.0) -> bool:
        """Return whether the client ended, or does in so many seconds."""
        try:
            self._process.wait(timeout=within)
        except subprocess.TimeoutExpired:
            return False
        return True

    def last_words(self) -> tuple[str, int]:
        """Return what the client said on its standard error, and its exit code, once it ended."""
        try:
            code = self._process.wait(timeout=2)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._threads[1].join(timeout=1)
        return self._words.decode("utf-8", "replace"), code

    def close(self) -> None:
        """End the client if it is not done, and close the pipes."""
        self._closed.set()
        self._process.terminate()  # so that it can end what it started, such as a jump
        try:
            self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join(timeout=1)
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()


def _next(pipe: IO[bytes] | None) -> bytes:
    """Return what a pipe has next; nothing at its end, and once it is closed."""
    assert pipe is not None  # for the type checker: it is a pipe
    # Something that the client started may keep the other end open longer than it lives.
    with contextlib.suppress(OSError, ValueError):
        return os.read(pipe.fileno(), BLOCK)
    return b""
