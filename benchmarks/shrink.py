"""Shrink the reference models for real, and measure the files: python benchmarks/shrink.py SHARED.

Each route is one command a user could type, run for each seed in a process of its own. Accuracy is
of the test samples, which no step sees; latency is measured in pairs, the shrunk int8 file and the
unshrunk one taking turns.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import count, repeat
from pathlib import Path
from typing import Any

from command import ledger
from machine import described

RESULT = Path(__file__).parent / "results" / "shrink.json"
MNIST = ("--data", "mnist.npz", "--preprocess", "scale=1/255")
CIFAR = ("--data", "cifar10_40k.npz")
SPOKEN = ("--data", "fsdd_logmel.npz")
DISTILLED = ("--epochs", "12", "--lr", "2e-3", "--teacher", "original")
TURNS, RUNS = 40, 100
AT_ONCE = 3  # seeds that train side by side


@dataclass(frozen=True)
class Route:
    """One command, and what is wanted of it.

    Attributes:
        model: of the shared models.
        flags: of `edgeshrink compress`, data files by name.
        seeds: how many, from 0; goals are on their mean.
        parameters: the most, or None.
        accuracy: the least, or None.
        macs: the most, as a share of those before, or None.
        errors: the most that test errors may grow by, or None.
    """

    model: str
    flags: tuple[str, ...]
    seeds: int = 1
    parameters: int | None = None
    accuracy: float | None = None
    macs: float | None = None
    errors: int | None = None


ROUTES: dict[str, Route] = {
    "resnet8": Route(
        "mlperf_resnet8_cifar10",
        (
            *("--drop-layers", "1", "--drop-layers-of", "add", "--drop-layers-epochs", "0"),
            *("--shrink", "0.2", "--shrink-target", "macs", "--shrink-layers", "conv2d_3"),
            *("--shrink-criterion", "l2", "--shift", "4", "--flip"),
            *("--epochs", "45", "--lr", "3e-3", "--batch-size", "128"),
            *("--teacher", "original", "--temperature", "4", "--alpha", "0", "--int8", *CIFAR),
        ),
        seeds=3,
        accuracy=0.865,
        macs=0.5,
    ),
    "lenet300": Route(
        "mnist_lenet300",
        (
            *("--shrink", "0.82", "--shrink-target", "parameters", "--shift", "1"),
            *("--epochs", "16", "--lr", "3e-3", "--teacher", "original", "--int8", *MNIST),
        ),
        parameters=48_530,
        accuracy=0.98,
    ),
    "lenet5": Route(
        "mnist_lenet5",
        ("--shrink", "0.9702", "--shrink-target", "parameters", *DISTILLED, "--int8", *MNIST),
        parameters=1_843,
        accuracy=0.9425,
    ),
    "cnn155": Route(
        "mnist_cnn155",
        ("--shrink", "0.9", "--shrink-target", "parameters", *DISTILLED, "--int8", *MNIST),
        parameters=155_195,
        accuracy=0.988,
    ),
    "fsdd_lstm": Route(
        "fsdd_lstm",
        ("--shrink", "0.5", "--shrink-target", "parameters", *DISTILLED, "--int8", *SPOKEN),
        parameters=12_741,
        errors=3,
    ),
    "fsdd_gru": Route(
        "fsdd_gru",
        ("--shrink", "0.5", "--shrink-target", "parameters", *DISTILLED, "--int8", *SPOKEN),
        parameters=13_205,
        errors=3,
    ),
}


def main(shared: str = "../shared", *only: str) -> int:
    known = json.loads(RESULT.read_text())["results"] if RESULT.is_file() else []
    rows = {row["route"]: row for row in known}
    for name in only or ROUTES:
        route = ROUTES[name]
        with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(AT_ONCE) as pool:
            outs = [Path(folder, f"seed{seed}.tflite") for seed in range(route.seeds)]
            seeds = list(pool.map(one, repeat(shared), repeat(route), count(), outs))
            for seed, out in zip(seeds, outs, strict=True):  # when nothing else is at work
                seed["latency_ratio"] = latency_ratio(shared, route, out)
        rows[name] = judged(name, route, seeds)
        document = {
            "command": "python benchmarks/shrink.py",
            "machine": described(),
            "results": [rows[route] for route in ROUTES if route in rows],
        }
        RESULT.write_text(json.dumps(document, indent=1) + "\n")
        print(json.dumps({k: v for k, v in rows[name].items() if k != "seeds"}), flush=True)
    return 0 if all(row["met"] for row in rows.values()) else 1


def one(shared: str, route: Route, seed: int, out: Path) -> dict[str, Any]:
    """Run one command; return what its report says of the shrunk model and of its int8 file."""
    rows = ledger(shared, route.model, (*route.flags, "--seed", str(seed)), out)["rows"]
    base, final = rows[0], rows[-1]
    small = next(row for row in reversed(rows) if row["step"].startswith("shrink"))
    print(f"{small['scores'][0]['value']:.2%}", small["notes"][0], file=sys.stderr, flush=True)
    return {
        "seed": seed,
        "parameters": [base["parameters"], small["parameters"]],
        "macs": [base["macs"], small["macs"]],
        "samples": base["scores"][0]["count"],
        "accuracy": [base["scores"][0]["value"], small["scores"][0]["value"]],
        "int8_accuracy": final["scores"][0]["value"],
        "int8_bytes": final["size_bytes"],
        "notes": small["notes"],
    }


def latency_ratio(shared: str, route: Route, small: Path) -> dict[str, Any]:
    """Time the shrunk int8 file and the unshrunk one in turns; return the median of ratios."""
    with tempfile.TemporaryDirectory() as folder:
        whole = Path(folder, "whole.tflite")
        data = route.flags[route.flags.index("--data") :]
        ledger(shared, route.model, ("--int8", *data), whole)
        interpreters = [opened(path) for path in (whole, small)]
        for interpreter in interpreters:
            median_us(interpreter)
        pairs = [[median_us(one) for one in interpreters] for _ in range(TURNS)]
    ratios = sorted(after / before for before, after in pairs)
    return {
        "median": statistics.median(ratios),
        "quartiles": [ratios[len(ratios) // 4], ratios[-len(ratios) // 4]],
        "median_us": [statistics.median(side) for side in zip(*pairs, strict=True)],
        "turns": TURNS,
    }


def opened(path: Path) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(path), num_threads=1)
    interpreter.allocate_tensors()
    return interpreter


def median_us(interpreter: Any) -> float:
    times = []
    for _ in range(RUNS):
        started = time.perf_counter_ns()
        interpreter.invoke()
        times.append((time.perf_counter_ns() - started) / 1000)
    return statistics.median(times)


def judged(name: str, route: Route, seeds: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the means of a route's seeds beside its goals."""
    accuracy = statistics.fmean(seed["accuracy"][1] for seed in seeds)
    parameters = max(seed["parameters"][1] for seed in seeds)
    more = max(
        round((seed["accuracy"][0] - seed["accuracy"][1]) * seed["samples"]) for seed in seeds
    )
    macs = max(seed["macs"][1] / seed["macs"][0] for seed in seeds)
    met = (
        (route.parameters is None or parameters <= route.parameters)
        and (route.accuracy is None or accuracy >= route.accuracy)
        and (route.macs is None or macs <= route.macs)
        and len(seeds) == route.seeds
        and (route.errors is None or more <= route.errors)
    )
    return {
        "route": name,
        "command": f"edgeshrink compress {route.model}.keras {' '.join(route.flags)} --seed SEED",
        "accuracy": accuracy,
        "int8_accuracy": statistics.fmean(seed["int8_accuracy"] for seed in seeds),
        "parameters": parameters,
        "macs": max(seed["macs"][1] for seed in seeds),
        "more_errors": more,
        "latency_ratio": statistics.fmean(seed["latency_ratio"]["median"] for seed in seeds),
        "goal": {
            "parameters": route.parameters,
            "accuracy": route.accuracy,
            "macs": route.macs,
            "errors": route.errors,
        },
        "met": met,
        "seeds": seeds,
    }


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
