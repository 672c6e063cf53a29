"""Recurrent models through every precision: one command each, run and written down.

usage: python benchmarks/recurrent.py [SHARED [MODEL ...]]

SHARED holds models/ and data/ (default ../shared). With names of models only those are run, and
take the places of their rows in benchmarks/results/recurrent.json. Prints a Markdown table.

Goals: of fsdd_lstm (300 test items) in int8, at most 3 more errors than the model has, in at most
35,840 bytes, through the fused operator; of mnist_row_lstm in int8, at most 0.5 points lost, fused
as well; and no command that ends without a file or a sentence.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from goals import MNIST, SPOKEN
from machine import described

RESULTS = Path(__file__).parent / "results" / "recurrent.json"
MODELS = {"fsdd_lstm": SPOKEN, "fsdd_gru": SPOKEN, "mnist_row_lstm": MNIST}
PRECISIONS = ("float", "fp16", "dynamic", "int8", "int16x8")
# the most errors more than the model itself, and the most bytes
GOALS = {("fsdd_lstm", "int8"): (3, 35_840), ("mnist_row_lstm", "int8"): (50, None)}
TOLD = ("quantization", "granularity", "unrolled", "float_operators")


def main(shared: str = "../shared", *only: str) -> int:
    """Run every command, or those of some models; return 1 if a goal was missed."""
    kept = {}
    if only:
        kept = {row["command"]: row for row in json.loads(RESULTS.read_text())["results"]}
    for model, data in MODELS.items():
        for precision in PRECISIONS if not only or model in only else ():
            row = compressed(shared, model, precision, data)
            kept[row["command"]] = row
    rows = list(kept.values())
    document = {
        "command": "python benchmarks/recurrent.py",
        "machine": described(),
        "results": rows,
    }
    RESULTS.write_text(json.dumps(document, indent=1) + "\n")
    print(table(rows))
    return 0 if all(row["met"] for row in rows) else 1


def compressed(shared: str, model: str, precision: str, data: tuple[str, ...]) -> dict[str, Any]:
    """Run one command and return what its report and its file say."""
    from edgeshrink.tflite import read_model

    given = tuple(word.format(shared=shared) for word in data)
    argv = ["edgeshrink", "compress", f"{shared}/models/{model}.keras", f"--{precision}", *given]
    print("$", *argv, file=sys.stderr, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, f"{model}.tflite")
        done = subprocess.run(
            [*argv, "-o", str(out), "--json"], capture_output=True, text=True, check=False
        )
        file = read_model(out.read_bytes()) if out.is_file() else None
    row: dict[str, Any] = {
        "model": model,
        "precision": precision,
        "command": " ".join(argv),
        "exit": done.returncode,
    }
    if file is None:
        # exit codes 1 and 2 are errors in words; anything else is a crash
        words = done.returncode in (1, 2) and "error: unexpected" not in done.stderr
        return {**row, "met": words, "error": done.stderr.strip()[-500:]}
    ledger = json.loads(done.stdout)["ledger"]
    base, final = ledger["rows"][0], ledger["rows"][-1]
    score, first = final["scores"][0], base["scores"][0]
    made = next(r for r in ledger["rows"] if r["step"].startswith(precision) and r["facts"])
    operators = Counter(operator.name for operator in file.operators)
    fused = operators["UNIDIRECTIONAL_SEQUENCE_LSTM"]
    more = round((first["value"] - score["value"]) * score["count"])
    most_errors, most_bytes = GOALS.get((model, precision), (None, None))
    return {
        **row,
        "bytes": final["size_bytes"],
        "deflated": final["compressed_bytes"],
        "accuracy": score["value"],
        "base_accuracy": first["value"],
        "samples": score["count"],
        "errors_more": more,
        "agreement": final["agreement"],
        "median_ms": final["on"][0]["latency"]["median_ms"],
        "fused_operators": fused,
        "loops": operators["WHILE"],
        **{key: made["facts"][key] for key in TOLD if key in made["facts"]},
        "notes": made.get("notes", []),
        "met": done.returncode == 0
        and (most_errors is None or (more <= most_errors and fused > 0))
        and (most_bytes is None or final["size_bytes"] <= most_bytes),
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the results as a Markdown table."""
    lines = [
        "| model | flag | became | bytes | accuracy (base) | agrees | median |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        head = f"| {row['model']} | `--{row['precision']}` |"
        if "error" in row:
            lines.append(f"{head} failed: {row['error']} | | | | |")
            continue
        how = "fused" if row["fused_operators"] else "loop" if row["loops"] else "unrolled"
        lines.append(
            f"{head} {row['quantization']}, {how} | {row['bytes']:,} "
            f"| {row['accuracy']:.2%} ({row['base_accuracy']:.2%}) "
            f"| {row['agreement']['top1']:.2%} | {row['median_ms'] * 1e3:,.0f} µs |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
