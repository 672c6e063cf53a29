"""Hypervolume that two workers of one search reach, beside one worker, in as many trials.

    python benchmarks/two_workers.py [--work FOLDER] [--out FILE]

60 recipes on scikit-learn's digits, of which `guided` measures 12; `make demo` makes the model. Two
workers are two processes on one SQLite file. Each search is written as it ends, and is not made
again while it is there.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import machine
import numpy as np
import optuna

from edgeshrink.engine.searching.front import hypervolume

RESULTS = Path(__file__).parent / "results" / "two_workers.json"
GOAL, TRIALS, SEEDS, POINTS = 0.95, 12, (0, 1), 10  # points of accuracy that may be lost
SPACE = """
[training]
epochs = 1
lr = 1e-3

[[step]]
method = "prune"
optional = true
sparsity = [0.5, 0.7, 0.8, 0.9, 0.95]

[[step]]
method = "cluster"
optional = true
clusters = [64, 32, 16, 8]

[[step]]
method = "int8"

[[step]]
method = "fp16"

[[step]]
method = "pack"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path("two-workers-work"))
    parser.add_argument("--demo", type=Path, default=Path("demo-out"), help="of `make demo`")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    found: dict[str, Any] = {"searches": {}}
    if given.out.is_file():
        found = json.loads(given.out.read_text(encoding="utf-8"))
    for seed in SEEDS:
        for workers in (1, 2):
            name = f"{workers} workers, seed {seed}" if workers > 1 else f"1 worker, seed {seed}"
            if name in found["searches"]:
                continue
            found["searches"][name] = reached(given.work, given.demo, seed, workers)
            found |= {
                "command": "python benchmarks/two_workers.py",
                "machine": machine.described(),
                "optuna": optuna.__version__,
                "trials": TRIALS,
                "goal": GOAL,
                "ratio by seed, after each trial": ratios(found["searches"]),
            }
            found["ratio"] = min((r[-1] for r in ratios(found["searches"]).values()), default=None)
            given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(f"{name}: {found['searches'][name]}", flush=True)
    print(f"two workers over one after {TRIALS} trials, the lesser of the seeds: {found['ratio']}")


def reached(work: Path, demo: Path, seed: int, workers: int) -> dict[str, Any]:
    """Search, and return what was reached, and in how many seconds."""
    folder = work / f"{workers}-{seed}-{time.time_ns()}"
    folder.mkdir()
    (folder / "space.toml").write_text(SPACE, encoding="utf-8")
    storage, out = folder / "trials.sqlite", folder / "digits.esz"
    argv = [sys.executable, "-m", "edgeshrink.cli", "search", str(demo.resolve() / "digits.keras")]
    argv += ["--data", str(demo.resolve() / "digits.npz"), "--preprocess", "scale=1/16"]
    argv += ["--space", str(folder / "space.toml"), "--storage", f"sqlite:///{storage.resolve()}"]
    argv += ["--trials", str(TRIALS), "--goals", "bytes", "--max-drop", str(POINTS)]
    argv += ["--seed", str(seed), "--rules", "smoke", "-o", str(out)]
    started = time.monotonic()
    processes = [begun(argv, folder / "first.log")]
    if workers > 1:
        while not is_there(storage):
            if processes[0].poll() is not None:
                raise SystemExit((folder / "first.log").read_text())
            time.sleep(0.1)
        processes += [
            begun([*argv, "--worker"], folder / f"{number}.log") for number in range(1, workers)
        ]
    if any(process.wait() for process in processes):
        raise SystemExit(f"a search failed: {folder}")
    return told(folder) | {"seconds": round(time.monotonic() - started, 1)}


def told(folder: Path) -> dict[str, Any]:
    """Return what a search has reached: its report is in a folder."""
    out = folder / "digits.esz"
    report = json.loads(out.with_suffix(".search.json").read_text(encoding="utf-8"))
    measured = [trial for trial in report["trials"] if trial["outcome"] == "measured"]
    values = [(one["score"]["value"], -math.log(one["values"]["bytes"])) for one in measured]
    reference = (report["base"]["value"] - POINTS / 100, -math.log(report["before"]["bytes"]))
    return {
        "trials": len(measured),
        "recipes": len({json.dumps(trial["steps"]) for trial in measured}),
        "by the second": helped(folder),
        "hypervolume after each trial": [
            round(float(hypervolume(np.array(values[: k + 1]), reference)), 5)
            for k in range(len(values))
        ],
    }


def begun(argv: Sequence[str], log: Path) -> subprocess.Popen[bytes]:
    """Return a process that has begun; what it says goes to a log."""
    with log.open("wb") as stream:
        environ = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        return subprocess.Popen(argv, stdout=stream, stderr=stream, env=environ)


def is_there(storage: Path) -> bool:
    """Return whether a search is kept in a file by now."""
    try:
        with sqlite3.connect(storage) as kept:
            return bool(kept.execute("SELECT count(*) FROM trials").fetchone()[0])
    except sqlite3.OperationalError:
        return False


def helped(folder: Path) -> int:
    """Return how many trials the second worker has told of."""
    log = folder / "1.log"
    text = log.read_text(encoding="utf-8") if log.is_file() else ""
    return sum(line.startswith("[") for line in text.splitlines())


def ratios(searches: dict[str, dict[str, Any]]) -> dict[str, list[float]]:
    """Return two workers' hypervolume over one's, after each trial, by seed."""
    found = {}
    for seed in SEEDS:
        one, two = searches.get(f"1 worker, seed {seed}"), searches.get(f"2 workers, seed {seed}")
        if one and two:
            curves = (s["hypervolume after each trial"] for s in (two, one))
            found[str(seed)] = [round(b / a if a else 1.0, 4) for b, a in zip(*curves, strict=True)]
    return found


if __name__ == "__main__":
    main()
