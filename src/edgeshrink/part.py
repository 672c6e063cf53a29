"""An optional part: a package or a program that is used where it is installed."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import re
import shutil
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass

from edgeshrink.errors import EdgeshrinkError

ASK_SECONDS = 10.0


class Part(ABC):
    """Something that part of edgeshrink needs, and the rest does not.

    It is declared beside what uses it, and told by the hook `edgeshrink_parts`; `edgeshrink
    doctor` says of each whether it is there.

    Attributes:
        name: what it is called where it is installed.
        purpose: what it is for, as a phrase: "figures in reports".
        get: how to get it, a command or words.
    """

    name: str
    purpose: str
    get: str

    @property
    def install(self) -> str:
        """How to get it: a command, or words."""
        return self.get

    @abstractmethod
    def version(self) -> str:
        """Return the installed version, "installed" where it tells none, "" where it is missing."""


@dataclass(frozen=True)
class Package(Part):
    """A Python package.

    Attributes:
        name: of the distribution, as pip knows it.
        purpose: what it is for.
        get: how to get it; empty for pip, by an extra of edgeshrink if one has it.
    """

    name: str
    purpose: str
    get: str = ""

    @property
    def install(self) -> str:
        """How to get it."""
        return self.get or pip_install([self.name])

    def version(self) -> str:
        """Return the installed version, or an empty text."""
        return version_of(self.name)


@dataclass(frozen=True)
class Program(Part):
    """A program of this machine.

    Attributes:
        name: of the program, as PATH knows it.
        purpose: what it is for.
        get: how to get it, a command or words.
        asked: the arguments that make it tell its version; empty where none do.
        folders: where it may be beside PATH; `$NAME` is an environment variable.
    """

    name: str
    purpose: str
    get: str
    asked: tuple[str, ...] = ("--version",)
    folders: tuple[str, ...] = ()

    def path(self) -> str:
        """Return where the program is, or an empty text."""
        places = (os.environ.get("PATH", os.defpath), *map(os.path.expandvars, self.folders))
        known = [place for place in places if "$" not in place]
        return shutil.which(self.name, path=os.pathsep.join(known)) or ""

    def version(self) -> str:
        """Return what the program says of its version; this runs it."""
        path = self.path()
        if not (path and self.asked):
            return "installed" if path else ""
        try:
            done = subprocess.run(
                [path, *self.asked],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=ASK_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return "does not start"
        found = re.search(r"\d+\.\d+[\w.]*", done.stdout + done.stderr)
        return found[0] if found else "installed"


def need(*programs: Program) -> None:
    """Check that programs are installed.

    Raises:
        EdgeshrinkError: some are missing; the hint says how to get them.
    """
    missing = [program for program in programs if not program.path()]
    if missing:
        names = ", ".join(program.name for program in missing)
        raise EdgeshrinkError(
            f"{names} must be installed on this machine",
            hint="; ".join(dict.fromkeys(program.install for program in missing)),
        )


@functools.cache
def version_of(distribution: str) -> str:
    """Return the installed version of a distribution, or an empty text."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return ""


def pip_install(distributions: Iterable[str]) -> str:
    """Return the command that installs distributions: the smallest extra that has them, if any."""
    wanted = list(distributions)
    extras: dict[str, set[str]] = {}
    for line in importlib.metadata.requires("edgeshrink") or ():
        if found := re.match(r"([\w.-]+).*extra == ['\"]([\w-]+)", line):
            extras.setdefault(found[2], set()).add(found[1])
    fitting = [extra for extra, names in extras.items() if names.issuperset(wanted)]
    if not fitting:
        return f"pip install {' '.join(wanted)}"
    return f'pip install "edgeshrink[{min(fitting, key=lambda extra: len(extras[extra]))}]"'


DISTRIBUTED = Package("distributed", "jobs on the machines of a Dask cluster (--scheduler)")
OPTUNA = Package("optuna", "searches: what keeps their trials, and other ways to choose recipes")
PYARROW = Package("pyarrow", "data in .parquet files")
CORE_PARTS: tuple[Part, ...] = (
    DISTRIBUTED,
    OPTUNA,
    PYARROW,
)  # what the core itself uses where it is installed
