"""A random forest as a net of 8 bits, beside scikit-learn's own answers and emlearn's C.

usage: python benchmarks/classic.py

For seeds 0, 1 and 2, a forest of 100 trees learns three quarters of scikit-learn's digits; the
other 450 samples judge. `edgeshrink compress forest.skops --int8 --data digits.npz` makes a net of
it with nothing else said. Its difference to the forest has a paired 95 % interval: 1.96 standard
errors of the differences, sample by sample. Beside it stands emlearn's C of the same forest,
compiled with `gcc -Os -c` for this machine. Its bytes are those of the sections .text, .rodata and
.data of the object, as `size -A` tells them; its answers are those of the compiled code. emlearn
cuts thresholds of 16 bits to whole numbers, so that there are three forms: `float`, whose C is code
and no tables (emlearn has tables for int16_t alone); int16_t as it is by default; and int16_t of
the same forest fitted on doubled features, between which every threshold is a whole number. Its
trees vote, where scikit-learn means their probabilities.

Writes benchmarks/results/classic.json after each seed; a seed that is there is not run again. Needs
pip install "edgeshrink[sklearn]" emlearn, and gcc.
"""

from __future__ import annotations

import ctypes
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import emlearn
import emlearn.common
import numpy as np
import skops.io
from ai_edge_litert.interpreter import Interpreter
from machine import described
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import train_test_split

from edgeshrink.models import write_text
from edgeshrink.results import json_text

RESULT = Path(__file__).parent / "results" / "classic.json"
SEEDS, TREES, TESTED = (0, 1, 2), 100, 0.25
NORMAL_95 = 1.96
FLAGS = ["--int8", "--data", "digits.npz"]
SECTIONS = (".text", ".rodata", ".data")
C_TYPES = {"float": ctypes.c_float, "int16_t": ctypes.c_int16}


def answers(model: Path, samples: np.ndarray) -> np.ndarray:
    """Return the classes that a .tflite names."""
    net = Interpreter(str(model))
    net.allocate_tensors()
    (taken,), (given,) = net.get_input_details(), net.get_output_details()
    found = []
    for sample in samples:
        net.set_tensor(taken["index"], sample[None].astype(taken["dtype"]))
        net.invoke()
        found.append(int(net.get_tensor(given["index"])[0].argmax()))
    return np.array(found)


def emlearn_c(
    forest: RandomForestClassifier, kind: str, samples: np.ndarray, folder: Path
) -> tuple[int, np.ndarray]:
    """Return the bytes of emlearn's C of a forest, and the classes that it names.

    Args:
        forest: fitted.
        kind: the type of features, `float` or `int16_t`.
        samples: `(samples, features)`.
        folder: for its files.
    """
    method = "inline" if kind == "float" else "loadable"
    made = emlearn.convert(forest, method=method, dtype=kind)
    header = folder / "forest.h"
    made.save(file=str(header), name="forest", include_proba=False)
    unit = folder / "forest.c"
    unit.write_text('#include "forest.h"\n')
    headers = ["-I", emlearn.common.get_include_dir()]
    compiled, library = folder / "forest.o", folder / f"{kind}-{samples.max():g}.so"
    subprocess.run(["gcc", "-Os", *headers, "-c", str(unit), "-o", str(compiled)], check=True)
    shared = ["-shared", "-fPIC", str(unit), "-o", str(library)]
    subprocess.run(["gcc", "-Os", *headers, *shared, "-lm"], check=True)
    said = subprocess.run(
        ["size", "-A", str(compiled)], capture_output=True, text=True, check=True
    ).stdout
    rows = (line.split() for line in said.splitlines())
    size = sum(
        int(row[1]) for row in rows if row and row[0].startswith(SECTIONS) and row[1].isdigit()
    )
    predict = ctypes.CDLL(str(library)).forest_predict
    of = C_TYPES[kind] * samples.shape[1]
    return size, np.array([predict(of(*row), len(row)) for row in samples.astype(C_TYPES[kind])])


def difference(right: np.ndarray, than: np.ndarray) -> dict[str, float]:
    """Return how many points more of the samples are right, with the paired 95 % interval."""
    each = 100 * (right.astype(float) - than)
    error = NORMAL_95 * each.std(ddof=1) / len(each) ** 0.5
    return {"points": each.mean(), "low": each.mean() - error, "high": each.mean() + error}


