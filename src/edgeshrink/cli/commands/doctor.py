"""The command `doctor`."""

from __future__ import annotations

import importlib.metadata
import platform
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import typer

from edgeshrink.cli.shared import Debug, Json, print_json, registry, single
from edgeshrink.cli.untested import untested
from edgeshrink.part import version_of

# A file of 544 bytes that doubles a float; tests/test_doctor.py tells how it was made.
DOUBLER = Path(__file__).with_name("doubler.tflite")
REPAIR = "pip install edgeshrink"
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
    """Check what is installed; say what each optional part is for, and how to get it.

    Exits with 1 if something that edgeshrink cannot do without is missing or does not work.
    """
    needed = [
        {"name": name, "version": version_of(name), "needed": True, "for": "", "install": REPAIR}
        for name in needed_packages()
    ]
    optional = [
        {
            "name": part.name,
            "version": part.version(),
            "needed": False,
            "for": part.purpose,
            "install": part.install,
        }
        for part in registry().parts
    ]
    problem = litert_problem()
    well = not problem and all(part["version"] for part in needed)
    if json:
        print_json(
            {
                "python": platform.python_version(),
                "platform": platform.platform(),
                "parts": [*needed, *optional],
                "litert_problem": problem,
                "untested": untested(),
                "well": well,
            }
        )
    else:
        _show(needed, optional, problem)
    if not well:
        raise typer.Exit(1)


def needed_packages() -> list[str]:
    """Return the distributions that edgeshrink cannot do without, as its own metadata has them."""
    lines = importlib.metadata.requires("edgeshrink") or ()
    return [re.split(r"[^\w.-]", line)[0] for line in lines if "extra ==" not in line]


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


def _show(needed: list[dict[str, Any]], optional: list[dict[str, Any]], problem: str) -> None:
    from edgeshrink.cli.display.tables import Column, console, left, show, write

    to = console()
    own = [
        {"name": "python", "version": platform.python_version(), "for": platform.platform()},
        {"name": "edgeshrink", "version": version_of("edgeshrink"), "for": ""},
    ]
    for head, rows in (("part", [*own, *needed]), ("optional part", optional)):
        show(
            Column(head, [row["name"] for row in rows]),
            [
                left("version", [row["version"] or "missing" for row in rows]),
                left("", [row["for"] for row in rows]),
            ],
            to=to,
        )
        to.print()
    write(f"LiteRT does not work: {problem}" if problem else "LiteRT loads and runs.", to=to)
    for sentence in untested():
        write(sentence, to=to, lead="– ")
    for part in (*needed, *optional):
        if not part["version"]:
            what = part["for"] or "edgeshrink does not work without it"
            write(f"{part['name']} ({what}): {part['install']}", to=to, lead="– ")
