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

Progress = Callable[[float, str], None]


@dataclass(frozen=True)
class Completed:
    """A command that ended.

    Attributes:
        returncode: its exit code; negative: the signal that killed it.
        seconds: wall time.
    """

    argv: tuple[str, ...]
    returncode: int
    stdout: str
    stderr: str
    seconds: float = 0.0

    def check(self) -> Completed:
        """Return self, or raise `CommandFailed` when the exit code is not zero."""
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
        """Make the machine itself, where that is possible; return what was made, as sentences."""
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
        """Return a new private folder on the machine, which `close` removes."""

    @abstractmethod
    def cache(self) -> str:
        """Return the folder for what is pushed once; it may outlive `close`, not `clean`."""

    def python(self) -> tuple[str, ...]:
        """Return the command, without its script, that starts Python 3.8 or newer there."""
        return ("python3",)

    def clean(self) -> int:
        """Remove all that is kept on the machine; return how many bytes that freed."""
        return 0

    def place(self, local: Path) -> str:
        """Return where the machine finds a file, under the digest of its content.

        It is pushed only if it is not there yet, and neither side may write to it.
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
        """Run a command to its end; `watch` gets each line of its standard output meanwhile."""

    @abstractmethod
    def push(self, local: Path, remote: str) -> None:
        """Copy a file of this machine to the target; it appears there whole or not at all."""

    @abstractmethod
    def pull(self, remote: str, local: Path, *, limit: int | None = None) -> None:
        """Copy a file of the target to this machine; it appears here whole or not at all.

        Args:
            remote: the file there.
            local: its place here.
            limit: bytes; a larger file is refused.
        """
