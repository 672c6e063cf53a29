"""Does the original help as a teacher? python benchmarks/teacher.py SHARED [METHOD …].

Each method trains with labels alone, with the original at temperature 1, and at 4 with a tenth of
labels: the same steps, epochs and seeds. Accuracy is of the test samples, which no step sees.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import described

RESULT = Path(__file__).parent / "results" / "teacher.json"
SEEDS = 2
COMMON = ("--epochs", "3", "--lr", "1e-3", "--batch-size", "128", "--preprocess", "scale=1/255")
METHODS: dict[str, tuple[str, ...]] = {
    "prune": ("--prune", "0.97"),
    "shrink": ("--shrink", "0.7"),
    "lowrank": ("--lowrank", "0.6"),
    "depthwise": ("--depthwise", "all"),
    "cluster": ("--cluster", "3"),
    "qat": ("--int4", "--int4-qat"),
}
TEACHERS: dict[str, tuple[str, ...]] = {
    "labels": ("--teacher", "none"),
    "original": ("--teacher", "original", "--temperature", "1", "--alpha", "0.5"),
    "softened": ("--teacher", "original", "--temperature", "4", "--alpha", "0.1"),
}


def main(shared: str = "../shared", *only: str) -> int:
    known = json.loads(RESULT.read_text())["results"] if RESULT.is_file() else []
    rows = {row["method"]: row for row in known}
    for name in only or METHODS:
        found = {
            teacher: [one(shared, (*METHODS[name], *flags), seed) for seed in range(SEEDS)]
            for teacher, flags in TEACHERS.items()
        }
        rows[name] = {
            "method": name,
            "flags": " ".join((*METHODS[name], *COMMON)),
            "mean": {teacher: statistics.fmean(values) for teacher, values in found.items()},
            "seeds": found,
        }
        document = {
            "command": "python benchmarks/teacher.py",
            "model": "mnist_lenet5",
            "teachers": {teacher: " ".join(flags) for teacher, flags in TEACHERS.items()},
            "machine": described(),
            "results": [rows[method] for method in METHODS if method in rows],
        }
        RESULT.write_text(json.dumps(document, indent=1) + "\n")
        print(name, rows[name]["mean"], flush=True)
    return 0


def one(shared: str, flags: tuple[str, ...], seed: int) -> float:
    """Run one command; return the accuracy of its result."""
    with tempfile.TemporaryDirectory() as folder:
        argv = ["edgeshrink", "compress", f"{shared}/models/mnist_lenet5.keras"]
        argv += ["--data", f"{shared}/data/mnist.npz", *COMMON, *flags, "--seed", str(seed)]
        argv += ["--rules", "smoke", "-o", str(Path(folder, "made.tflite")), "--json"]
        print("$", *argv, file=sys.stderr, flush=True)
        done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True)
    rows: list[dict[str, Any]] = json.loads(done.stdout)["ledger"]["rows"]
    return float(rows[-1]["scores"][0]["value"])


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
