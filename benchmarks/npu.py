"""What compression gains on an NPU, by its compiler.

usage: python benchmarks/npu.py [SHARED]

Each command is run with its seeds, beside plain int8 for the same NPU. Accuracy is that of
LiteRT's reference kernels on all test samples; cycles are the compiler's estimate, bytes of weights
are counted in what it wrote. Three other models are compiled, or refused in words. Writes
benchmarks/results/npu.json after each run; one that is there is not run again, so that it goes on
where it was interrupted. Needs pip install "edgeshrink[ethosu]".
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from command import ledger
from defaults import answers
from machine import described

from edgeshrink.models import write_text
from edgeshrink.results import json_text
from edgeshrink.tflite import tflite_bytes

RESULT = Path(__file__).parent / "results" / "npu.json"
RESNET, CIFAR = "mlperf_resnet8_cifar10", ("--data", "cifar10_40k.npz")
SCALED = ("--prune", "0.77", "--cluster", "14", "--cluster-scope", "scaled")
# What is compared with plain int8: the NPU, flags, and seeds, the first of each first.
CASES = (
    ("ethos-u85-256", ("--prune", "0.5", "--prune-pattern", "2:4", "--int8"), (0, 1, 2)),
    (
        "ethos-u55-128",
        (*SCALED, "--int8", "--flip", "--shift", "4", "--teacher", "original"),
        (0, 1, 2),
    ),
    (
        "ethos-u55-128",
        ("--prune", "0.77", "--cluster", "16", "--cluster-scope", "scaled", "--int8", "--flip"),
        (0,),
    ),
    ("ethos-u55-128", ("--prune", "0.8", "--cluster", "16", "--int8"), (0,)),
)
OTHERS = {
    "mlperf_vww_mobilenetv1": ("--data-free",),
    "fsdd_lstm": ("--data", "fsdd_logmel.npz"),
    "fsdd_dscnn": ("--data", "fsdd_logmel.npz"),
}


def made(
    shared: str, model: str, flags: tuple[str, ...], device: str, base: np.ndarray | None = None
) -> dict[str, Any]:
    """Return what a command gives on an NPU: figures of its compiler, or why there are none.

    Args:
        shared: the folder with `models` and `data`.
        model: of the shared models.
        flags: of `compress`.
        device: a profile.
        base: which test samples the uncompressed model answers rightly, `(samples,)`, 0 or 1; None
            where nothing is scored.
    """
    with tempfile.TemporaryDirectory() as name:
        out = Path(name) / f"{model}.tflite"
        rows = ledger(shared, model, (*flags, "--device", device), out)["rows"]
        (there,) = rows[-1]["on"]
        found = {
            "flags": " ".join((*flags, "--device", device)),
            "refused": there["failure"],
            "estimate": there["estimate"],
            "training_seconds": sum(one["seconds"] for one in rows if one["kind"] == "keras"),
        }
        if base is not None:
            data = Path(shared, "data", CIFAR[1])
            right = answers(tflite_bytes(out), data, "none", reference=True)
            lost = base - right
            error = lost.std(ddof=1) / np.sqrt(len(lost))
            found |= {
                "accuracy": float(right.mean()),
                "samples": len(right),
                "points_lost": round(100 * float(lost.mean()), 2),
                "interval": [round(100 * float(lost.mean() + k * error), 2) for k in (-1.96, 1.96)],
            }
    return found


def base_right(shared: str) -> np.ndarray:
    """Return which test samples the Keras model answers rightly, `(samples,)`, 0 or 1."""
    import keras

    with np.load(Path(shared, "data", CIFAR[1])) as arrays:
        x, y = arrays["x_test"].astype("float32"), arrays["y_test"]
    model = keras.models.load_model(Path(shared, "models", f"{RESNET}.keras"), compile=False)
    return (model.predict(x, verbose=0).argmax(-1) == y).astype(float)


def main() -> None:
    shared = sys.argv[1] if len(sys.argv) > 1 else "../shared"
    known: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.is_file() else {"runs": {}}
    base = base_right(shared)
    runs: dict[str, tuple[str, tuple[str, ...], str, np.ndarray | None]] = {}
    for device in dict.fromkeys(device for device, _, _ in CASES):
        runs[f"{device}: int8"] = (RESNET, ("--int8", *CIFAR), device, base)
    for model, data in OTHERS.items():
        runs[f"ethos-u55-128: {model}"] = (model, ("--int8", *data), "ethos-u55-128", None)
    cases = [(seed, device, flags) for device, flags, seeds in CASES for seed in seeds]
    for seed, device, flags in sorted(cases, key=lambda case: case[0]):
        name = f"{device}: {' '.join(flags)} --seed {seed}"
        runs[name] = (RESNET, (*flags, "--seed", str(seed), *CIFAR), device, base)
    for name, asked in runs.items():
        if name not in known["runs"]:
            known["runs"][name] = made(shared, *asked)
            machine = described()
            machine["versions"]["ethos-u-vela"] = importlib.metadata.version("ethos-u-vela")
            known |= {"command": "python benchmarks/npu.py SHARED", "machine": machine}
            known |= {"base": float(base.mean())}
            write_text(RESULT, json_text(known) + "\n")
    for name, found in known["runs"].items():
        print(name, told(known["runs"], name, found))


def told(runs: dict[str, Any], name: str, found: dict[str, Any]) -> str:
    """Return a run in words, beside plain int8 for the same NPU."""
    if found["refused"]:
        return f"refused: {found['refused']}"
    here = found["estimate"]
    said = f"{here['cycles']:,} cycles by {here['by']}, {here['weight_bytes']:,} bytes of weights"
    if "accuracy" in found:
        plain = runs[f"{name.partition(':')[0]}: int8"]["estimate"]
        said += (
            f" ({here['cycles'] / plain['cycles'] - 1:+.1%} cycles, "
            f"weights / {plain['weight_bytes'] / here['weight_bytes']:.2f}), "
            f"{found['accuracy']:.1%} on {found['samples']:,} samples, lost "
            f"{found['points_lost']} points, {found['interval']}"
        )
    return said


if __name__ == "__main__":
    main()
