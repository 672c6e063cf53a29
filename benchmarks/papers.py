"""The papers' tables on quantization, each row from one recipe file.

usage: python benchmarks/papers.py [SHARED]

SHARED holds models/ and data/ (default ../shared). Prints a Markdown table beside the papers'
figures, and writes benchmarks/results/papers.json. The papers' networks were trained by their
authors; these are networks of the same layers (Khan and Mandal's CNN with 1.55 million
parameters, LeNet-300-100), so that accuracies are compared by what compression changes.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from machine import described

HERE = Path(__file__).parent
RECIPES = HERE.parent / "examples" / "recipes"
KHAN, LALWANI = "Khan and Mandal, table 3 (MNIST)", "Lalwani et al., table 1"
# recipe, table, row, model, the paper's accuracy and bytes before and after
ROWS = [
    ("khan-table3-8bit", KHAN, "8-bit Post Training", 97.74, 97.75, 5.923e6, 1.494e6),
    ("khan-table3-16bit", KHAN, "16-bit Post Training", 97.74, 97.74, 5.923e6, 2.964e6),
    ("lalwani-table1-float32", LALWANI, "FLOAT32", 96.49, 96.49, 1.043e6, 1.043e6),
    ("lalwani-table1-float16", LALWANI, "FLOAT16", 96.49, 96.43, 1.043e6, 0.521e6),
    ("lalwani-table1-int8", LALWANI, "INT8", 96.49, 96.42, 1.043e6, 0.266e6),
    ("khan-table3-qat", KHAN, "Quantization Aware Training", 97.74, 98.12, 5.923e6, 1.494e6),
]
MODELS = {KHAN: "mnist_cnn155", LALWANI: "mnist_lenet300"}


def main(shared: str = "../shared") -> None:
    rows = []
    for recipe, table, name, before, after, size_before, size_after in ROWS:
        row = compressed(shared, MODELS[table], RECIPES / f"{recipe}.toml")
        rows.append(
            {
                "recipe": f"examples/recipes/{recipe}.toml",
                "table": table,
                "row": name,
                "paper": {
                    "accuracy": [before / 100, after / 100],
                    "bytes": [size_before, size_after],
                    "efficacy": after / (size_after / 1e6),
                },
                **row,
            }
        )
        document = {
            "command": "python benchmarks/papers.py",
            "machine": described(),
            "not run": "FLOAT64 of Lalwani's table 1: LiteRT has no kernels that compute in it",
            "efficacy": "accuracy in percent over megabytes, as in Khan and Mandal's table 5",
            "results": rows,
        }
        (HERE / "results" / "papers.json").write_text(json.dumps(document, indent=1) + "\n")
    print("| table | row | accuracy (paper) | bytes, ratio (paper) | efficacy (paper) |")
    print("| --- | --- | --- | --- | --- |")
    for row in rows:
        paper = row["paper"]
        change = paper["bytes"][0] / paper["bytes"][1]
        print(
            f"| {row['table']} | {row['row']} "
            f"| {row['accuracy'][0]:.2%} → {row['accuracy'][1]:.2%} "
            f"({paper['accuracy'][0]:.2%} → {paper['accuracy'][1]:.2%}) "
            f"| {row['bytes'][1]:,}, {row['bytes'][0] / row['bytes'][1]:.2f}× ({change:.2f}×) "
            f"| {row['efficacy']:.1f} ({paper['efficacy']:.1f}) |"
        )


def compressed(shared: str, model: str, recipe: Path) -> dict[str, Any]:
    """Run one recipe and return what its report says of the file."""
    argv = ["edgeshrink", "compress", f"{shared}/models/{model}.keras", "--recipe", str(recipe)]
    argv += ["--data", f"{shared}/data/mnist.npz", "--preprocess", "scale=1/255"]
    print("$", *argv, file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        out = ("-o", f"{folder}/{model}.tflite", "--json")
        done = subprocess.run([*argv, *out], stdout=subprocess.PIPE, text=True, check=True)
    rows = json.loads(done.stdout)["ledger"]["rows"]
    base, final = rows[1], rows[-1]
    accuracy = final["scores"][0]["value"]
    return {
        "model": model,
        "accuracy": [base["scores"][0]["value"], accuracy],
        "bytes": [base["size_bytes"], final["size_bytes"]],
        "agreement": final["agreement"],
        "efficacy": 100 * accuracy / (final["size_bytes"] / 1e6),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
