"""Every failure a user can cause, as a tree; each knows its exit code and may carry a hint.

EdgeshrinkError (1)          the work failed
├── ModelError (1)           what is inside a model file is wrong
├── DataError (1)            what is inside the data is wrong
├── RecipeError (1)          what is inside a recipe file is wrong
├── StudyError (1)           what is inside a study file is wrong
├── ProfileError (1)         what is inside a device profile is wrong
├── ConversionError (1)      the converter refused the model, or crashed
├── VerificationError (1)    a converted file is not what its precision declares
├── CommandFailed (1)        a command on a target ended badly
├── PluginError (1)          a plugin breaks the rules
├── UsageError (2)           what the command line shows is wrong
├── TargetError (3)          a device is unreachable or was lost
└── CheckFailed (4)          a budget or check was not met; the best file is kept
"""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable

MOST_LISTED = 40  # names in a hint


class EdgeshrinkError(Exception):
    """A failure that is told in one sentence, with a hint where there is one.

    Args:
        message: the rule first, then what was received.
        hint: what to do about it; empty for none.

    Attributes:
        exit_code: of the command that ends with this error.
        hint: as it was given.
    """

    exit_code = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class ModelError(EdgeshrinkError):
    """What is inside a model file is wrong, or cannot be handled."""


class DataError(EdgeshrinkError):
    """What is inside the data is wrong, or does not fit the model."""


class RecipeError(EdgeshrinkError):
    """What is inside a recipe file is wrong."""


class StudyError(EdgeshrinkError):
    """What is inside a study file is wrong."""


class ProfileError(EdgeshrinkError):
    """What is inside a device profile is wrong."""


class ConversionError(EdgeshrinkError):
    """The converter refused the model or crashed on it."""


class VerificationError(EdgeshrinkError):
    """A converted file was run or read, and is not what was asked for."""


class CommandFailed(EdgeshrinkError):
    """A command ran on a target and ended badly."""


class PluginError(EdgeshrinkError):
    """A plugin breaks the rules of the hook that it answers."""


class UsageError(EdgeshrinkError):
    """What the command line shows is wrong: a flag, a value, a path, a name."""

    exit_code = 2


class TargetError(EdgeshrinkError):
    """A device could not be reached, or was lost on the way."""

    exit_code = 3


class CheckFailed(EdgeshrinkError):
    """A budget or a check was not met; the best file found is kept."""

    exit_code = 4


def near(name: str, known: Iterable[str], *, otherwise: str = "") -> str:
    """Return a hint that offers the known names nearest to `name`, at most three of them.

    Args:
        name: what was written.
        known: the names that exist.
        otherwise: the hint where no known name is near; empty for a list of them, or of the five
            that are nearest where there are many.

    Example:
        >>> near("polinomial", ["constant", "polynomial"])
        "did you mean 'polynomial'?"
    """
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=3, cutoff=0.55)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    if otherwise or len(names) <= MOST_LISTED:
        return otherwise or f"known: {', '.join(names)}"
    nearest = difflib.get_close_matches(name, names, n=5, cutoff=0)
    return f"{len(names):,} are known, such as {', '.join(nearest)}"


def left(error: SystemExit) -> str:
    """Return the sentence for code of a user or a plugin that meant to end Python.

    Args:
        error: what it raised, with its traceback.
    """
    import traceback

    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if not frame.filename.endswith("_sitebuiltins>")]
    where = f" in {own[-1].filename}, line {own[-1].lineno}" if own else ""
    return f"code that was run called sys.exit({error.code!r}){where}"


def shortage(error: BaseException) -> str:
    """Return the sentence for an error of no room for a thread or a process; else nothing."""
    no_thread = isinstance(error, RuntimeError) and "can't start new thread" in str(error)
    # OpenBLAS interrupts its own process where it can start none
    if no_thread or (isinstance(error, KeyboardInterrupt) and not _room_for_a_thread()):
        return "no more threads can be started on this machine"
    if isinstance(error, OSError) and error.errno == errno.EAGAIN:
        return f"no more processes can be started on this machine ({os.strerror(errno.EAGAIN)})"
    return ""


def _room_for_a_thread() -> bool:
    import threading

    try:
        threading.Thread(target=int).start()
    except RuntimeError:
        return False
    return True
