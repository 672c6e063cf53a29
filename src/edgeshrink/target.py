"""A machine that can run commands and hold files: three verbs and `close`."""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from edgeshrink.errors import CommandFailed


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
            raise CommandFailed(
                f"{shlex.join(self.argv)} {how}: {' / '.join(lines) or 'no output'}"
            )
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
    """

    name: ClassVar[str]

    @classmethod
    @abstractmethod
    def connect(cls, address: str) -> Self:
        """Return the machine at `address` (as in the device profile), ready for use."""

    @abstractmethod
    def folder(self) -> str:
        """Return a private folder on the machine, which `close` removes."""

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
    def pull(self, remote: str, local: Path) -> None:
        """Copy a file of the target to this machine."""
