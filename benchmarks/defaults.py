"""What steps give without any training flag.

    python benchmarks/defaults.py SHARED [--label NAME] [--program EDGESHRINK] [--seeds 0,1,2]
        [--only MODEL/CASE …] [--effort quick] [--table]

Each cell is one run of `edgeshrink compress`, written to results/defaults.json as it ends; a cell
that is there is not run again. LABEL names what ran: another checkout's program is compared by its
own label. Accuracy is of the whole test part, by running the file that came out; which samples were
right is kept too (base85 of zlib of bits), so that two labels are compared in pairs. Fashion-MNIST
is read from Debian's package dataset-fashion-mnist.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import json
import math
import shutil
import statistics
import subprocess
import time
import zlib
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np
from machine import described

from edgeshrink.tflite import tflite_bytes

HERE = Path(__file__).parent
RESULT = HERE / "results" / "defaults.json"
CACHE = HERE / ".cache" / "defaults"
FASHION = Path("/usr/share/datasets/fashion-mnist")
INT8 = ("--prune 0.9 --int8", "--shrink 0.5 --shrink-target macs --int8")
PACKED = "--prune 0.95 --cluster 16 --int8 --pack"
# what settings were chosen on
TUNED = {
    "mnist_lenet5_caffe": (
        "--prune 0.92 --int8",
        "--prune 0.975 --cluster 16 --int8 --pack",
        "--prune 0.985 --cluster 8 --int8 --pack",
    ),
    "mnist_lenet300": ("--prune 0.92 --int8",),
    "mlperf_resnet8_cifar10": (
        "--prune 0.6 --int8",
        "--prune 0.5 --prune-pattern 2:4 --int8",
        "--shrink 0.5 --shrink-target macs --int8",
    ),
}
# what nothing was chosen on
UNTUNED = (
    "cifar10_dwmobile",
    "fsdd_dscnn",
    "fsdd_gru",
    "mnist_row_lstm",
    "mnist_cnn155",
    "fashion_dwmobile",
)
CASES = {**TUNED, **{model: (*INT8, PACKED) for model in UNTUNED}}
AS_STORED = ("mlperf", "fsdd")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("shared", type=Path)
    parser.add_argument("--label", default="default")
    parser.add_argument("--program", default="edgeshrink")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", nargs="*", default=["*"])
    parser.add_argument("--flags", default="", help="further flags, such as --effort quick")
    parser.add_argument("--table", action="store_true")
    given = parser.parse_args()
    if not given.table:
        for model, case, seed in wanted(given):
            cell(given, model, case, seed)
    print(table(read()["cells"]))
    return 0


def wanted(given: argparse.Namespace) -> list[tuple[str, str, int]]:
    """Return the cells that are to be run, seed by seed."""
    done = read()["cells"]
    return [
        (model, case, seed)
        for seed in map(int, given.seeds.split(","))
        for model, cases in CASES.items()
        for case in cases
        if any(fnmatch(f"{model}/{case}", pattern) for pattern in given.only)
        and key(given.label, model, case, seed) not in done
    ]


def key(label: str, model: str, case: str, seed: int) -> str:
    return f"{label}: {model} {case} --seed {seed}"


def read() -> dict[str, Any]:
    empty: dict[str, Any] = {"command": "python benchmarks/defaults.py SHARED", "cells": {}}
    return json.loads(RESULT.read_text()) if RESULT.is_file() else empty


def data_of(shared: Path, model: str) -> Path:
    family = model.partition("_")[0]
    if family == "fashion":
        return fashion()
    names = {"mnist": "mnist", "fsdd": "fsdd_logmel"}
    return shared / "data" / f"{names.get(family, 'cifar10_40k')}.npz"


def fashion() -> Path:
    """Return Fashion-MNIST as an .npz file."""
    path = CACHE / "fashion.npz"
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        arrays = {}
        for stem, part in (("train", "train"), ("t10k", "test")):
            images = gzip.decompress((FASHION / f"{stem}-images-idx3-ubyte.gz").read_bytes())
            labels = gzip.decompress((FASHION / f"{stem}-labels-idx1-ubyte.gz").read_bytes())
            arrays[f"x_{part}"] = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 28, 28, 1)
            arrays[f"y_{part}"] = np.frombuffer(labels, np.uint8, offset=8)
        np.savez(path, **arrays)
    return path


def cell(given: argparse.Namespace, model: str, case: str, seed: int) -> None:
    """Run one command, judge its file, and write both down."""
    name = key(given.label, model, case, seed)
    folder = CACHE / "runs" / f"{given.label}-{model}-{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    out = folder / ("made.esz" if "--pack" in case else "made.tflite")
    data = data_of(given.shared, model)
    scale = "none" if model.startswith(AS_STORED) else "scale=1/255"
    argv = [given.program, "compress", str(given.shared / "models" / f"{model}.keras")]
    argv += [*case.split(), *given.flags.split(), "--data", str(data), "--preprocess", scale]
    argv += ["--seed", str(seed), "--rules", "smoke", "-o", str(out), "--json", "--force"]
    print("$", *argv, flush=True)
    started = time.perf_counter()
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - started
    found: dict[str, Any] = {"exit": done.returncode, "seconds": round(seconds)}
    if out.is_file():
        right = answers(tflite_bytes(out), data, scale)
        rows = json.loads(done.stdout)["ledger"]["rows"]
        facts = {k: v for row in rows for k, v in row.get("facts", {}).items()}
        keep = ("sparsity_in_scope", "clusters", "chosen", "macs", "unmet")
        found |= {"accuracy": float(right.mean()), "bytes": out.stat().st_size}
        found |= {k: facts[k] for k in keep if k in facts}
        found |= {"samples": len(right), "right": written(right)}
    else:
        found["said"] = done.stderr.strip().splitlines()[-2:]
    document = read()
    document["machine"] = described()
    document["cells"][name] = found
    RESULT.write_text(json.dumps(document, indent=1) + "\n")
    print({k: v for k, v in found.items() if k != "right"}, flush=True)


def answers(data: bytes, samples: Path, scale: str, *, reference: bool = False) -> np.ndarray:
    """Return which test samples a .tflite answers rightly, `(samples,)` bool.

    Args:
        data: of the file.
        samples: an .npz with `x_test` and `y_test`.
        scale: `none`, or `scale=1/255`.
        reference: by the reference kernels, and not by XNNPACK.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with np.load(samples) as arrays:
        x, y = arrays["x_test"].astype("float32"), arrays["y_test"]
    x = x / 255 if scale != "none" else x
    kernels = OpResolverType.BUILTIN_REF if reference else OpResolverType.AUTO
    runner = Interpreter(model_content=data, num_threads=2, experimental_op_resolver_type=kernels)
    runner.allocate_tensors()
    (taken,), (told,) = runner.get_input_details(), runner.get_output_details()
    x = x.reshape(len(x), *taken["shape"][1:])
    named = np.empty(len(x), int)
    for place in range(len(x)):
        runner.reset_all_variables()
        runner.set_tensor(taken["index"], x[place : place + 1])
        runner.invoke()
        named[place] = runner.get_tensor(told["index"]).argmax()
    return named == y


