"""One run of `edgeshrink compress`, in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

STUDENTS = Path(__file__).parent / "papers"  # models.py is there, beside the studies


def ledger(shared: str, model: str, flags: Sequence[str], out: Path) -> dict[str, Any]:
    """Run a command as a user could type it; return the ledger of its report.

    Args:
        shared: the folder with `models` and `data`.
        model: the name of a model there.
        flags: of the command; data sets, words that end in .npz, are names in `data`, or paths.
        out: where the result goes.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    argv = ["edgeshrink", "compress", f"{shared}/models/{model}.keras"]
    argv += [str(Path(shared, "data", f)) if f.endswith(".npz") else f for f in flags]
    argv += ["-o", str(out), "--json", "--max-drop", "none"]
    print("$", *argv, file=sys.stderr, flush=True)
    places = os.pathsep.join(filter(None, [str(STUDENTS), os.getenv("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": places}
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found: dict[str, Any] = json.loads(done.stdout)["ledger"]
    return found
