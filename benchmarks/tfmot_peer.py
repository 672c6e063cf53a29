"""Deep compression by TensorFlow Model Optimization and by edgeshrink: same model, data, epochs.

usage: python benchmarks/tfmot_peer.py [--only tfmot|ours] [--shared ../shared] [MODEL ...]

Each row is one command of edgeshrink: pruning, clustering and quantization-aware training, by
TFMOT's methods or by our own. With --only or names of models the other rows of
benchmarks/results/tfmot_peer.json stay as they are. Prints a Markdown table.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import described

RESULTS = Path(__file__).parent / "results" / "tfmot_peer.json"
TRAINING = ("--epochs", "3", "--lr", "1e-3", "--batch-size", "64", "--seed", "0")
DATA = ("--data", "{shared}/data/mnist.npz", "--preprocess", "scale=1/255")
MODELS = ("mnist_lenet5_caffe", "mnist_lenet300")
# who, and what is done to a model
CHAINS = (
    ("tfmot", "--tfmot-prune 0.9 --tfmot-cluster 16 --tfmot-pcqat"),
    ("tfmot", "--tfmot-prune 0.9 --tfmot-cluster 16 --tfmot-cluster-init linear --tfmot-pcqat"),
    ("tfmot", "--tfmot-prune 0.95 --tfmot-cluster 8 --tfmot-pcqat"),
    ("ours", "--prune 0.9 --cluster 16 --int8-qat"),
    ("ours", "--prune 0.95 --cluster 8 --int8-qat"),
)


def main() -> int:
    """Run the commands; return 1 if one failed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--only", choices=("tfmot", "ours"))
    parser.add_argument("--shared", default="../shared")
    parser.add_argument("models", nargs="*", metavar="MODEL")
    given = parser.parse_args()
    kept = json.loads(RESULTS.read_text())["results"] if RESULTS.exists() else []
    rows = {row["command"]: row for row in kept}
    for model in given.models or MODELS:
        for who, flags in CHAINS:
            if given.only in (None, who):
                row = compressed(who, model, flags, given.shared)
                rows[row["command"]] = row
                written(list(rows.values()))
    print(table(list(rows.values())))
    return 1 if any("error" in row for row in rows.values()) else 0


def compressed(who: str, model: str, flags: str, shared: str) -> dict[str, Any]:
    """Run one command and return what its report says of each stage."""
    data = [word.format(shared=shared) for word in DATA]
    argv = [
        "edgeshrink",
        "compress",
        f"{shared}/models/{model}.keras",
        *flags.split(),
        *TRAINING,
        *data,
    ]
    print("$", *argv, file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        out = ("-o", f"{folder}/{model}.tflite", "--json")
        done = subprocess.run([*argv, *out], capture_output=True, text=True, check=False)
    row: dict[str, Any] = {"who": who, "model": model, "flags": flags}
    row["command"] = " ".join(argv)
    if not done.stdout:
        return {**row, "exit": done.returncode, "error": done.stderr.strip()[-300:]}
    stages = json.loads(done.stdout)["ledger"]["rows"]
    return {**row, "exit": done.returncode, "stages": [told(stage, stages[0]) for stage in stages]}


def told(stage: dict[str, Any], base: dict[str, Any]) -> dict[str, Any]:
    """Return what counts of a stage; the ratio is that of the base's float32 weights."""
    score = stage["scores"][0]
    return {
        "step": stage["step"],
        "accuracy": score["value"],
        "interval": [score["low"], score["high"]],
        "p_value": stage["p_value"],
        "nonzeros": stage["nonzeros"],
        "bytes": stage["size_bytes"],
        "deflated": stage["compressed_bytes"],
        "ratio": 4 * base["parameters"] / stage["compressed_bytes"],
        "seconds": stage["seconds"],
        "notes": stage["notes"],
    }


def written(rows: list[dict[str, Any]]) -> None:
    """Write the results so far."""
    document = {
        "command": "python benchmarks/tfmot_peer.py",
        "machine": described(),
        "results": sorted(rows, key=lambda row: (row["model"], row["flags"])),
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def table(rows: list[dict[str, Any]]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "| model | flags | accuracy (float) | deflated | smaller | trained |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if "error" in row:
            lines.append(f"| {row['model']} | `{row['flags']}` | failed: {row['error']} | | | |")
            continue
        first, last = row["stages"][0], row["stages"][-1]
        seconds = sum(stage["seconds"] for stage in row["stages"])
        lines.append(
            f"| {row['model']} | `{row['flags']}` | {last['accuracy']:.2%} "
            f"({first['accuracy']:.2%}) | {last['deflated']:,} | {last['ratio']:.1f}× "
            f"| {seconds:.0f} s |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
