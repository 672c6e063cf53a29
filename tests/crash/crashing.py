"""Commands that are ended at a write, and what must come of the same command afterwards."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

HERE = Path(__file__).parent
LANES = 2 if (os.cpu_count() or 1) < 4 else 4  # a gigabyte each
COMPRESS = ("compress", "PLACE/net.keras", "--prune", "0.5", "--int8", "--pack", "--data")
COMPRESS += ("PLACE/d.npz", "--epochs", "1", "--rules", "smoke", "-o", "PLACE/x.esz")
# what a clock, or what was there before, decides; a .keras archive has the minute that it was saved
TIMED = {"seconds", "reused", "latency", "on", "load_average"}
TIMED |= {"compressed_bytes", "download", "efficacy"}
MOMENTS = ("before", "middle", "after")
FULL = {"error": errno.ENOSPC}
# what a clock decides, how busy the machine was meanwhile, and that a time is of a run that was cut
TIME = re.compile(r"\d (ns|µs|ms|s)\b|, not valid: |: measured in an earlier, cut run$")


class Commands:
    """Runs command lines in forks of one warm process.

    Args:
        wants: what that imports, of what takes long: "tensorflow" or nothing.
    """

    def __init__(self, *wants: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "zygote.py"), *wants],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**os.environ, "NO_COLOR": "1", "COLUMNS": "120"},
        )

    def run(self, cwd: Path, *argv: str, env: Mapping[str, str] | None = None, **fault: Any) -> int:
        """Return the exit code of a command, negative for a signal.

        What it says is in said.txt, and where a fault is named what it wrote in writes.txt.
        """
        if fault:
            fault = {"log": str(cwd / "writes.txt"), **fault}
            Path(fault["log"]).unlink(missing_ok=True)
        # whole paths: the converter's process has a working directory of its own
        whole = [word.replace("PLACE", str(cwd)) for word in argv]
        job = {"cwd": str(cwd), "argv": whole, "fault": fault, "env": env or {}}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self) -> None:
        """End the process, which its converter's process follows."""
        with self.process:
            pass


class Lanes:
    """Several warm processes, which work side by side, each in a folder of its own.

    Args:
        folder: for those folders.
        wants: as `Commands` takes it.
    """

    def __init__(self, folder: Path, *wants: str) -> None:
        self.folder = folder
        self.free: SimpleQueue[Commands] = SimpleQueue()
        for _ in range(LANES):
            self.free.put(Commands(*wants))

    def each(self, work: Callable[[Commands, Path, Any], None], items: Iterable[Any]) -> None:
        """Call work(commands, an empty folder's name, item) for all items; raise what it raises."""

        def one(item: Any) -> None:
            commands, place = self.free.get(), Path(tempfile.mkdtemp(dir=self.folder)) / "place"
            try:
                work(commands, place, item)
                shutil.rmtree(place.parent)
            finally:
                self.free.put(commands)

        with ThreadPoolExecutor(LANES) as pool:
            try:
                list(pool.map(one, items))
            finally:
                pool.shutdown(cancel_futures=True)

    def close(self) -> None:
        """End the processes."""
        for _ in range(LANES):
            self.free.get().close()


def without_times(value: Any) -> Any:
    """Return JSON without what a clock decides."""
    if isinstance(value, dict):
        return {k: without_times(v) for k, v in value.items() if k not in TIMED}
    if isinstance(value, list):
        return [without_times(v) for v in value if not (isinstance(v, str) and TIME.search(v))]
    return value


def outcome(folder: Path, name: str) -> dict[str, Any]:
    """Return the files of a result by name: bytes, or JSON without times."""
    found: dict[str, Any] = {}
    for path in folder.glob(f"{name}.*"):
        if path.is_file():
            data = path.read_bytes().replace(str(folder).encode(), b"PLACE")
            found[path.name] = without_times(json.loads(data)) if path.suffix == ".json" else data
    return found


def left_behind(folder: Path) -> list[str]:
    """Return what should not be there after a command has ended well."""
    names = (p for p in folder.rglob("*") if ".part" in p.name or p.name.startswith("tmp"))
    scratch = folder.rglob(".edgeshrink-scratch")
    return [str(path.relative_to(folder)) for path in (*names, *scratch)]


def said(place: Path) -> str:
    """Return what the last command in a folder said."""
    return (place / "said.txt").read_text()


def names(folder: Path) -> set[str]:
    """Return what is in a folder, whichever process wrote it."""
    writer = re.compile(r"-\d+-\d+\.part")
    return {writer.sub(".part", str(path.relative_to(folder))) for path in folder.rglob("*")}


def digest(folder: Path) -> str:
    """Return a digest of all that is in a folder: names and bytes."""
    found = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        data = path.read_bytes() if path.is_file() else b""
        for part in (str(path.relative_to(folder)).encode(), data):
            found.update(b"%d:%s" % (len(part), part))
    return found.hexdigest()


def check_told(place: Path, code: int, fault: dict[str, Any]) -> None:
    """A refused write is one sentence; a killed process cannot say any."""
    text = said(place)
    if not fault:
        assert code != 0
        return
    assert code == 1, text
    (told,) = (line for line in text.splitlines() if line.startswith("error: "))
    assert "unexpected" not in told
    wanted = "the disk is full: " if fault == FULL else "the disk could not be read or written: "
    assert told.startswith(f"error: {wanted}{place}"), told
