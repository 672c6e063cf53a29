"""The sizes and accuracies that the README claims: one command each, run and written down.

usage: python benchmarks/goals.py [SHARED [MODEL ...]]

SHARED holds models/ and data/ (default ../shared). With names of models only those are run, and
take the places of their rows in benchmarks/results/goals.json. Prints a Markdown table.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import described

RESULTS = Path(__file__).parent / "results"
MNIST = ("--data", "{shared}/data/mnist.npz", "--preprocess", "scale=1/255")
CIFAR = ("--data", "{shared}/data/cifar10_40k.npz", "--preprocess", "none")
SPOKEN = ("--data", "{shared}/data/fsdd_logmel.npz", "--preprocess", "none")
# model, flags, data, least accuracy, least ratio of downloads
GOALS: list[tuple[str, tuple[str, ...], tuple[str, ...], float, float]] = [
    ("mnist_lenet5_caffe", ("--prune", "0.92", "--int8"), MNIST, 0.99, 20),
    ("mnist_lenet300", ("--prune", "0.92", "--int8"), MNIST, 0.98, 20),
    ("mlperf_resnet8_cifar10", ("--int8",), CIFAR, 0.872, 0),
]
# every model converts and runs; accuracy is told where there is data
DATA_OF = {
    "cifar10_dwmobile": ("--data", "{shared}/data/cifar10_40k.npz", "--preprocess", "scale=1/255"),
    "fsdd_dscnn": SPOKEN,
    "fsdd_gru": SPOKEN,
    "fsdd_lstm": SPOKEN,
    "mlperf_resnet8_cifar10": CIFAR,
    "mnist_cnn155": MNIST,
    "mnist_lenet300": MNIST,
    "mnist_lenet5": MNIST,
    "mnist_lenet5_caffe": MNIST,
    "mnist_row_lstm": MNIST,
}


def main(shared: str = "../shared", *only: str) -> int:
    """Run every command, or those of some models; return 1 if a goal was missed."""
    runs = [(*goal,) for goal in GOALS]
    for model in sorted(p.stem for p in Path(shared, "models").glob("*.keras")):
        for flag in ("--float", "--dynamic"):
            runs.append((model, (flag,), DATA_OF.get(model, ()), 0, 0))
    file = RESULTS / "goals.json"
    kept = {row["command"]: row for row in json.loads(file.read_text())["results"]} if only else {}
    for run in runs:
        if not only or run[0] in only:
            row = compressed(shared, *run)
            kept[row["command"]] = row
    rows = list(kept.values())
    RESULTS.mkdir(exist_ok=True)
    document = {
        "command": "python benchmarks/goals.py",
        "machine": described(),
        "results": rows,
    }
    file.write_text(json.dumps(document, indent=1) + "\n")
    print(table(rows))
    return 0 if all(row["met"] for row in rows) else 1


def compressed(
    shared: str,
    model: str,
    flags: tuple[str, ...],
    data: tuple[str, ...],
    least_accuracy: float,
    least_ratio: float,
) -> dict[str, Any]:
    """Run one command and return what its report says."""
    given = tuple(word.format(shared=shared) for word in data)
    argv = ["edgeshrink", "compress", f"{shared}/models/{model}.keras", *flags, *given]
    print("$", *argv, file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        out = ("-o", f"{folder}/{model}.tflite", "--json")
        done = subprocess.run([*argv, *out], capture_output=True, text=True, check=False)
    row: dict[str, Any] = {"model": model, "flags": " ".join(flags), "command": " ".join(argv)}
    if not done.stdout:
        return {**row, "met": False, "exit": done.returncode, "error": done.stderr.strip()[-300:]}
    report = json.loads(done.stdout)
    ledger = report["ledger"]
    final = ledger["rows"][-1]
    score = final["scores"][0] if final["scores"] else None
    reference = ledger["rows"][1]["on"][0]["latency"]
    latency = final["on"][0]["latency"]
    return {
        **row,
        "exit": done.returncode,
        "bytes": final["size_bytes"],
        "deflated": final["compressed_bytes"],
        "on_disk": final["on_disk"],
        "download": final["download"],
        "accuracy": score and score["value"],
        "interval": score and [score["low"], score["high"]],
        "base_accuracy": score and ledger["rows"][0]["scores"][0]["value"],
        "p_value": final["p_value"],
        "agreement": final["agreement"],
        "median_ms": latency and latency["median_ms"],
        "base_median_ms": reference and reference["median_ms"],
        "goal": {"accuracy": least_accuracy, "download": least_ratio},
        "met": done.returncode == 0
        and (score is None or score["value"] >= least_accuracy)
        and final["download"] >= least_ratio,
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "| model | flags | accuracy (base) | bytes | on disk | deflated | download | median (base) "
        "|",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if "error" in row:
            lines.append(
                f"| {row['model']} | `{row['flags']}` | failed: {row['error']} | | | | | |"
            )
            continue
        accuracy = "no labelled data"
        if row["accuracy"] is not None:
            accuracy = f"{row['accuracy']:.2%} ({row['base_accuracy']:.2%})"
        times = f"{row['median_ms'] * 1e3:.3g} µs ({row['base_median_ms'] * 1e3:.3g})"
        lines.append(
            f"| {row['model']} | `{row['flags']}` | {accuracy} | {row['bytes']:,} "
            f"| {row['on_disk']:.1f}× | {row['deflated']:,} | {row['download']:.1f}× | {times} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
