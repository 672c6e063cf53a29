"""What went wrong, in a line and a hint, and the exit code that says so."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import traceback
from pathlib import Path
from typing import Any

from edgeshrink.cli.say import say
from edgeshrink.cli.streams import silence_broken
from edgeshrink.cli.table import resumes
from edgeshrink.errors import EdgeshrinkError, left, near, shortage

INTERRUPTED = 130
BROKEN_PIPE = 141  # as a shell calls a program that a closed pipe ended
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


def tell(error: BaseException, arguments: list[str]) -> int:
    """Write what happened to standard error and return the exit code.

    Args:
        error: whatever ended the command.
        arguments: the command line, without the program.
    """
    # typer and rich make exit code 1 of it, and rich has silenced the stream by then
    closed = isinstance(error, SystemExit) and isinstance(error.__context__, BrokenPipeError)
    if (isinstance(error, BrokenPipeError) and silence_broken()) or closed:
        silence_broken()
        return BROKEN_PIPE
    try:
        return _written(error, arguments)
    except OSError as unwritten:  # standard error itself is closed or full
        broken = silence_broken() or isinstance(unwritten, BrokenPipeError)
        return BROKEN_PIPE if broken else explain(error, arguments)[2]


def _written(error: BaseException, arguments: list[str]) -> int:
    if "--debug" in arguments or os.environ.get("EDGESHRINK_DEBUG", "") not in ("", "0"):
        traceback.print_exception(error)
    message, hint, code = explain(error, arguments)
    say(f"error: {message}", err=True)
    if hint:
        say(f"hint:  {hint}", err=True)
    if isinstance(error, OSError):
        silence_broken()  # a full disk may be that of standard output
    return code


def explain(error: BaseException, arguments: list[str]) -> tuple[str, str, int]:
    """Return the message, the hint (empty if there is none) and the exit code of an exception."""
    resumable = resumes(arguments)
    if isinstance(error, EdgeshrinkError):
        return str(error), error.hint, error.exit_code
    if hasattr(error, "format_message"):  # typer's own errors, or click's where typer uses it
        return _usage(error)
    if short := shortage(error):
        again = "; the same command resumes then" if resumable else ""
        return short, f"end other programs, or raise the limit (ulimit -u){again}", 1
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        hint = "the same command resumes after the last whole step" if resumable else ""
        return "interrupted", hint, INTERRUPTED
    if isinstance(error, SystemExit):
        return left(error), "it must return, or raise an error", 1
    if isinstance(error, MemoryError):
        return "out of memory", "a smaller --batch-size or --calibration may fit", 1
    if isinstance(error, OSError) and error.errno is not None:
        return _system(error, resumable)
    what = f"{type(error).__name__}: {error}".strip().rstrip(":")
    return f"unexpected {' '.join(what.split())}", "--debug shows where", 1


def _usage(error: Any) -> tuple[str, str, int]:
    context = getattr(error, "ctx", None)
    more = f"`{context.command_path} --help` says more" if context else ""
    if context is not None and type(error).__name__ == "NoSuchOption":
        known = [s for p in context.command.params for s in (*p.opts, *p.secondary_opts)]
        known = [spelling for spelling in known if spelling.startswith("-")]
        return (
            f"no option {error.option_name!r}",
            near(error.option_name, known, otherwise=more),
            error.exit_code,
        )
    message = " ".join(error.format_message().split()).rstrip(".")
    return message[:1].lower() + message[1:], more, error.exit_code


def _room(error: OSError) -> str:
    """Return what a file needs and what is free, as far as the error tells."""
    needed, told = getattr(error, "needed", 0), ""
    if needed:
        told = f", which takes {needed / 1e6:,.1f} MB"
        with contextlib.suppress(OSError):
            free = shutil.disk_usage(Path(str(error.filename)).parent).free
            told += f"; {free / 1e6:,.1f} MB are free"
    return told


def _system(error: OSError, resumable: bool) -> tuple[str, str, int]:
    place = f": {error.filename}" if error.filename else ""
    reason = error.strerror or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "the same command resumes once there is room" if resumable else "make room"
        return f"the disk is full{place}{_room(error)}", hint, 1
    if error.errno == errno.EFBIG:
        hint = "raise the limit (ulimit -f), or name a place on another file system"
        return f"a file would be larger than is allowed here{place}{_room(error)}", hint, 1
    if error.errno == errno.EIO:
        hint = "the disk may be failing; " + (
            "the same command resumes, or takes another place with -o and --run"
            if resumable
            else "name another place"
        )
        return f"the disk could not be read or written{place}", hint, 1
    if error.errno in NOT_ALLOWED:
        return f"{reason.lower()}{place}", "choose a folder you may write to (-o, --run)", 1
    return f"{reason.lower()}{place}", "", 1
