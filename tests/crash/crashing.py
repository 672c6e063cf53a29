"""Commands that are ended at a write, and what must come of the same command afterwards."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
# what a clock, or what was there before, decides; a .keras archive has the minute that it was saved
TIMED = {"seconds", "reused", "latency", "on", "load_average"}
TIMED |= {"compressed_bytes", "download", "efficacy"}
TIME = re.compile(r"\d (ns|µs|ms|s)\b")


class Commands:
    """Runs command lines in forks of one warm process."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "zygote.py")],
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
