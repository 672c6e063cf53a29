"""How does a student learn best? python benchmarks/temperature.py SHARED [CASE/ARM …].

Each case has an arm that trains the student on labels alone, and one for each way to follow its
teacher, which tries every temperature and share of labels: all from the same start, in the same
steps. Scores are of the validation samples, since they choose a default; no test sample takes part.
"""

from __future__ import annotations

import itertools
import json
import sys
import tempfile
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from command import ledger
from machine import described

RESULT = Path(__file__).parent / "results" / "temperature.json"
SWEPT = ("--distill-temperature", "1,2,4,8", "--distill-alpha", "0.1,0.5,0.9")
ARMS: dict[str, tuple[str, ...]] = {
    "alone": ("--distill-teacher", "none"),
    "kl": ("--distill-match", "kl", *SWEPT),
    "zscore": ("--distill-match", "zscore", *SWEPT),
}
SEEDS = {"resnet8 to half": 1}  # of the others two
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
}


def main(shared: str = "../shared", *only: str) -> int:
    known = json.loads(RESULT.read_text())["results"] if RESULT.is_file() else []
    rows = {(row["case"], row["arm"]): row for row in known}
    for place in itertools.product(CASES, ARMS):
        case, arm = place
        if only and not any(fnmatch("/".join(place), pattern) for pattern in only):
            continue
        flags = " ".join((*CASES[case], *ARMS[arm]))
        seeds = [trials(shared, case, arm, seed) for seed in range(SEEDS.get(case, 2))]
        rows[place] = {"case": case, "arm": arm, "flags": flags, "seeds": seeds}
        document = {
            "command": "python benchmarks/temperature.py",
            "machine": described(),
            "results": [rows[p] for p in itertools.product(CASES, ARMS) if p in rows],
        }
        RESULT.write_text(json.dumps(document, indent=1) + "\n")
        print(*place, json.dumps(seeds), flush=True)
    return 0


def trials(shared: str, case: str, arm: str, seed: int) -> list[dict[str, Any]]:
    """Run one command; return temperature, share of labels and score of each trial."""
    model, *rest = CASES[case]
    rest += [*ARMS[arm], "--seed", str(seed), "--rules", "smoke"]
    with tempfile.TemporaryDirectory() as folder:
        rows = ledger(shared, model, rest, Path(folder, "made.tflite"))["rows"]
    (found,) = (row["facts"] for row in rows if row["step"].startswith("distill"))
    if arm == "alone":
        return [{"score": max(found["curve"])}]
    return [{key: t[key] for key in ("temperature", "alpha", "score")} for t in found["trials"]]


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
