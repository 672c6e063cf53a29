"""Vela, Arm's compiler for Ethos-U: where it is, and a run of it in a folder of its own."""

from __future__ import annotations

import functools
import subprocess
import sys
import tempfile
from pathlib import Path

from edgeshrink.api import CommandFailed, Package, Part, Program, UsageError
from edgeshrink_ethosu.failures import ended

PURPOSE = "the runtime ethosu: what a model needs on an Arm Ethos-U NPU"
PACKAGE = Package("ethos-u-vela", PURPOSE)  # beside edgeshrink
PROGRAM = Program("vela", PURPOSE, "pip install ethos-u-vela")  # or in an environment of its own
LONGEST_SECONDS = 600.0
LONGEST_TEXT = 1 << 20


class Vela(Part):
    """The compiler, wherever it is."""

    name, purpose = PACKAGE.name, PURPOSE

    @property
    def install(self) -> str:
        """How to get it."""
        return PACKAGE.install

    def version(self) -> str:
        """Return the installed version, or an empty text."""
        return PACKAGE.version() or PROGRAM.version()


VELA = Vela()


def command() -> tuple[str, ...]:
    """Return what starts Vela: the package beside edgeshrink, or else the program of PATH.

    Raises:
        UsageError: there is neither.
    """
    if PACKAGE.version():
        # -P: without the current folder, where a file may have the name of a module
        return (sys.executable, "-P", "-m", "ethosu.vela")
    if found := PROGRAM.path():
        return (found,)
    raise UsageError(
        "the runtime ethosu needs Vela, the compiler of Arm's NPUs, which is not installed",
        hint=VELA.install,
    )


@functools.cache
def version() -> str:
    """Return Vela's version.

    Raises:
        UsageError: it is not installed.
        CommandFailed: it does not start, or tells none.
    """
    with tempfile.TemporaryDirectory(prefix="edgeshrink-vela-") as folder:
        said = run(Path(folder), "--version").strip()
    if not said[:1].isdigit() or not said.isprintable() or len(said) > 40:
        raise CommandFailed("Vela does not tell its version")
    return said


def run(folder: Path, *arguments: str) -> str:
    """Run Vela to its end, without a shell, and return what it printed.

    Args:
        folder: where it runs and writes: private, and with nothing else in it.
        *arguments: its own.

    Raises:
        UsageError: it is not installed.
        CommandFailed: it ended with an error or by a signal, or took too long.
    """
    argv = command() + arguments
    printed, errors = folder / "printed.txt", folder / "errors.txt"
    with printed.open("wb") as stdout, errors.open("wb") as stderr:
        try:
            done = subprocess.run(
                argv,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                timeout=LONGEST_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise CommandFailed(
                f"Vela gave no answer in {LONGEST_SECONDS:g} s and was stopped"
            ) from error
        except OSError as error:
            raise CommandFailed(f"Vela does not start: {error.strerror}") from error
    if done.returncode:
        raise CommandFailed(ended(done.returncode, _text(errors)))
    return _text(printed)


def _text(path: Path) -> str:
    with path.open("rb") as stream:
        return stream.read(LONGEST_TEXT).decode("utf-8", "replace")
