"""Fronts that a search finds, beside recipes that were made by hand for the same models.

    python benchmarks/fronts.py SHARED [CASE …] [--work FOLDER] [--minutes 60]
        [--program EDGESHRINK]

Each recipe by hand is run once, then `edgeshrink search` for so many minutes; both go on where they
were ended, and each part is written to results/fronts.json as it ends. The search chooses on
validation samples. Here the files of its front and those made by hand answer the same test samples,
and take turns in being timed. A recipe by hand lies outside the front where no file of it is at
most as large and as slow, and loses no more than one paired standard error against it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from command import ledger
from defaults import answers, right_of, written
from machine import described
from shrink import median_us, opened

from edgeshrink.tflite import tflite_bytes

RESULT = Path(__file__).parent / "results" / "fronts.json"
TURNS = 40
MNIST = ("--data", "mnist.npz", "--preprocess", "scale=1/255")
CIFAR = ("--data", "cifar10_40k.npz", "--preprocess", "none")
TAUGHT = ("--teacher", "original", "--temperature", "4", "--alpha", "0", "--shift", "4", "--flip")


@dataclass(frozen=True)
class Case:
    """A model, what is searched, and what was made by hand.

    Attributes:
        model: of the shared models.
        data: flags that name it.
        search: further flags of the search.
        hand: flags of `compress`, by name.
        suffix: of the files.
        plain: of `hand`, beside which times are told; empty where none are.
        space: what may be tried, in TOML; empty for what the methods say.
    """

    model: str
    data: tuple[str, ...]
    search: tuple[str, ...]
    hand: dict[str, tuple[str, ...]]
    suffix: str = ".tflite"
    plain: str = ""
    space: str = ""


CASES = {
    "resnet8": Case(
        "mlperf_resnet8_cifar10",
        CIFAR,
        ("--max-drop", "5", "--flip", "--shift", "4"),
        {
            "float": ("--float",),
            "dynamic": ("--dynamic",),
            "int8": ("--int8",),
            "int8, ranges of least squared error": ("--int8", "--int8-ranges", "mse"),
            "int8 trained": (
                *("--int8", "--int8-qat", "--lr", "1e-5", "--epochs", "1"),
                *("--teacher", "only", "--shift", "4"),
            ),
            "int4": ("--int4",),
            "shrunk by half": ("--shrink", "0.5", "--shrink-target", "macs", "--int8"),
            "a branch dropped": (
                *("--drop-layers", "1", "--drop-layers-of", "add", "--drop-layers-epochs", "0"),
                *("--shrink", "0.2", "--shrink-target", "macs", "--shrink-layers", "conv2d_3"),
                *("--shrink-criterion", "l2", *TAUGHT, "--epochs", "45", "--lr", "3e-3"),
                *("--batch-size", "128", "--int8"),
            ),
        },
        plain="int8",
    ),
    "lenet5": Case(
        "mnist_lenet5_caffe",
        MNIST,
        ("--max-drop", "0.5", "--goals", "bytes"),
        {
            "0.92, int8": ("--prune", "0.92", "--int8", "--pack"),
            "0.975, 16 values": ("--prune", "0.975", "--cluster", "16", "--int8", "--pack"),
            "0.985, 8 values": ("--prune", "0.985", "--cluster", "8", "--int8", "--pack"),
            "deep compression": ("--recipe", "examples/recipes/deep-compression-caffe.toml"),
        },
        suffix=".esz",
    ),
}


@dataclass
class Results:
    """What is known of a case so far; written as it grows."""

    case: str
    found: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
        self.found = {"hand": {}, **known.get("cases", {}).get(self.case, {})}

    def keep(self, **more: Any) -> None:
        self.found |= more
        document = json.loads(RESULT.read_text()) if RESULT.is_file() else {"cases": {}}
        document["command"] = "python benchmarks/fronts.py SHARED"
        document["machine"] = described()
        document["cases"][self.case] = self.found
        RESULT.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("shared", type=Path)
    parser.add_argument("cases", nargs="*", default=list(CASES))
    parser.add_argument("--work", type=Path, default=Path(__file__).parent / ".cache" / "fronts")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--program", default="edgeshrink")
    given = parser.parse_args()
    for name in given.cases:
        case, results, work = CASES[name], Results(name), given.work / name
        (work / "hand").mkdir(parents=True, exist_ok=True)
        search(given, case, results, work)
        for made in case.hand:
            by_hand(given.shared, case, made, results, work)
        judge(given.shared, case, results, work)
        print(json.dumps({k: results.found[k] for k in ("told", "outside")}, indent=1))
    return 0


def by_hand(shared: Path, case: Case, name: str, results: Results, work: Path) -> None:
    """Run a recipe by hand, and write down what came out."""
    out = work / "hand" / f"{list(case.hand).index(name)}{case.suffix}"
    if name in results.found["hand"] and out.is_file():
        return
    flags = (*case.hand[name], *case.data, "--force")
    started = time.perf_counter()
    rows = ledger(str(shared), case.model, flags, out)["rows"]
    row = {
        "flags": " ".join(case.hand[name]),
        "seconds": round(time.perf_counter() - started),
        "training seconds": round(sum(one["seconds"] for one in rows if one["kind"] == "keras")),
        **told(shared, case, out),
    }
    results.keep(hand={**results.found["hand"], name: row})
    print(name, {k: v for k, v in row.items() if k != "right"}, flush=True)


def told(shared: Path, case: Case, file: Path) -> dict[str, Any]:
    """Return bytes of a file, its score on the test samples, and which it answers rightly."""
    scale = case.data[case.data.index("--preprocess") + 1]
    right = answers(tflite_bytes(file), shared / "data" / case.data[1], scale)
    return {
        "bytes": file.stat().st_size,
        "accuracy": float(right.mean()),
        "samples": len(right),
        "right": written(right),
    }


def search(given: argparse.Namespace, case: Case, results: Results, work: Path) -> None:
    """Search for as long as was given, less what earlier runs took, and write down the front."""
    left = given.minutes - results.found.get("minutes", 0)
    if left <= 0:
        return
    out = work / f"found{case.suffix}"
    data = [f"{given.shared}/data/{f}" if f.endswith(".npz") else f for f in case.data]
    argv = [given.program, "search", f"{given.shared}/models/{case.model}.keras", *data]
    argv += [*case.search, "--time", f"{max(1, round(left))}m", "-o", str(out), "--json"]
    if case.space:
        (work / "space.toml").write_text(case.space)
        argv += ["--space", str(work / "space.toml")]
    print("$", *argv, file=sys.stderr, flush=True)
    started = time.perf_counter()
    done = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)
    took = (time.perf_counter() - started) / 60
    if done.returncode not in (0, 4):
        raise SystemExit(done.returncode)
    found = json.loads(done.stdout)
    front = [trial for trial in found["trials"] if trial["on_front"]]
    folder = out.with_suffix(".search")
    results.keep(
        command=" ".join(["edgeshrink", *argv[1:]]).replace(str(given.shared), "SHARED"),
        minutes=round(results.found.get("minutes", 0) + took, 1),
        recipes=found["size"],
        trials=len(found["trials"]),
        base=found["base"]["value"],
        front=[
            {
                "steps": ", ".join(s for s in one["steps"].values() if s != "none"),
                "effort": one["effort"],
                "validation": one["score"]["value"],
                "file": os.path.relpath(folder / one["file"], work),
                **told(given.shared, case, folder / one["file"]),
            }
            for one in front
        ],
    )


def judge(shared: Path, case: Case, results: Results, work: Path) -> None:
    """Time files in turns, and write down which recipes by hand lie outside the front."""
    hand, front = results.found["hand"], results.found["front"]
    if case.plain:
        files = [work / "hand" / f"{k}.tflite" for k in range(len(case.hand))]
        files += [work / one["file"] for one in front]
        interpreters = [opened(path) for path in files]
        for interpreter in interpreters:
            median_us(interpreter)
        turns = np.array([[median_us(one) for one in interpreters] for _ in range(TURNS)])
        plain = turns[:, list(case.hand).index(case.plain)]
        for row, times in zip((*(hand[n] for n in case.hand), *front), turns.T, strict=True):
            ratios = times / plain
            row["us"] = round(statistics.median(times), 2)
            row["of plain"] = round(statistics.median(ratios), 4)
            row["of plain, error"] = round(float(ratios.std(ddof=1) / np.sqrt(TURNS)), 4)
    outside = {name: beyond(hand[name], front) for name in case.hand}
    results.keep(
        hand=hand,
        front=front,
        outside={name: said for name, said in outside.items() if said},
        told={
            "training seconds by hand": sum(row["training seconds"] for row in hand.values()),
            "minutes of search": results.found["minutes"],
            "by hand": len(hand),
            "outside": sum(map(bool, outside.values())),
        },
    )


def beyond(one: dict[str, Any], front: list[dict[str, Any]]) -> str:
    """Return how far a recipe by hand lies outside a front, or nothing where it does not."""
    least = None
    for other in front:
        slack = one.get("of plain, error", 0) + other.get("of plain, error", 0)
        slower = other.get("of plain", 0) > one.get("of plain", 0) + slack
        if other["bytes"] > one["bytes"] or slower:
            continue
        lost = right_of(one) - right_of(other)
        error = lost.std(ddof=1) / np.sqrt(len(lost))
        ahead = (100 * lost.mean(), 100 * error, other["steps"])
        least = min(least or ahead, ahead)
    if least is None:
        return "no file of the front is at most as large and as slow"
    return "" if least[0] <= least[1] else f"{least[0]:.2f} ± {least[1]:.2f} points over {least[2]}"


if __name__ == "__main__":
    raise SystemExit(main())
