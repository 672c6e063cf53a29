"""What 10,000 CIFAR-10 images cost in memory: the same command with few images and with many.

usage: python benchmarks/memory.py [SHARED]

Writes benchmarks/results/memory.json: peak resident memory of the largest process.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from machine import described

RESULTS = Path(__file__).parent / "results"
FLAGS = ("--prune", "0.5", "--epochs", "1", "--int8", "--rules", "smoke", "--json")
LIMIT_MB = 300


def peak_mb(model: Path, images: np.ndarray, labels: np.ndarray, count: int) -> float:
    """Return peak megabytes of a run with `count` training and as many test images."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "images.npz")
        np.savez(
            data,
            x_train=images[:count],
            y_train=labels[:count],
            x_test=images[-count:],
            y_test=labels[-count:],
        )
        argv = ["edgeshrink", "compress", str(model), *FLAGS, "--data", str(data)]
        with subprocess.Popen(
            [*argv, "-o", f"{folder}/out.tflite"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ) as process:
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"{' '.join(argv)} ended with exit code {process.returncode}")
        return usage.ru_maxrss / 1024


def main(shared: Path) -> int:
    """Measure both; return 1 if the images cost more than the limit."""
    model = shared / "models" / "mlperf_resnet8_cifar10.keras"
    with np.load(shared / "data" / "cifar10_40k.npz") as data:
        images, labels = data["x_train"], data["y_train"]
    few, many = (peak_mb(model, images, labels, count) for count in (500, 10_000))
    document = {
        "command": "python benchmarks/memory.py",
        "flags": " ".join(FLAGS),
        "machine": described(),
        "peak_mb": {"500 + 500 images": few, "10,000 + 10,000 images": many},
        "difference_mb": many - few,
        "limit_mb": LIMIT_MB,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "memory.json").write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document["peak_mb"]), f"{many - few:.0f} MB for the images")
    return 0 if many - few <= LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared")))
