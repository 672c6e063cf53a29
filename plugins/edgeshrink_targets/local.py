"""This machine as a target: commands are subprocesses, pushing a file is a hard link."""

from __future__ import annotations

import contextlib
import functools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from edgeshrink.api import CommandFailed, Completed, Target, TargetError, UsageError

# What a shell answers for a command that is not there, or is no program.
NOT_FOUND = 127
NOT_EXECUTABLE = 126


class Local(Target):
    """The machine that edgeshrink runs on."""

    name, here = "local", True

    def __init__(self) -> None:
        self._folders: list[Path] = []

    @classmethod
    def connect(cls, address: str, options: Any) -> Self:
        """Return this machine.

        Raises:
            UsageError: there is an address; this machine has none.
        """
        if address:
            raise UsageError(
                f"the local target takes no address; received {address!r}",
                hint="leave the address out, or name a target that is reached by one",
            )
        return cls()

    def folder(self) -> str:
        """Return a new folder that only this user can read; `close` removes it.

        Raises:
            TargetError: no folder for temporary files can be written.
        """
        try:
            path = Path(tempfile.mkdtemp(prefix="edgeshrink-"))
        except OSError as error:
            raise TargetError(f"no temporary folder can be made: {error}") from error
        self._folders.append(path)
        return str(path)

    @functools.cached_property
    def _cache(self) -> str:
        return self.folder()

    def python(self) -> tuple[str, ...]:
        """Return the interpreter that runs this."""
        return (sys.executable,)

    def cache(self) -> str:
        """Return a folder that `close` removes: nothing needs to be kept, all is here."""
        return self._cache

    def run(
        self,
        *argv: str,
        timeout: float | None = None,
        watch: Callable[[str], None] | None = None,
    ) -> Completed:
        """Run a command to its end, without a shell.

        A command that is not there ends with 127, as a shell would have it. Whatever ends the
        run early (the timeout, an interrupt, an error in `watch`) ends all processes that the
        command started.

        Args:
            *argv: the program and its arguments.
            timeout: seconds; None waits for ever.
            watch: called with each line of standard output as it comes, without its line end.

        Raises:
            CommandFailed: the time is over. The machine itself is well, so this is no
                `TargetError`.
        """
        started = time.monotonic()
        with tempfile.TemporaryFile() as errors:
            try:
                process = subprocess.Popen(
                    argv,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=errors,
                    text=True,
                    encoding="utf-8",
                    errors="replace",
                    start_new_session=True,
                )
            except FileNotFoundError:
                return Completed(argv, NOT_FOUND, "", f"{argv[0]}: not found")
            except OSError as error:
                return Completed(argv, NOT_EXECUTABLE, "", f"{argv[0]}: {error.strerror}")
            late = threading.Event()
            timer = threading.Timer(timeout or 0, lambda: (late.set(), _kill(process)))
            if timeout is not None:
                timer.start()
            lines: list[str] = []
            assert process.stdout is not None  # for the type checker: it is a pipe
            try:
                for line in process.stdout:
                    lines.append(line)
                    if watch is not None:
                        watch(line.rstrip("\n"))
                process.wait()
            except BaseException:
                _kill(process)
                process.wait()
                raise
            finally:
                timer.cancel()
                process.stdout.close()
            if late.is_set():
                shown = shlex.join(Path(one).name if one.startswith("/") else one for one in argv)
                raise CommandFailed(f"{shown} gave no answer in {timeout:g} s and was stopped")
            errors.seek(0)
            stderr = errors.read().decode("utf-8", "replace")
        seconds = time.monotonic() - started
        return Completed(argv, process.returncode, "".join(lines), stderr, seconds)

    def push(self, local: Path, remote: str) -> None:
        """Link or copy a file; a link shares its bytes, so neither may be written in place.

        Raises:
            TargetError: the file cannot be read or its place cannot be written.
        """
        _place(local, Path(remote))

    def pull(self, remote: str, local: Path, *, limit: int | None = None) -> None:
        """Link or copy a file.

        Raises:
            CommandFailed: the file is larger than `limit` bytes.
            TargetError: the file cannot be read or its place cannot be written.
        """
        if limit is not None and Path(remote).is_file() and Path(remote).stat().st_size > limit:
            raise CommandFailed(f"{remote} has more than the {limit:,} bytes that were expected")
        _place(Path(remote), local)

    def place(self, local: Path) -> str:
        """Return the file's own path: it is here already."""
        return str(local.resolve())

    def close(self) -> None:
        """Remove the folders that `folder` made."""
        while self._folders:
            shutil.rmtree(self._folders.pop(), ignore_errors=True)


def _kill(process: subprocess.Popen[str]) -> None:
    """End the command and whatever it started, at once."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if hasattr(os, "killpg"):
            # The command leads its own session, so its group is named by its own number.
            os.killpg(process.pid, signal.SIGKILL)
        else:
            process.kill()


def _place(source: Path, destination: Path) -> None:
    """Put a file in its place whole: under another name first, then renamed."""
    partial = destination.with_name(f".{destination.name}.{os.getpid()}.partial")
    try:
        partial.unlink(missing_ok=True)
        try:
            os.link(source.resolve(), partial)
        except OSError:  # another file system, or one without links
            shutil.copyfile(source, partial)
        # Two names of one file cannot replace each other: rename does nothing then.
        partial.replace(destination)
        partial.unlink(missing_ok=True)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise TargetError(
            f"{source} cannot be put at {destination}: {error.strerror or error}"
        ) from error
