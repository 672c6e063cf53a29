"""One input, read in a forked child that is bounded in time and memory."""

from __future__ import annotations

import contextlib
import io
import os
import re
import resource
import signal
import sys
import time
import traceback
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CODES = (0, 1, 2, 3, 4)
MOST_MEMORY = 64 << 20
TIMES_DECLARED = 4
MOST_DECLARED = 128 << 20  # what an input may say of itself and be believed
CPU_SECONDS, WALL_SECONDS = 20, 90
FILE_BYTES = 256 << 20
# what is written to a terminal holds none of these
RAW = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Ended:
    """How a child ended.

    Attributes:
        code: its exit code, or the signal that ended it as a negative number.
        text: what it wrote.
        seconds: of the clock.
        peak_bytes: the most memory that it had.
        late: it was ended, having run too long.
    """

    code: int
    text: str
    seconds: float
    peak_bytes: int
    late: bool = False

    def fault(self, idle_bytes: int, declared_bytes: int) -> str:
        """Return what is wrong with it, or an empty text."""
        if self.late:
            return "it did not end"
        if self.code < 0:
            return f"ended by {signal.Signals(-self.code).name}"
        for line in self.text.splitlines():
            if "error: unexpected" in line or line.startswith("Traceback (most recent"):
                return f"{line[:200]} {_last(self.text) if 'Traceback' in line else ''}"
            if line.startswith("error: out of memory"):
                return line
        if found := RAW.search(self.text):
            return f"raw control character {found[0]!r}"
        if self.code not in CODES:
            return f"exit code {self.code}"
        over = self.peak_bytes - idle_bytes
        if over > MOST_MEMORY + TIMES_DECLARED * declared_bytes:
            return f"took {over >> 20} MiB for {declared_bytes:,} declared bytes"
        return ""


def _last(text: str) -> str:
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")[:200]


def run(work: Callable[[], int], told: Path, *, stop_bytes: int = 0) -> Ended:
    """Fork, do the work in the child, and return how it ended.

    Args:
        work: returns an exit code.
        told: the file that takes what it writes.
        stop_bytes: memory at which it is ended; 0 for no bound.
    """
    begun = time.monotonic()
    child = os.fork()
    if child == 0:
        _child(work, told)
    late = swollen = False
    sampled = 0
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            break
        sampled = max(sampled, _resident(child))
        late = time.monotonic() - begun > WALL_SECONDS
        swollen = bool(stop_bytes) and sampled > stop_bytes
        if late or swollen:
            os.killpg(child, signal.SIGKILL)
            _, status, usage = os.wait4(child, 0)
            break
        time.sleep(0.004)
    with contextlib.suppress(ProcessLookupError):  # what it left behind
        os.killpg(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(status)
    text = told.read_text("utf-8", "replace")
    return Ended(
        0 if swollen else code,
        text,
        time.monotonic() - begun,
        max(usage.ru_maxrss * 1024, sampled),
        late or code == -signal.SIGXCPU,
    )


def _child(work: Callable[[], int], told: Path) -> None:
    code = 70
    try:
        os.setsid()
        out = os.open(told, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, nothing), (1, out), (2, out)):
            os.dup2(source, target)
        sys.stdout, sys.stderr = (
            os.fdopen(n, "w", encoding="utf-8", errors="replace", closefd=False) for n in (1, 2)
        )
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 5))
        resource.setrlimit(resource.RLIMIT_FSIZE, (FILE_BYTES, FILE_BYTES))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        os.chdir(told.parent)
        code = work()
    except BaseException:
        traceback.print_exc()
    finally:
        with contextlib.suppress(Exception):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def _resident(process: int) -> int:
    try:
        with open(f"/proc/{process}/statm") as stream:  # noqa: PTH123 - read 200 times a second
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, IndexError):
        return 0


def declared(path: Path) -> int:
    """Return the bytes that an input says it holds, as far as that is believed."""
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    return sum(_declared(file) for file in files if file.exists())


def _declared(file: Path) -> int:
    size = file.stat().st_size
    data = file.read_bytes()
    if data[:2] == b"PK":
        with contextlib.suppress(Exception), zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = max(size, sum(info.file_size for info in archive.infolist()))
    elif data[:3] == b"\xe5SZ":
        with contextlib.suppress(Exception):
            from edgeshrink.tflite.esz.varint import read_varint

            size = max(size, read_varint(data, 8)[0])
    return min(size, MOST_DECLARED)
