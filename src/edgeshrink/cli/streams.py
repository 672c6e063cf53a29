"""Standard streams as a command may have them: closed, broken, or unable to write µ."""

from __future__ import annotations

import contextlib
import os
import sys


def make_whole() -> None:
    """Put nothing in the place of closed streams, as /dev/null does.

    Else the next file that is opened gets the number of the closed one, and what a library writes
    to standard error gets into it.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that cannot write µ gets a ? instead
            stream.reconfigure(errors="replace")


def silence_broken() -> bool:
    """Let what is still buffered for a reader that is gone, or a full disk, be lost quietly.

    It has nowhere to go, and must not fail again at exit.

    Returns:
        Whether one of the streams was broken.
    """
    broken = False
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
            broken |= _reader_is_gone(stream.fileno())
        except BrokenPipeError:
            broken = True
        except (OSError, ValueError):  # no room for it, or no stream of a file
            pass
        else:
            continue
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return broken


def _reader_is_gone(descriptor: int) -> bool:
    import select

    if not hasattr(select, "poll"):
        return False
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))
