"""A machine that can run commands and hold files: run, push, pull, place and close."""

from __future__ import annotations

import hashlib
import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from edgeshrink.errors import CommandFailed
from edgeshrink.flag import NoOptions

# A function that is told the share of the work that is done, 0..1, and a note on what goes on.
Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Completed:
    """A command that ended.

    Attributes:
        argv: the program and its arguments.
        returncode: its exit code; negative: the signal that killed it.
        stdout: what it wrote to standard output.
        stderr: what it wrote to standard error.
        seconds: wall time.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float = 0.0

    def check(self) -> Completed:
        """Return self, if the command ended well.

        Raises:
            CommandFailed: the exit code is not 0; the message has the command's last lines.
        """
        if self.returncode:
            lines = (self.stderr or self.stdout).strip().splitlines()[-3:]
            how = (
                f"was killed by signal {-self.returncode}"
                if self.returncode < 0
                else f"exited {self.returncode}"
            )
            # what a device says may hold what a terminal would obey
            said = "".join(c if c.isprintable() else " " for c in " / ".join(lines))[-500:]
            raise CommandFailed(f"{shlex.join(self.argv)} {how}: {said or 'no output'}")
        return self


class Closing:
    """What is closed at the end of a `with` block."""

    def close(self) -> None:
        """Let go of what is held, and remove what was left on the machine."""

    def __enter__(self) -> Self:
        """Return self; leaving the block closes it."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it, whatever happened."""
        self.close()


class Target(ABC, Closing):
    """A machine that can run commands and hold files.

    Arguments are always lists, never shell strings. A machine that cannot be reached raises
    `TargetError`; a command that ends badly is a `Completed` with its exit code.

    Attributes:
        name: the name in device profiles, and the scheme of addresses (`ssh://…`, `adb:…`).
        Options: a dataclass of `Annotated[T, Flag(...)]` fields: what the table `[connection]`
            of a device profile may say.
        here: it computes on this machine's processor, so that nothing else should run beside.
    """

    name: ClassVar[str]
    Options: ClassVar[type] = NoOptions
    here: ClassVar[bool] = False

    @classmethod
    def setup(cls, address: str, options: Any, progress: Progress) -> list[str]:
        """Make the machine itself, where that is possible; return what was made, as sentences.

        Args:
            address: as in the device profile.
            options: an instance of `Options`.
            progress: told the share done (0..1) and a note.

        Raises:
            EdgeshrinkError: it cannot be made; a subclass says why.
        """
        return []

    @classmethod
    @abstractmethod
    def connect(cls, address: str, options: Any) -> Self:
        """Return the machine at `address` (as in the device profile), ready for use.

        Args:
            address: in the target's own words; empty for the one machine that needs none.
            options: an instance of `Options`.

        Raises:
            UsageError: the address is none of this target's.
            TargetError: the machine is unreachable, or in use by somebody else.
        """

    @abstractmethod
    def folder(self) -> str:
        """Return the path of a new private folder on the machine, which `close` removes.

        Raises:
            TargetError: it cannot be made, or the machine was lost.
        """

    @abstractmethod
    def cache(self) -> str:
        """Return the folder for what is pushed once; it may outlive `close`, but not `clean`."""

    def python(self) -> tuple[str, ...]:
        """Return the command, without its script, that starts Python 3.8 or newer there."""
        return ("python3",)

    def clean(self) -> int:
        """Remove all that is kept on the machine; return how many bytes that freed.

        Raises:
            TargetError: the machine was lost.
        """
        return 0

    def place(self, local: Path) -> str:
        """Return the path at which the machine finds a file, under the digest of its content.

        It is pushed only if it is not there yet, and neither side may write to it.

        Args:
            local: a file of this machine.

        Raises:
            TargetError: it cannot be pushed, or the machine was lost.
        """
        digest = hashlib.sha256()
        with local.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
        remote = f"{self.cache()}/{digest.hexdigest()}{local.suffix}"
        if self.run("test", "-f", remote).returncode:
            self.push(local, remote)
        return remote

    @abstractmethod
    def run(
        self,
        *argv: str,
        timeout: float | None = None,
        watch: Callable[[str], None] | None = None,
    ) -> Completed:
        """Run a command to its end, without a shell.

        Args:
            *argv: the program and its arguments.
            timeout: seconds; None waits for ever.
            watch: called with each line of standard output as it comes, without its line end.

        Returns:
            What the command wrote, and its exit code, whatever that is.

        Raises:
            CommandFailed: the time is over.
            TargetError: the machine was lost.
        """

    @abstractmethod
    def push(self, local: Path, remote: str) -> None:
        """Copy a file of this machine to the target; it appears there whole or not at all.

        Args:
            local: the file here.
            remote: its place there.

        Raises:
            TargetError: it cannot be read here or written there, or the machine was lost.
        """

    @abstractmethod
    def pull(self, remote: str, local: Path, *, limit: int | None = None) -> None:
        """Copy a file of the target to this machine; it appears here whole or not at all.

        Args:
            remote: the file there.
            local: its place here.
            limit: bytes; a larger file is refused.

        Raises:
            CommandFailed: the file is larger than `limit`, or not there.
            TargetError: it cannot be written here, or the machine was lost.
        """
