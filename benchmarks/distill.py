"""Distil students of the reference models: python benchmarks/distill.py SHARED [ROUTE …].

Each route is commands a user could type, run for each seed in a process of its own: the student
taught, and the same student from the same start, on the same budget, trained on labels alone.
Accuracy is of the test samples, which no step sees.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from command import ledger
from machine import described

RESULT = Path(__file__).parent / "results" / "distill.json"
MNIST = ("--data", "mnist.npz", "--preprocess", "scale=1/255")
CIFAR = ("--data", "cifar10_40k.npz")
ALONE = ("--distill-teacher", "none")
HINTED = (
    *("--distill-hints", "auto", "--distill-hint-kind", "attention"),
    *("--distill-hint-weight", "0.1"),
)
HALF = (
    *("--distill", "width=0.5", "--epochs", "5", "--epoch-size", "10000", "--lr", "3e-3"),
    *("--batch-size", "128", *CIFAR),
)


@dataclass(frozen=True)
class Route:
    """One student, and what is wanted of it.

    Attributes:
        model: the teacher, of the shared models.
        flags: of `edgeshrink compress` that teach.
        budget: flags of both, the student taught and the student alone.
        seeds: how many, from 0; goals are on means.
        accuracy: the least of the student, or None.
        gain: the least, in points, over the student alone, or None.
        smaller: the least ratio of the teacher's float weights to the deflated file, or None.
        lost: the most, in points, that the file may be under the teacher, or None.
    """

    model: str
    flags: tuple[str, ...]
    budget: tuple[str, ...]
    seeds: int = 1
    accuracy: float | None = None
    gain: float | None = None
    smaller: float | None = None
    lost: float | None = None


ROUTES: dict[str, Route] = {
    "khan_chain": Route(
        "mnist_cnn155",
        ("--distill-match", "kl", "--distill-temperature", "5", "--int8"),
        ("--distill", "models:student_mnist", "--epochs", "6", "--lr", "3e-3", *MNIST),
        accuracy=0.98,
        smaller=250,
        lost=0.5,
    ),
    "lalwani_shallow": Route(
        "mnist_lenet5",
        ("--distill-match", "kl", "--distill-temperature", "1,2,5,10,20,30,40"),
        ("--distill", "models:shallow_mnist", "--epochs", "20", "--lr", "2e-3", *MNIST),
        accuracy=0.973,
    ),
    "resnet8_half": Route("mlperf_resnet8_cifar10", HINTED, HALF, seeds=3, gain=3),
    "resnet8_half_random": Route(
        "mlperf_resnet8_cifar10", HINTED, (*HALF, "--distill-init", "random"), seeds=3, gain=3
    ),
}


def main(shared: str = "../shared", *only: str) -> int:
    known = json.loads(RESULT.read_text())["results"] if RESULT.is_file() else []
    rows = {row["route"]: row for row in known}
    for name in only or ROUTES:
        route = ROUTES[name]
        seeds = []
        for seed in range(route.seeds):
            taught = one(shared, route, (*route.budget, *route.flags), seed)
            alone = one(shared, route, (*route.budget, *ALONE), seed)
            seeds.append({"seed": seed, "taught": taught, "alone": alone})
            rows[name] = judged(name, route, seeds)
            document = {
                "command": "python benchmarks/distill.py",
                "machine": described(),
                "results": [rows[route] for route in ROUTES if route in rows],
            }
            RESULT.write_text(json.dumps(document, indent=1) + "\n")
        print(json.dumps({k: v for k, v in rows[name].items() if k != "seeds"}), flush=True)
    return 0 if all(row["met"] for row in rows.values()) else 1


def one(shared: str, route: Route, flags: tuple[str, ...], seed: int) -> dict[str, Any]:
    """Run one command; return what its report says of the student and of its file."""
    with tempfile.TemporaryDirectory() as folder:
        given = (*flags, "--seed", str(seed))
        found = ledger(shared, route.model, given, Path(folder, "student.tflite"))
    rows = found["rows"]
    base, final = rows[0], rows[-1]
    student = next(row for row in rows if row["step"].startswith("distill"))
    print(f"{student['scores'][0]['value']:.2%}", file=sys.stderr, flush=True)
    return {
        "parameters": [base["parameters"], student["parameters"]],
        "teacher": base["scores"][0]["value"],
        "accuracy": student["scores"][0]["value"],
        "file_accuracy": final["scores"][0]["value"],
        "deflated_bytes": final["compressed_bytes"],
        "smaller": 4 * base["parameters"] / final["compressed_bytes"],
        "curve": student["facts"]["curve"],
        "trials": student["facts"].get("trials"),
        "seconds": student["seconds"],
    }


def judged(name: str, route: Route, seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the means of a route's seeds beside its goals."""
    taught, alone, file, teacher = (
        statistics.fmean(seed[who][what] for seed in seeds)
        for who, what in (
            *(("taught", "accuracy"), ("alone", "accuracy")),
            *(("taught", "file_accuracy"), ("taught", "teacher")),
        )
    )
    smaller = min(seed["taught"]["smaller"] for seed in seeds)
    met = (
        (route.accuracy is None or taught >= route.accuracy)
        and (route.gain is None or 100 * (taught - alone) >= route.gain)
        and (route.smaller is None or smaller >= route.smaller)
        and (route.lost is None or 100 * (teacher - file) <= route.lost)
        and len(seeds) == route.seeds
    )
    flags = " ".join((*route.budget, *route.flags))
    return {
        "route": name,
        "command": f"edgeshrink compress {route.model}.keras {flags} --seed SEED",
        "alone": " ".join(ALONE),
        "parameters": seeds[0]["taught"]["parameters"],
        "teacher": teacher,
        "accuracy": taught,
        "accuracy_alone": alone,
        "gain_points": 100 * (taught - alone),
        "file_accuracy": file,
        "smaller": smaller,
        "goal": {
            "accuracy": route.accuracy,
            "gain": route.gain,
            "smaller": route.smaller,
            "lost": route.lost,
        },
        "met": met,
        "seeds": seeds,
    }


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
