"""Does the original help as a teacher? python benchmarks/teacher.py SHARED [MODEL/METHOD …].

Each method trains with labels alone, with the original at temperature 1, and at 4 with a tenth of
labels: the same steps, epochs and seeds. Accuracy is of the test samples, which no step sees.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path

from command import ledger
from machine import described

RESULT = Path(__file__).parent / "results" / "teacher.json"
SEEDS = 2
LENET, RESNET = "mnist_lenet5", "mlperf_resnet8_cifar10"
COMMON: dict[str, tuple[str, ...]] = {
    LENET: ("--epochs", "3", "--lr", "1e-3", "--batch-size", "128", "--preprocess", "scale=1/255"),
    RESNET: ("--epochs", "3", "--epoch-size", "10000", "--lr", "1e-3", "--batch-size", "128"),
}
DATA = {LENET: "mnist.npz", RESNET: "cifar10_40k.npz"}
METHODS: dict[tuple[str, str], tuple[str, ...]] = {
    (LENET, "prune"): ("--prune", "0.97"),
    (LENET, "shrink"): ("--shrink", "0.7"),
    (LENET, "lowrank"): ("--lowrank", "0.6"),
    (LENET, "depthwise"): ("--depthwise", "all"),
    (LENET, "cluster"): ("--cluster", "3"),
    (LENET, "qat"): ("--int4", "--int4-qat"),
    (RESNET, "prune"): ("--prune", "0.9"),
    (RESNET, "shrink"): ("--shrink", "0.5"),
    (RESNET, "lowrank"): ("--lowrank", "0.4"),
    (RESNET, "depthwise"): ("--depthwise", "all"),
    (RESNET, "cluster"): ("--cluster", "16"),
    (RESNET, "qat"): ("--int4", "--int4-qat"),
}
TEACHERS: dict[str, tuple[str, ...]] = {
    "labels": ("--teacher", "none"),
    "original": ("--teacher", "original", "--temperature", "1", "--alpha", "0.5"),
    "softened": ("--teacher", "original", "--temperature", "4", "--alpha", "0.1"),
}


def main(shared: str = "../shared", *only: str) -> int:
    known = json.loads(RESULT.read_text())["results"] if RESULT.is_file() else []
    rows = {(row["model"], row["method"]): row for row in known}
    for case in METHODS:
        model, name = case
        if only and not any(fnmatch("/".join(case), pattern) for pattern in only):
            continue
        flags = (*COMMON[model], *METHODS[case])
        found = {
            teacher: [one(shared, model, (*flags, *taught), seed) for seed in range(SEEDS)]
            for teacher, taught in TEACHERS.items()
        }
        rows[case] = {
            "model": model,
            "method": name,
            "flags": " ".join(flags),
            "mean": {teacher: statistics.fmean(values) for teacher, values in found.items()},
            "seeds": found,
        }
        document = {
            "command": "python benchmarks/teacher.py",
            "teachers": {teacher: " ".join(taught) for teacher, taught in TEACHERS.items()},
            "machine": described(),
            "results": [rows[case] for case in METHODS if case in rows],
        }
        RESULT.write_text(json.dumps(document, indent=1) + "\n")
        print(*case, rows[case]["mean"], flush=True)
    return 0


def one(shared: str, model: str, flags: tuple[str, ...], seed: int) -> float:
    """Run one command; return the accuracy of its result."""
    given = ("--data", DATA[model], *flags, "--seed", str(seed), "--rules", "smoke")
    with tempfile.TemporaryDirectory() as folder:
        rows = ledger(shared, model, given, Path(folder, "made.tflite"))["rows"]
    return float(rows[-1]["scores"][0]["value"])


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
