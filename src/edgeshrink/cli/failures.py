"""What went wrong, in a line and a hint, and the exit code that says so."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from typing import Any

from edgeshrink.cli.say import say
from edgeshrink.errors import EdgeshrinkError, near

INTERRUPTED = 130
BROKEN_PIPE = 141  # as a shell calls a program that a closed pipe ended
NOT_ALLOWED = (errno.EACCES, errno.EPERM, errno.EROFS)


def tell(error: BaseException, arguments: list[str]) -> int:
    """Write what happened to standard error and return the exit code.

    Args:
        error: whatever ended the command.
        arguments: the command line, without the program.
    """
    if isinstance(error, BrokenPipeError):
        # what is still buffered has nowhere to go, and must not fail again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    if "--debug" in arguments or os.environ.get("EDGESHRINK_DEBUG", "") not in ("", "0"):
        traceback.print_exception(error)
    message, hint, code = explain(error, arguments)
    say(f"error: {message}", err=True)
    if hint:
        say(f"hint:  {hint}", err=True)
    return code


def explain(error: BaseException, arguments: list[str]) -> tuple[str, str, int]:
    """Return the message, the hint (empty if there is none) and the exit code of an exception."""
    resumes = arguments[:1] in (["compress"], ["study"])
    if isinstance(error, EdgeshrinkError):
        return str(error), error.hint, error.exit_code
    if hasattr(error, "format_message"):  # typer's own errors, or click's where typer uses it
        return _usage(error)
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        hint = "the same command resumes after the last whole step" if resumes else ""
        return "interrupted", hint, INTERRUPTED
    if isinstance(error, MemoryError):
        return "out of memory", "a smaller --batch-size or --calibration may fit", 1
    if isinstance(error, OSError) and error.errno is not None:
        return _system(error, resumes)
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


def _system(error: OSError, resumes: bool) -> tuple[str, str, int]:
    place = f": {error.filename}" if error.filename else ""
    reason = error.strerror or type(error).__name__
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "the same command resumes once there is room" if resumes else "make room"
        return f"the disk is full{place}", hint, 1
    if error.errno in NOT_ALLOWED:
        return f"{reason.lower()}{place}", "choose a folder you may write to (-o, --run)", 1
    return f"{reason.lower()}{place}", "", 1
