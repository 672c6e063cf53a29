"""CPU time of one search beside as many `compress` runs in fresh folders, of the same recipes.

    python benchmarks/shared_stages.py [--work FOLDER] [--out FILE]

Three sparsities, two numbers of clusters, five precisions, on scikit-learn's digits; `make demo`
makes the model. Each figure is written as it ends, and not measured again while it is there.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import machine

HERE = Path(__file__).parent
RESULTS = HERE / "results" / "shared_stages.json"
SPARSITIES, CLUSTERS = (0.5, 0.7, 0.9), (32, 8)
PRECISIONS = ("float", "fp16", "dynamic", "int8", "int16x8")
TRAINING = ("--epochs", "3", "--lr", "1e-3")
SPACE = """
[training]
epochs = 3
lr = 1e-3

[[step]]
method = "prune"
sparsity = [0.5, 0.7, 0.9]

[[step]]
method = "cluster"
clusters = [32, 8]
"""
IMPORTS = "import edgeshrink.engine.compressing, tensorflow, keras"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--work", type=Path, default=Path(__file__).parent / ".cache" / "shared_stages"
    )
    parser.add_argument("--demo", type=Path, default=Path("demo-out"), help="of `make demo`")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    found = json.loads(given.out.read_text()) if given.out.is_file() else {"cpu seconds": {}}
    seconds = found["cpu seconds"]

    def kept(name: str, *command: str) -> None:
        if name not in seconds:
            seconds[name] = cpu(*command)
            found["machine"] = machine.described()
            found["command"] = "python benchmarks/shared_stages.py"
            found["ratio"] = ratio(seconds)
            given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
            print(f"{name}: {seconds[name]:.1f} s", flush=True)

    model = str((given.demo / "digits.keras").resolve())
    common = ["--data", str((given.demo / "digits.npz").resolve()), "--preprocess", "scale=1/16"]
    common += ["--rules", "smoke", "--max-drop", "none", "--force"]
    kept("imports", sys.executable, "-c", IMPORTS)
    space = given.work / "space.toml"
    steps = "".join(f'\n[[step]]\nmethod = "{name}"\n' for name in PRECISIONS)
    space.write_text(SPACE + steps, encoding="utf-8")
    program = [sys.executable, "-m", "edgeshrink.cli"]
    result = str(given.work / f"search-{time.time_ns()}.tflite")
    search = ["--space", str(space), "--sampler", "grid", "-o", result]
    kept("search", *program, "search", model, *common, *search)
    for sparsity, clusters, precision in itertools.product(SPARSITIES, CLUSTERS, PRECISIONS):
        out = str(given.work / f"alone-{time.time_ns()}.tflite")
        flags = ["--prune", str(sparsity), "--cluster", str(clusters), f"--{precision}"]
        name = f"prune {sparsity}, cluster {clusters}, {precision}"
        kept(name, *program, "compress", model, *common, *flags, *TRAINING, "-o", out)


def cpu(*command: str) -> float:
    """Return the CPU seconds of a command and all that it starts."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, stdout=subprocess.DEVNULL, env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    )
    if done.returncode not in (0, 4):
        raise SystemExit(f"exit code {done.returncode}: {' '.join(command)}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 2)


def ratio(seconds: dict[str, float]) -> float | None:
    """Return the search's share of what the runs take that were made so far, as of all."""
    alone = [value for name, value in seconds.items() if name not in ("imports", "search")]
    if "search" not in seconds or not alone:
        return None
    count = len(SPARSITIES) * len(CLUSTERS) * len(PRECISIONS)
    return round(seconds["search"] / (sum(alone) / len(alone) * count), 4)


if __name__ == "__main__":
    main()
