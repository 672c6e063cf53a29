"""What tests do to writes: end the process, or have the disk refuse, at a write that they name.

Nothing happens unless a test calls `install`, or starts a program with `EDGESHRINK_WRITE_FAULT`.
"""

from __future__ import annotations

import json
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

VARIABLE = "EDGESHRINK_WRITE_FAULT"
Moment = Literal["before", "middle", "after"]


@dataclass(frozen=True)
class WriteFault:
    """What happens at which write.

    Attributes:
        log: a file that gets a line for each write, of all processes together: they count it.
        at: which write, from 1; 0 only counts.
        moment: before anything of it is on disk, when half of it is, or once it has its name.
        error: the number of the error that the disk answers with; 0 kills the process.
    """

    log: str
    at: int = 0
    moment: Moment = "before"
    error: int = 0

    def meet(self, number: int, part: Path, moment: Moment) -> None:
        """Do what is to be done at a moment of a write.

        Args:
            number: of the write.
            part: the name under which it is written.
            moment: of it.
        """
        if number != self.at or moment != self.moment:
            return
        if moment == "middle" and part.is_file():
            os.truncate(part, part.stat().st_size // 2)
        if self.error:
            raise OSError(self.error, os.strerror(self.error), str(part))
        os.kill(os.getpid(), signal.SIGKILL)


_fault: WriteFault | None = None
if VARIABLE in os.environ:  # the one place where it is read
    _fault = WriteFault(**json.loads(os.environ[VARIABLE]))
_mine: dict[Path, int] = {}


def install(fault: WriteFault | None) -> None:
    """Let the writes of this process meet a fault from now on; None lets them be."""
    global _fault
    _fault = fault
    _mine.clear()


def reached(path: Path, part: Path, moment: Moment) -> None:
    """Tell that the write of a file has come so far."""
    if _fault is None:
        return
    if moment == "before":
        _mine[part] = _counted(_fault.log, path)
    _fault.meet(_mine.get(part, 0), part, moment)


def _counted(log: str, path: Path) -> int:
    """Write a line for a file to the log, and return how many there are then."""
    import fcntl

    with open(log, "a+", encoding="utf-8") as stream:  # noqa: PTH123 - two modes in one
        fcntl.flock(stream, fcntl.LOCK_EX)
        stream.seek(0)
        number = len(stream.readlines()) + 1
        stream.write(f"{path.name}\n")
        return number
