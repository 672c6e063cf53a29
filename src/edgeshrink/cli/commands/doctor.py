"""The command `doctor`."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import typer

from edgeshrink.cli.shared import Debug, Json, print_json, single

# Distribution, the extra that brings it (empty: edgeshrink itself does), what it is for.
PARTS = (
    ("tensorflow", "", "training and conversion"),
    ("keras", "", "models"),
    ("numpy", "", "numbers"),
    ("ai-edge-litert", "", "running .tflite files"),
    ("litert-quantizer", "lowbit", "4 bits and fewer"),
    ("scikit-learn", "demo", "the demo's data"),
    ("Pillow", "", "images"),
)
# A file of 544 bytes that doubles a float; tests/test_doctor.py tells how it was made.
DOUBLER = Path(__file__).with_name("doubler.tflite")
CHECK = """
import sys
import numpy as np
from ai_edge_litert.interpreter import Interpreter
net = Interpreter(sys.argv[1])
net.allocate_tensors()
taken, given = net.get_input_details()[0], net.get_output_details()[0]
net.set_tensor(taken["index"], np.full(taken["shape"], 21.0, np.float32))
net.invoke()
assert net.get_tensor(given["index"]).ravel()[0] == 42.0, "wrong answer"
"""


def app() -> typer.Typer:
    """Return the command."""
    return single(doctor)


def doctor(json: Json = False, debug: Debug = False) -> None:
    """Check what is installed, and say what is missing and the command that installs it.

    Exits with 1 if something that edgeshrink cannot do without is missing or does not work.
    """
    parts = [
        {"name": name, "version": _version(name), "extra": extra, "for": what}
        for name, extra, what in PARTS
    ]
    problem = litert_problem()
    missing = [part for part in parts if not part["version"]]
    advice = [install(part) for part in missing]
    well = not problem and all(part["extra"] for part in missing)
    if json:
        print_json(
            {
                "python": platform.python_version(),
                "platform": platform.platform(),
                "parts": parts,
                "litert_problem": problem,
                "install": advice,
                "well": well,
            }
        )
    else:
        _show(parts, problem, advice)
    if not well:
        raise typer.Exit(1)


def _version(distribution: str) -> str:
    try:
        return version(distribution)
    except PackageNotFoundError:
        return ""


def install(part: dict[str, Any]) -> str:
    """Return the command that installs a missing part."""
    wanted = f"edgeshrink[{part['extra']}]" if part["extra"] else "edgeshrink"
    return f'pip install "{wanted}"'


def litert_problem() -> str:
    """Run a tiny model, in a process of its own since it may crash; return what went wrong."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", CHECK, str(DOUBLER)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode < 0:
        return f"it was killed by signal {-done.returncode}"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"it exited {done.returncode}"])[-1]
    return ""


def _show(parts: list[dict[str, Any]], problem: str, advice: list[str]) -> None:
    from edgeshrink.cli.display.tables import Column, console, left, show, write

    to = console()
    own = {"name": "python", "version": platform.python_version(), "for": platform.platform()}
    rows = [own, {"name": "edgeshrink", "version": _version("edgeshrink"), "for": ""}, *parts]
    show(
        Column("part", [row["name"] for row in rows]),
        [
            left("version", [row["version"] or "missing" for row in rows]),
            left("", [row["for"] for row in rows]),
        ],
        to=to,
    )
    to.print()
    write(f"LiteRT does not work: {problem}" if problem else "LiteRT loads and runs.", to=to)
    for part, command in zip([p for p in parts if not p["version"]], advice, strict=True):
        write(f"{part['for']}: {command}", to=to, lead="– ")
