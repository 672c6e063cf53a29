"""Deep Compression as a file: pruned, clustered, 8 bits, packed; the unpacked file is measured.

usage: python benchmarks/deep_compression.py [--shared ../shared] [MODEL ...]

SHARED holds models/ and data/. Runs the recipes of examples/recipes through the command line,
unpacks each .esz, and runs the .tflite in LiteRT on the 10,000 test images of MNIST. With names
of models the other rows of benchmarks/results/deep_compression.json stay as they are. Prints a
Markdown table; returns 1 if a goal was missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import described

RECIPES = Path("examples/recipes")
RESULTS = Path(__file__).parent / "results" / "deep_compression.json"
# model: recipe, least ratio to the float weights, what Han et al., ICLR 2016, table 1, reached
MODELS = {
    "mnist_lenet300": ("deep-compression-lenet300.toml", 60, 40),
    "mnist_lenet5_caffe": ("deep-compression-caffe.toml", 100, 39),
}
MOST_LOST = 0.001  # of accuracy


def main() -> int:
    """Run the recipes, and write what came of them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--shared", default="../shared")
    parser.add_argument("models", nargs="*", metavar="MODEL")
    given = parser.parse_args()
    for model in given.models or MODELS:
        written(compressed(model, given.shared))
    rows = json.loads(RESULTS.read_text())["results"]
    print(table(rows))
    return 0 if all(row["met"] for row in rows) else 1


def compressed(model: str, shared: str) -> dict[str, Any]:
    """Run one recipe and return what came of it."""
    recipe, least_ratio, paper = MODELS[model]
    data = f"{shared}/data/mnist.npz"
    argv = [
        *("edgeshrink", "compress", f"{shared}/models/{model}.keras"),
        *("--recipe", str(RECIPES / recipe), "--data", data, "--preprocess", "scale=1/255"),
    ]
    print("$", *argv, file=sys.stderr, flush=True)
    row: dict[str, Any] = {"model": model, "command": " ".join(argv), "paper_ratio": paper}
    with tempfile.TemporaryDirectory() as folder:
        packed, unpacked = Path(folder, "small.esz"), Path(folder, "small.tflite")
        done = subprocess.run(
            [*argv, "-o", packed, "--json"], capture_output=True, text=True, check=False
        )
        if not packed.exists():
            return {**row, "met": False, "exit": done.returncode, "error": done.stderr[-300:]}
        subprocess.run(["edgeshrink", "unpack", packed, "-o", unpacked], check=True)
        size, file_bytes = packed.stat().st_size, unpacked.stat().st_size
        accuracy = measured(unpacked, data)
    stages = json.loads(done.stdout)["ledger"]["rows"]
    base, final = stages[0], stages[-1]
    float_bytes = 4 * base["parameters"]
    float_accuracy = base["scores"][0]["value"]
    return {
        **row,
        "float_bytes": float_bytes,
        "bytes": size,
        "ratio": float_bytes / size,
        "tflite_bytes": file_bytes,
        "zlib_bytes": final["facts"]["zlib_bytes"],
        "xz_bytes": final["facts"]["xz_bytes"],
        "nonzeros": final["nonzeros"],
        "clusters": final["facts"]["clusters"],
        "accuracy": accuracy,
        "float_accuracy": float_accuracy,
        "p_value": final["p_value"],
        "agreement": final["agreement"],
        "stages": [
            {
                "step": stage["step"],
                "accuracy": stage["scores"][0]["value"],
                "nonzeros": stage["nonzeros"],
                "seconds": stage["seconds"],
            }
            for stage in stages
        ],
        "met": float_bytes / size >= least_ratio
        and round(float_accuracy - accuracy, 6) <= MOST_LOST,
    }


def written(row: dict[str, Any]) -> None:
    """Put a row among the results."""
    kept = json.loads(RESULTS.read_text())["results"] if RESULTS.exists() else []
    rows = {other["model"]: other for other in kept} | {row["model"]: row}
    document = {
        "command": "python benchmarks/deep_compression.py",
        "machine": described(),
        "results": [rows[name] for name in sorted(rows)],
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")


def measured(file: Path, data: str) -> float:
    """Return a .tflite's accuracy on the test images, run in LiteRT by itself."""
    from ai_edge_litert.interpreter import Interpreter

    with np.load(data) as arrays:
        images, labels = arrays["x_test"], arrays["y_test"]
    net = Interpreter(model_path=str(file))
    net.allocate_tensors()
    (taken,), (given,) = net.get_input_details(), net.get_output_details()
    right = 0
    for image, label in zip(images / np.float32(255), labels, strict=True):
        net.set_tensor(taken["index"], image.reshape(taken["shape"]))
        net.invoke()
        right += int(net.get_tensor(given["index"]).argmax() == label)
    return right / len(labels)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "| model | accuracy (float) | .esz | smaller | Han et al. | weights left |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        if "error" in row:
            lines.append(f"| {row['model']} | failed: {row['error']} | | | | |")
            continue
        lines.append(
            f"| {row['model']} | {row['accuracy']:.2%} ({row['float_accuracy']:.2%}) "
            f"| {row['bytes']:,} | {row['ratio']:.1f}× | {row['paper_ratio']}× "
            f"| {row['nonzeros']:,} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