def written(right: np.ndarray) -> str:
    """Return which samples were right, `(samples,)` bool, as a text."""
    return base64.b85encode(zlib.compress(np.packbits(right).tobytes(), 9)).decode()


def right_of(cell: dict[str, Any]) -> np.ndarray:
    """Return which samples were right, `(samples,)`, as 0 and 1."""
    bits = zlib.decompress(base64.b85decode(cell["right"]))
    return np.unpackbits(np.frombuffer(bits, "uint8"), count=cell["samples"]).astype(float)


def table(cells: dict[str, dict[str, Any]]) -> str:
    """Return a row for each model and case: each label's accuracies, and differences in pairs."""
    labels = sorted({name.partition(": ")[0] for name in cells})
    first = "cb5c150"
    lines = ["| model, steps | " + " | ".join(labels) + f" | against {first} |"]
    lines.append("| --- " * (len(labels) + 2) + "|")
    for model, cases in CASES.items():
        for case in cases:
            shown = []
            for label in labels:
                values = [
                    f"{100 * c['accuracy']:.2f}" if "accuracy" in c else f"exit {c['exit']}"
                    for s in range(3)
                    if (c := cells.get(key(label, model, case, s)))
                ]
                shown.append(", ".join(values))
            differences = "; ".join(
                f"{label} {paired(cells, label, first, model, case)}"
                for label in labels
                if label != first and paired(cells, label, first, model, case)
            )
            lines.append(f"| {model} `{case}` | " + " | ".join(shown) + f" | {differences} |")
    return "\n".join(lines)


def paired(cells: dict[str, Any], label: str, other: str, model: str, case: str) -> str:
    """Return the mean difference in points with its 95 % interval, over seeds and test samples."""
    changes = []
    for seed in range(3):
        pair = [cells.get(key(one, model, case, seed), {}) for one in (label, other)]
        if all("right" in one for one in pair):
            a, b = map(right_of, pair)
            changes.append(100 * (a - b))
    if not changes:
        return ""
    # the same samples under each seed: averaged first, so that they count once
    each = np.mean(changes, axis=0)
    half = 1.96 * each.std(ddof=1) / math.sqrt(len(each))
    return f"{statistics.fmean(each):+.2f} ± {half:.2f}"


if __name__ == "__main__":
    raise SystemExit(main())
