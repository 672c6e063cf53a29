"""Flash and RAM of a microcontroller met by look-up tables, run in TensorFlow Lite Micro.

usage: python benchmarks/tflm_budgets.py [SHARED]

Each model of SHARED/models is compressed twice: to plain int8, and with shared values and --lut for
a board whose flash and RAM plain int8 does not fit. Accuracy is that of TensorFlow Lite Micro's
interpreter on all test samples, for both. Writes benchmarks/results/tflm_budgets.json after each
model; a model that is there is not run again, so that it goes on where it was interrupted. Needs
pip install "edgeshrink[micro]".
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from command import ledger
from machine import described

from edgeshrink.models import write_text
from edgeshrink.results import json_text

RESULT = Path(__file__).parent / "results" / "tflm_budgets.json"
KB = 1024
ALLOWED = 0.005  # of accuracy, beside plain int8
# Flash and RAM in KB, the data, and how values become few.
CASES = {
    "mnist_lenet5": (
        (48, 64),
        ["--data", "mnist.npz", "--preprocess", "scale=1/255"],
        ["--cluster", "16", "--cluster-epochs", "0"],
    ),
    "mlperf_resnet8_cifar10": (
        (64, 112),
        ["--data", "cifar10_40k.npz"],
        ["--cluster", "32", "--cluster-epochs", "1"],
    ),
}
BOARD = 'title = "{} KB of flash, {} KB of RAM"\nbased_on = "tflm"\n'


def needs(shared: str, model: str, flags: list[str], device: str, folder: Path) -> dict[str, Any]:
    """Return what a result takes and scores in TensorFlow Lite Micro."""
    flags = [*flags, "--device", device, "--rules", "smoke"]
    row = ledger(shared, model, flags, folder / f"{model}.tflite")["rows"][-1]
    (there,) = row["on"]
    if there["failure"]:
        raise SystemExit(f"{model}: {there['failure']}")
    return {
        "flash_bytes": row["size_bytes"],
        "arena_bytes": there["arena_bytes"],
        "accuracy": there["score"]["value"],
        "samples": there["score"]["count"],
        "front": row["facts"].get("front", []),
        "unmet": row["facts"].get("unmet", ""),
        "flags": " ".join(flags).replace(device, Path(device).name),
    }


def case(shared: str, model: str) -> dict[str, Any]:
    """Return a model as plain int8, and for its board."""
    (flash, ram), data, few = CASES[model]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        board = folder / "board.toml"
        limits = f"storage_bytes = {flash * KB}\nmemory_bytes = {ram * KB}\n"
        board.write_text(BOARD.format(flash, ram) + limits)
        (folder / "plain").mkdir()
        plain = needs(shared, model, [*data, "--int8"], "tflm", folder / "plain")
        made = needs(shared, model, [*data, *few, "--int8", "--lut"], str(board), folder)
    return {
        "flash_budget": flash * KB,
        "ram_budget": ram * KB,
        "plain": plain,
        "lut": made,
        "plain_fits": fits(plain, flash, ram),
        "lut_fits": fits(made, flash, ram),
        "within": plain["accuracy"] - made["accuracy"] <= ALLOWED,
    }


def fits(found: dict[str, Any], flash: int, ram: int) -> bool:
    """Return whether flash and arena are within both budgets, in KB."""
    return bool(found["flash_bytes"] <= flash * KB and found["arena_bytes"] <= ram * KB)


def main() -> None:
    shared = sys.argv[1] if len(sys.argv) > 1 else "../shared"
    known: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.is_file() else {"models": {}}
    for model in CASES:
        if model not in known["models"]:
            known["models"][model] = case(shared, model)
            machine = described()
            machine["versions"]["tflite-micro"] = importlib.metadata.version("tflite-micro")
            known |= {"command": "python benchmarks/tflm_budgets.py SHARED", "machine": machine}
            write_text(RESULT, json_text(known) + "\n")
    for model, found in known["models"].items():
        plain, made = found["plain"], found["lut"]
        print(
            f"{model}: flash {plain['flash_bytes']:,} → {made['flash_bytes']:,} of "
            f"{found['flash_budget']:,}, arena {plain['arena_bytes']:,} → {made['arena_bytes']:,} "
            f"of {found['ram_budget']:,}, accuracy {plain['accuracy']:.2%} → "
            f"{made['accuracy']:.2%} on {made['samples']:,} samples; fits: {found['lut_fits']}, "
            f"plain: {found['plain_fits']}, within 0.5 points: {found['within']}"
        )


if __name__ == "__main__":
    main()
