"""Processes that import TensorFlow for another one: how they tell where they are, and how they end.

TensorFlow can end its process by a signal, and a process that runs out of memory is killed: only
another one can say so, and go on. That one imports nothing heavy, and this module nothing at all.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Mapping
from queue import SimpleQueue

CRASHES = frozenset({"SIGSEGV", "SIGILL", "SIGFPE", "SIGBUS", "SIGABRT"})
KERNELS = "TF_ENABLE_ONEDNN_OPTS"  # TensorFlow reads it once, when it is imported
CRASHED = "EDGESHRINK_CRASHED"  # tells a process what ended the one before it: SIGNAL, and at what
_AT, _PLAIN, _ENDS = "at ", "without oneDNN", "ends "

_told: int | None = None  # the descriptor that this process tells by, if it is a worker


def serve(told: int, alive: int) -> SimpleQueue[str]:
    """Make this process a worker.

    Args:
        told: the descriptor of a pipe for what it tells.
        alive: one whose other end its supervisor holds: this process ends when that one does,
            killed or not.

    Returns:
        What the supervisor writes, line by line.

    Raises:
        RuntimeError: there is no room for one more thread.
    """
    global _told
    _told = told
    for descriptor in (told, alive):
        os.set_inheritable(descriptor, False)
    lines: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_end_with, args=[alive, lines], daemon=True).start()
    return lines


def _end_with(alive: int, lines: SimpleQueue[str]) -> None:
    with os.fdopen(alive) as stream:
        for line in stream:
            lines.put(line)
    os._exit(1)


def at(what: str) -> None:
    """Tell the supervisor what this process is at from now on, if there is one."""
    _tell(_AT + " ".join(what.split()))


def without_onednn() -> None:
    """Tell the supervisor that this process computes without oneDNN's kernels."""
    _tell(_PLAIN)


def ends(code: int) -> None:
    """Tell the supervisor that the work is over, and its exit code."""
    _tell(f"{_ENDS}{code}")


def _tell(line: str) -> None:
    if _told is not None:
        os.write(_told, (line + "\n").encode(errors="replace"))


class Account:
    """What a worker told, and what is to be done when it has ended.

    Args:
        environ: that it was started in.

    Attributes:
        at: what it was at last; empty before anything.
        plain: it computed without oneDNN's kernels.
        code: the exit code of its work; None where it never came to an end.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.at, self.plain = "", has_onednn_off(environ)
        self.code: int | None = None

    def take(self, line: str) -> bool:
        """Take a line that the worker wrote; return whether it was one of these."""
        line = line.rstrip("\n")
        if line.startswith(_AT):
            self.at = line.removeprefix(_AT)
        elif line.startswith(_ENDS):
            self.code = int(line.removeprefix(_ENDS))
        elif line == _PLAIN:
            self.plain = True
        else:
            return False
        return True

    def again(self, returncode: int) -> dict[str, str] | None:
        """Return the environment to start the same work again in, or None where that is no use.

        It is tried once more after a crash with oneDNN's kernels, without them: some small models
        crash in them. What was killed is not, since memory would run out again.

        Args:
            returncode: of the process, as `subprocess` gives it.
        """
        name = signal_name(returncode)
        if self.code is not None or name not in CRASHES or not self.at or self.plain:
            return None
        return {KERNELS: "0", CRASHED: f"{name} {self.at}"}

    def crashed(self, returncode: int) -> str:
        """Return the sentence that tells how a process ended without a word of its own."""
        during = f" during {self.at}" if self.at else ", before its first step"
        name = signal_name(returncode)
        if not name:
            return f"the process ended with exit code {returncode}{during}, and said nothing"
        plain = ", without oneDNN's kernels" if self.plain and name in CRASHES else ""
        short = ": memory may have run out" if name == "SIGKILL" else ""
        return f"{name} ended the process{during}{plain}{short}"

    def advice(self, returncode: int, *, resumes: bool) -> str:
        """Return what can be done about it.

        Args:
            returncode: of the process, as `subprocess` gives it.
            resumes: the same command goes on from the last whole step.
        """
        name = signal_name(returncode)
        on = ["the same command goes on from the last whole step"] if resumes else []
        if not name:
            return "code that it ran may have called os._exit; it must return, or raise an error"
        if name == "SIGKILL":
            return "; ".join(["a smaller --batch-size or --calibration may fit", *on])
        if name not in CRASHES:
            return "".join(on)
        # SIGABRT is how C++ ends where there is no room for a thread
        first = ["memory or threads may have run out"] if name == "SIGABRT" else []
        if self.at:
            return "; ".join([*first, "leave that step out, or give it other options", *on])
        return "; ".join([*first, "`edgeshrink doctor` checks what is installed"])


def has_onednn_off(environ: Mapping[str, str]) -> bool:
    """Return whether TensorFlow does without oneDNN's kernels where it is imported so."""
    return environ.get(KERNELS, "").lower() in ("0", "false")


def signal_name(returncode: int) -> str:
    """Return the name of the signal that ended a process, or an empty text.

    Example:
        >>> signal_name(-11), signal_name(1)
        ('SIGSEGV', '')
    """
    if returncode >= 0:
        return ""
    try:
        return signal.Signals(-returncode).name
    except ValueError:
        return f"signal {-returncode}"