def case(seed: int) -> dict[str, Any]:
    """Return what was found with one seed, of the split, the forest and the nets."""
    x, y = load_digits(return_X_y=True)
    taught, tested, labels, wanted = train_test_split(
        x, y, test_size=TESTED, random_state=seed, stratify=y
    )
    forest = RandomForestClassifier(TREES, random_state=seed).fit(taught, labels)
    doubled = RandomForestClassifier(TREES, random_state=seed).fit(2 * taught, labels)
    said = forest.predict(tested)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        skops.io.dump(forest, folder / "forest.skops")
        np.savez(
            folder / "digits.npz", x_train=taught, y_train=labels, x_test=tested, y_test=wanted
        )
        argv = ["compress", "forest.skops", *FLAGS, "--seed", str(seed)]
        print("$ edgeshrink", *argv, file=sys.stderr, flush=True)
        subprocess.run(
            [sys.executable, "-m", "edgeshrink.cli", *argv],
            cwd=folder,
            check=True,
            stdout=subprocess.DEVNULL,
        )
        report = json.loads((folder / "forest.report.json").read_text())
        rows = report["ledger"]["rows"]
        net = answers(folder / "forest.tflite", tested)
        told = [row["scores"][0]["value"] for row in (rows[0], rows[-1])]
        ours = [float((one == wanted).mean()) for one in (said, net)]
        if not np.allclose(told, ours):
            raise SystemExit(f"the ledger says {told}, the models themselves {ours}")
        made = {}
        for called, kind, trees, samples in (
            ("float", "float", forest, tested),
            ("int16", "int16_t", forest, tested),
            ("int16, features doubled", "int16_t", doubled, 2 * tested),
        ):
            size, classes = emlearn_c(trees, kind, samples, folder)
            made[called] = {"bytes": size, "accuracy": float((classes == wanted).mean())}
        taken = next(row for row in rows if row["step"].startswith("imitate"))
        return {
            "seed": seed,
            "test_samples": len(wanted),
            "forest": {
                "accuracy": ours[0],
                "nodes": sum(tree.tree_.node_count for tree in forest.estimators_),
                "skops_bytes": rows[0]["size_bytes"],
            },
            "net": {
                "accuracy": ours[1],
                "minus_forest": difference(net == wanted, said == wanted),
                "agreement": float((net == said).mean()),
                "bytes": rows[-1]["size_bytes"],
                "deflated": rows[-1]["compressed_bytes"],
                "units": taken["facts"]["units"],
                "nets_trained": len(taken["facts"]["trials"]),
                "seconds_of_all_trainings": taken["seconds"],
            },
            "emlearn": made,
        }


def main() -> None:
    known: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.is_file() else {"cases": []}
    for seed in SEEDS:
        if seed in [one["seed"] for one in known["cases"]]:
            continue
        known["cases"].append(case(seed))
        machine = described()
        for name in ("scikit-learn", "skops", "emlearn"):
            machine["versions"][name] = importlib.metadata.version(name)
        gcc = subprocess.run(["gcc", "--version"], capture_output=True, text=True, check=True)
        machine["versions"]["gcc"] = gcc.stdout.splitlines()[0]
        known |= {
            "command": "python benchmarks/classic.py",
            "compress": f"edgeshrink compress forest.skops {' '.join(FLAGS)} --seed SEED",
            "machine": machine,
        }
        write_text(RESULT, json_text(known) + "\n")
    for one in known["cases"]:
        net, made = one["net"], one["emlearn"]
        apart = net["minus_forest"]
        print(
            f"seed {one['seed']}: forest {one['forest']['accuracy']:.2%}, net of {net['units']} "
            f"units {net['accuracy']:.2%} ({apart['points']:+.2f} points, {apart['low']:+.2f} to "
            f"{apart['high']:+.2f}), agrees on {net['agreement']:.2%}, {net['bytes']:,} bytes; "
            "emlearn: "
            + "; ".join(
                f"{name} {said['accuracy']:.2%}, {said['bytes']:,} bytes"
                for name, said in made.items()
            )
        )


if __name__ == "__main__":
    main()
