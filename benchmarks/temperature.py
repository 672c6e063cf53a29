"""At which temperature does a student learn best? python benchmarks/temperature.py SHARED [CASE …].

Each case is one command, which trains the student at every temperature and share of labels from the
same start and in the same steps, and one more that trains it on labels alone. Scores are of the
validation samples, since they choose a default; no test sample takes part.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from command import ledger
from machine import described

RESULT = Path(__file__).parent / "results" / "temperature.json"
SWEPT = ("--distill-temperature", "1,2,4,8", "--distill-alpha", "0.1,0.5,0.9")
ALONE = ("--distill-teacher", "none")
SEEDS = 2
MNIST = ("--data", "mnist.npz", "--preprocess", "scale=1/255")
CIFAR = ("--data", "cifar10_40k.npz", "--epochs", "5", "--epoch-size", "10000", "--lr", "3e-3")
CASES: dict[str, tuple[str, ...]] = {
    "lenet5 to shah": (
        *("mnist_lenet5", "--distill", "models:student_shah", *MNIST),
        *("--epochs", "5", "--epoch-size", "20000", "--lr", "3e-3", "--batch-size", "128"),
    ),
    "lenet5 to a quarter": (
        *("mnist_lenet5", "--distill", "width=0.25", *MNIST),
        *("--epochs", "5", "--epoch-size", "20000", "--lr", "3e-3", "--batch-size", "128"),
    ),
    "spoken digits to half": (
        *("fsdd_dscnn", "--distill", "width=0.5", "--data", "fsdd_logmel.npz"),
        *("--epochs", "10", "--lr", "3e-3"),
    ),
    "resnet8 to half": (
        *("mlperf_resnet8_cifar10", "--distill", "width=0.5", *CIFAR, "--batch-size", "128"),
    ),
    "resnet8 to half, random": (
        *("mlperf_resnet8_cifar10", "--distill", "width=0.5", "--distill-init", "random"),
        *(*CIFAR, "--batch-size", "128"),
    ),
}


def main(shared: str = "../shared", *only: str) -> int:
    known = json.loads(RESULT.read_text())["results"] if RESULT.is_file() else []
    rows = {row["case"]: row for row in known}
    for case in only or CASES:
        seeds = []
        for seed in range(SEEDS):
            swept, alone = (facts(shared, case, flags, seed) for flags in (SWEPT, ALONE))
            trials = [
                {key: trial[key] for key in ("temperature", "alpha", "score")}
                for trial in swept["trials"]
            ]
            seeds.append({"alone": max(alone["curve"]), "trials": trials})
        rows[case] = {"case": case, "flags": " ".join(CASES[case]), "seeds": seeds}
        document = {
            "command": "python benchmarks/temperature.py",
            "swept": " ".join(SWEPT),
            "machine": described(),
            "results": [rows[name] for name in CASES if name in rows],
        }
        RESULT.write_text(json.dumps(document, indent=1) + "\n")
        print(case, json.dumps(rows[case]["seeds"]), flush=True)
    return 0


def facts(shared: str, case: str, flags: tuple[str, ...], seed: int) -> dict[str, Any]:
    """Run one command; return what the step found."""
    model, *rest = CASES[case]
    rest += [*flags, "--seed", str(seed), "--rules", "smoke"]
    with tempfile.TemporaryDirectory() as folder:
        rows = ledger(shared, model, rest, Path(folder, "made.tflite"))["rows"]
    (row,) = (row for row in rows if row["step"].startswith("distill"))
    found: dict[str, Any] = row["facts"]
    return found


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
