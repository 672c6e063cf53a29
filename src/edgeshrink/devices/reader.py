"""A program that reads .tflite files, and what it refuses of them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from edgeshrink.devices.backend import Backend
from edgeshrink.errors import UsageError
from edgeshrink.tflite import Refusal, Use, refused


@dataclass(frozen=True)
class Reader:
    """A program that reads .tflite files: a runtime, or a chip's compiler.

    Attributes:
        name: as profiles have it, in `reader` or else in `runtime`.
        title: its name and the version that the rows were tried with.
        refuses: rows of what it refuses.
        leaves: rows of what it takes and leaves to a processor beside it; a file of which it leaves
            everything is refused.
        untried: rows of what nobody has given it yet.
        backend: what converts and runs a file with it on this machine; None where that is its
            runtime's matter, or nobody's.
    """

    name: str
    title: str
    refuses: tuple[Refusal, ...] = ()
    leaves: tuple[Refusal, ...] = ()
    untried: tuple[Refusal, ...] = ()
    backend: Backend | None = None

    def problems(self, uses: Iterable[Use]) -> list[str]:
        """Return why the program refuses a file, as phrases; none where it reads it.

        Args:
            uses: how the file uses its operators.
        """
        uses = list(uses)
        found = refused(uses, self.refuses)
        if not found and uses and all(any(r.matches(u) for r in self.leaves) for u in uses):
            found = [f"a file that it leaves whole: {'; '.join(refused(uses, self.leaves))}"]
        return found

    def doubts(self, uses: Iterable[Use]) -> list[str]:
        """Return what of a file nobody has given the program yet, as phrases.

        Args:
            uses: how the file uses its operators.
        """
        return refused(uses, self.untried)


@dataclass(frozen=True)
class Toolchain:
    """A reader that a request names, for files on their way to a chip.

    Attributes:
        name: of the reader.
        python: the interpreter of the environment that it is installed in; empty for this one.
    """

    name: str
    python: str = ""

    @classmethod
    def named(cls, text: str) -> Self:
        """Return what `NAME` or `NAME=PYTHON` says.

        Args:
            text: as `--toolchain` takes it.

        Raises:
            UsageError: there is no such interpreter.

        Example:
            >>> Toolchain.named("tvm")
            Toolchain(name='tvm', python='')
        """
        name, equals, python = text.partition("=")
        at_home = str(Path(python).expanduser()) if python.startswith("~") else python
        found = shutil.which(at_home) if at_home else None
        if equals and found is None:
            raise UsageError(
                f"the toolchain {name} is to run in {python!r}, which is no program",
                hint="name the interpreter of its environment, as in tvm=/opt/tvm/bin/python",
            )
        # links are kept: by that of its environment an interpreter finds what is installed there
        return cls(name, str(Path(found).absolute()) if found else "")
