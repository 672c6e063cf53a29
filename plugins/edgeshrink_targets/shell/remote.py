"""A machine with a POSIX shell: what a target does, by scripts that any client can start."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import math
import os
import re
import secrets
import shlex
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from edgeshrink.api import CommandFailed, Completed, TargetError
from edgeshrink_targets.shell import scripts
from edgeshrink_targets.shell.channel import Channel, Lost, Silent, TooMuch
from edgeshrink_targets.shell.connection import STOP_SECONDS, Connection, printable

# Exit codes of a shell for a command that a signal killed.
SIGNALS = range(129, 193)
# What even a slow machine reads and digests in a second.
SLOW_BYTES = 5_000_000


class Remote(Connection):
    """A machine with a POSIX shell, coreutils or a toolbox, and `/proc`.

    A subclass says how a script is started (`_start`), why the link was lost (`_why`) and, where
    a script's input takes no file, how one is sent (`_send`).

    Args:
        where: the address, for messages.

    Attributes:
        feeds: whether a script's standard input can take a file; if not, `_send` sends it.
        most_output: bytes of standard output that a command may have.
    """

    feeds: ClassVar[bool] = True
    most_output: ClassVar[int] = 32 << 20

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self._numbers = itertools.count(1)
        self._placed: set[str] = set()

    # Folders

    def cache(self) -> str:
        """Return the folder that is kept until `clean`."""
        return self._held.cache

    def folder(self) -> str:
        """Return a new folder that only this user can read; `close` removes it.

        Raises:
            TargetError: it cannot be made, or the link was lost.
        """
        path = f"{self._held.own}/{next(self._numbers)}"
        kind, said = self._ask(self._held.folder(path))
        if kind != "made":
            raise TargetError(f"{path} cannot be made on {self.where}: {printable(said)}")
        return path

    def clean(self) -> int:
        """Remove what is kept on the machine; return how many bytes that freed.

        Raises:
            TargetError: the link was lost.
        """
        self._placed.clear()
        _, said = self._ask(self._held.clean(), patience=10 * self.patience)
        sizes = [int(word) for word in said.split() if word.isdecimal()]
        if len(sizes) != 2:
            raise TargetError(f"{self.where} does not say what was freed: {printable(said)}")
        return max(0, sizes[0] - sizes[1]) * 1024

    # Commands

    def run(
        self,
        *argv: str,
        timeout: float | None = None,
        watch: Callable[[str], None] | None = None,
    ) -> Completed:
        """Run a command to its end.

        Whatever ends the run early (the timeout, an interrupt, an error in `watch`) ends all
        processes that the command started. Of the standard error the last 64 KB come back.

        Args:
            *argv: the program and its arguments.
            timeout: seconds; None waits for ever.
            watch: called with each line of standard output as it comes, without its line end.

        Raises:
            CommandFailed: the time is over, or there is more output than `most_output`. The
                machine itself is well.
            TargetError: the link was lost.
        """
        name = f"{self._held.own}/run{next(self._numbers)}"
        limit = 0 if timeout is None else math.ceil(timeout) + scripts.GRACE_SECONDS
        started = time.monotonic()
        until = None if timeout is None else started + timeout
        with self._command(), self._channel(self._held.run(name, argv, limit)) as channel:
            try:
                kind, said = self._answer(channel)
                if kind != "begin":
                    raise self._refusal(kind, said)
                output = channel.until_mark(until, most=self.most_output, watch=watch)
            except Lost:
                raise
            except Silent:
                self._stop(name)
                if until is None or time.monotonic() < until:
                    raise
                raise CommandFailed(
                    f"{_shown(argv)} gave no answer in {timeout:g} s and was stopped"
                ) from None
            except TooMuch:
                self._stop(name)
                raise CommandFailed(
                    f"{_shown(argv)} answered with more than "
                    f"{self.most_output / 1e6:.0f} MB and was stopped"
                ) from None
            except BaseException:
                with contextlib.suppress(TargetError):
                    self._stop(name)
                raise
            soon = time.monotonic() + self.patience
            _, _, code = channel.rest_of_mark(soon).partition(" ")
            errors = channel.until_mark(soon, most=scripts.MOST_ERRORS).decode("utf-8", "replace")
        seconds = time.monotonic() - started
        return Completed(
            argv,
            self._returncode(code, argv),
            output.decode("utf-8", "replace"),
            # The shell names its script and line where it speaks of a command.
            re.sub(rf"{re.escape(name)}(: (line )?\d+|\[\d+\])?: ", "", errors),
            seconds,
        )

    def _returncode(self, word: str, argv: tuple[str, ...]) -> int:
        if not re.fullmatch(r"\d{1,3}", word):
            raise TargetError(
                f"{self.where} did not keep the exit code of {_shown(argv)}: somebody else "
                "ended it, or the disk is full"
            )
        code = int(word)
        return 128 - code if code in SIGNALS else code

    def _stop(self, name: str) -> None:
        """End a command and all that it started.

        Raises:
            TargetError: the link was lost, so the command may go on.
        """
        self._ask(self._held.stop(name), patience=STOP_SECONDS)

    # Files

    def _send(self, local: Path, remote: str) -> None:
        """Copy a file, as it is, where `feeds` is false; `push` sees to the rest.

        Raises:
            TargetError: the link was lost, or the client says that it failed.
        """
        raise NotImplementedError

    def place(self, local: Path) -> str:
        """Return where the machine finds a file, under the digest of its content.

        It is pushed only if it is not there yet.

        Raises:
            TargetError: it cannot be read, there is no room, or the link was lost.
        """
        size, digest = _digest(local)
        remote = f"{self.cache()}/files/{digest}{local.suffix}"
        if remote not in self._placed:
            self._put(local, remote, size, digest, keep=True)
            self._placed.add(remote)
        return remote

    def push(self, local: Path, remote: str) -> None:
        """Copy a file to the machine; it appears there whole or not at all.

        Raises:
            TargetError: it cannot be read, there is no room, its content changed on the way, or
                the link was lost.
        """
        size, digest = _digest(local)
        self._put(local, remote, size, digest, keep=False)

    def _put(self, local: Path, remote: str, size: int, digest: str, *, keep: bool) -> None:
        held = self._held
        partial = f"{held.own}/{next(self._numbers)}.partial"
        if not remote.startswith(f"{held.cache}/"):
            # To rename is possible only on one file system.
            folder = scripts.folder_of(remote).rstrip("/")
            partial = f"{folder}/.edgeshrink-{secrets.token_hex(8)}.partial"
        look = held.receive(remote, size, keep=keep)
        accept = held.accept(partial, remote, digest, executable=os.access(local, os.X_OK))
        if self.feeds:
            body = f"{look}{held.write(partial)}{accept}"
            with self._channel(body, feed=True) as channel, local.open("rb") as stream:
                if not self._has_room(*self._answer(channel), remote, size):
                    return
                channel.feed(stream)
                kind, said = self._answer_to_feeding(channel, size)
        else:
            if not self._has_room(*self._ask(look), remote, size):
                return
            try:
                self._send(local, partial)
            except BaseException:
                with contextlib.suppress(TargetError):
                    self._ask(held.remove(partial), patience=STOP_SECONDS)
                raise
            kind, said = self._ask(accept, patience=self.patience + size / SLOW_BYTES)
        if kind == "changed":
            raise TargetError(
                f"{remote} arrived changed on {self.where}: {size:,} bytes with sha256 {digest} "
                f"were sent, it says it has {printable(said).replace(' ', ' bytes with ')}"
            )
        if kind != "whole":
            raise TargetError(f"{remote} cannot be written on {self.where}: {printable(said)}")

    def _has_room(self, kind: str, said: str, remote: str, size: int) -> bool:
        """Return whether a file is to be sent; False if it is there."""
        if kind == "have":
            return False
        if kind == "folder":
            raise TargetError(f"{remote} is a folder on {self.where}; a file cannot replace it")
        if kind == "nofolder":
            raise TargetError(f"{remote} is in no folder that is there on {self.where}")
        found = re.search(r"\s(\d+)\s+(\d+)\s+(-?\d+)\s+\d+%", said)
        if kind != "free" or not found:
            raise TargetError(f"{self.where} does not say how much room it has: {printable(said)}")
        free = int(found[3]) * 1024
        if free < size:
            raise TargetError(
                f"{self.where} has {free:,} bytes free for {remote}, which needs {size:,}",
                hint="free some room there",
            )
        return True

    def _answer_to_feeding(self, channel: Channel, size: int) -> tuple[str, str]:
        """Wait for the answer to a file for as long as the file makes progress."""
        while True:
            fed = channel.fed
            patience = self.patience + (size / SLOW_BYTES if fed == size else 0)
            try:
                return self._answer(channel, patience)
            except Silent:
                if channel.fed == fed:
                    raise

    def pull(self, remote: str, local: Path, *, limit: int | None = None) -> None:
        """Copy a file of the machine here; it appears here whole or not at all.

        Args:
            remote: the file there.
            local: its place here.
            limit: bytes; a larger file is refused.

        Raises:
            CommandFailed: there is no such file, it cannot be read, or it is too large.
            TargetError: its content changed on the way, it cannot be written here, or the link
                was lost.
        """
        partial = local.with_name(f".{local.name}.{secrets.token_hex(4)}.partial")
        try:
            with self._channel(self._held.send(remote)) as channel:
                size, digest = self._announced(channel, remote, limit, self.patience)
                with partial.open("wb") as stream:
                    channel.copy(size, stream, self.patience)
                channel.until_mark(time.monotonic() + self.patience, most=0)
            if _digest(partial) != (size, digest):
                raise TargetError(f"{remote} arrived changed from {self.where}")
            partial.replace(local)
        except OSError as error:
            raise TargetError(
                f"{remote} cannot be put at {local}: {error.strerror or error}"
            ) from error
        finally:
            partial.unlink(missing_ok=True)

    def _announced(
        self, channel: Channel, remote: str, limit: int | None, patience: float
    ) -> tuple[int, str]:
        """Return the size and the digest that the machine says a file has."""
        kind, said = self._answer(channel, 10 * patience)
        problems = {
            "none": "is not there",
            "folder": "is a folder, not a file",
            "unreadable": "may not be read",
        }
        if kind in problems:
            raise CommandFailed(f"{remote} {problems[kind]} on {self.where}")
        found = re.fullmatch(r"(\d{1,15}) ([0-9a-f]{64})", said)
        if kind != "file" or not found:
            raise TargetError(f"{self.where} does not say what {remote} holds: {printable(said)}")
        size = int(found[1])
        if limit is not None and size > limit:
            raise CommandFailed(
                f"{remote} has {size:,} bytes, more than the {limit:,} that were expected"
            )
        return size, found[2]


def start_client(
    argv: list[str], *, feed: bool = False, env: dict[str, str] | None = None
) -> subprocess.Popen[bytes]:
    """Start a client with pipes, out of reach of the terminal.

    An interrupt at the keyboard must not end the client before it ended the command over there.

    Raises:
        OSError: there is no such program.
    """
    flags = getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0)
    return subprocess.Popen(
        argv,
        stdin=subprocess.PIPE if feed else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=env,
        start_new_session=os.name != "nt",
        creationflags=flags,
    )


def _shown(argv: tuple[str, ...]) -> str:
    return printable(shlex.join(argv))


def _digest(local: Path) -> tuple[int, str]:
    """Return a file's size in bytes and its sha256.

    Raises:
        TargetError: it cannot be read.
    """
    try:
        with local.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
            return stream.tell(), digest
    except OSError as error:
        raise TargetError(f"{local} cannot be read: {error.strerror or error}") from error
