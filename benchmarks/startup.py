"""Time how long the command line takes to answer, beside `litert` where it is installed.

    python benchmarks/startup.py [--runs 15] [--litert VENV] [--beside VENV] [--out FILE]

Commands are run in turns; for each the best and the median of wall and CPU time are kept.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

OURS = {
    "edgeshrink --help": ["--help"],
    "edgeshrink compress --help": ["compress", "--help"],
    "edgeshrink compress m.keras --prun 0.8": ["compress", "m.keras", "--prun", "0.8"],
    "edgeshrink compress missing.keras": ["compress", "missing.keras"],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--litert", type=Path, help="a virtual environment with litert-cli")
    parser.add_argument("--beside", type=Path, help="a virtual environment with another edgeshrink")
    parser.add_argument(
        "--model", type=Path, help="a .keras file, for mistakes told after reading it"
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/startup.json"))
    given = parser.parse_args()

    program = str(Path(sys.executable).with_name("edgeshrink"))
    commands = {name: [program, *argv] for name, argv in OURS.items()}
    if given.model:
        for flags in ("--prune 1.5", "--device raspberypi", "--int8 --fp16"):
            argv = [program, "compress", str(given.model.resolve()), *flags.split()]
            commands[f"edgeshrink compress {given.model.name} {flags}"] = argv
    if given.beside:
        other = str(given.beside.absolute() / "bin" / "edgeshrink")
        commands |= {f"beside: {name}": [other, *argv] for name, argv in OURS.items()}
    if given.litert:
        commands["litert --help"] = [str(given.litert.absolute() / "bin" / "litert"), "--help"]
    commands["python -c pass"] = [sys.executable, "-c", "pass"]

    times: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    codes: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(given.runs + 1):
            for name, argv in commands.items():
                wall, cpu, codes[name] = timed(argv, folder)
                if turn:  # the first one warms the disk's cache
                    times[name].append((wall, cpu))
    document = {
        "command": shlex.join(["python", *sys.argv]),
        "runs": given.runs,
        "machine": machine(),
        "versions": versions(given.litert),
        "milliseconds": {name: summary(runs, codes[name]) for name, runs in times.items()},
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    for name, found in document["milliseconds"].items():
        print(
            f"{found['wall_best']:7.1f} {found['wall_median']:7.1f} ms wall, "
            f"{found['cpu_best']:7.1f} {found['cpu_median']:7.1f} ms CPU (best, median)  {name}"
        )


def timed(argv: list[str], folder: str) -> tuple[float, float, int]:
    """Return wall and CPU milliseconds of a command, and its exit code."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    started = time.perf_counter()
    done = subprocess.run(argv, cwd=folder, capture_output=True, check=False)
    wall = time.perf_counter() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall * 1e3, cpu * 1e3, done.returncode


def summary(runs: list[tuple[float, float]], code: int) -> dict[str, object]:
    walls, cpus = zip(*runs, strict=True)
    return {
        "exit_code": code,
        "wall_best": round(min(walls), 1),
        "wall_median": round(statistics.median(walls), 1),
        "cpu_best": round(min(cpus), 1),
        "cpu_median": round(statistics.median(cpus), 1),
        "wall": [round(wall, 1) for wall in walls],
    }


def machine() -> dict[str, object]:
    model = ""
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if "model name" in line), "")
    load = os.getloadavg() if hasattr(os, "getloadavg") else ()
    return {
        "cpu": model or platform.processor(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": [round(value, 2) for value in load],
    }


def versions(litert: Path | None) -> dict[str, str]:
    found = {}
    for name in ("edgeshrink", "typer", "rich", "pluggy"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "absent"
    if litert:
        python = str(litert.absolute() / "bin" / "python")
        code = "from importlib.metadata import version as v; print(v('litert-cli'))"
        done = subprocess.run([python, "-c", code], capture_output=True, text=True, check=False)
        found["litert-cli"] = done.stdout.strip()
    return found


if __name__ == "__main__":
    assert shutil.which("edgeshrink") or Path(sys.executable).with_name("edgeshrink").exists()
    main()
