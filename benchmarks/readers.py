"""Whether the tables of what programs refuse are right: files of every method, given to them all.

usage: python benchmarks/readers.py [SHARED [FOLDER]]

Each model of SHARED/models is compressed by every recipe below, without training, to FOLDER (by
default in the cache), and each file is given to LiteRT, tflite-runtime 2.14, TensorFlow Lite Micro,
Vela and OpenVINO. Writes benchmarks/results/readers.json after each file, how it uses operators and
what each program said; a file that is there is not made or tried again, so that it goes on where it
was interrupted. Prints where a table and its program differ, and ends with 1 if any does. Needs pip
install "edgeshrink[micro,ethosu]" and, in environments of their own, whose interpreters are named:

    EDGESHRINK_TFLITE_RUNTIME   tflite-runtime==2.14.0 and numpy 1, for Python 3.11 or older
    EDGESHRINK_OPENVINO         openvino==2026.4.1

Chips' toolchains are tried where EDGESHRINK_RKNN, EDGESHRINK_MNN, EDGESHRINK_TVM or EDGESHRINK_ONNX
names an interpreter too: docs/how-to/hand-a-file-to-a-chips-toolchain.md says what to install.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from machine import described

from edgeshrink.engine import readings, tried
from edgeshrink.models import cache_folder, write_text
from edgeshrink.plugins import Plugins, installed
from edgeshrink.results import json_text
from edgeshrink.tflite import Use, read_model, uses

RESULT = Path(__file__).parent / "results" / "readers.json"
SAMPLES = {"train": 200, "test": 20}  # few: what a file is made of does not depend on them
LONGEST_SECONDS = 120
PLAIN = {
    "float": "--float",
    "fp16": "--fp16",
    "dynamic_channel": "--dynamic --dynamic-granularity channel",
    "dynamic_tensor": "--dynamic --dynamic-granularity tensor",
    "int8_channel": "--int8 --int8-granularity channel",
    "int8_io_int8": "--int8 --int8-io int8",
    "int16x8": "--int16x8",
    "int4": "--int4",
    "int4_float": "--int4 --int4-activations float32",
    "int2": "--int2",
    "sparse": "--prune 0.8 --prune-epochs 0 --float --float-sparse",
    "cluster_int8": "--cluster 16 --cluster-epochs 0 --int8",
    "prune_int8": "--prune 0.8 --prune-epochs 0 --int8",
    "names_none": "--int8 --strip-names none",
}
MORE = {
    "int8_tensor": "--int8 --int8-granularity tensor",
    "int8_io_uint8": "--int8 --int8-io uint8",
    "int2_int8": "--int2 --int2-activations int8",
    "fp16_sparse": "--prune 0.8 --prune-epochs 0 --fp16 --fp16-sparse",
    "pattern_int8": "--prune 0.5 --prune-pattern 2:4 --prune-epochs 0 --int8 --int8-io int8",
    "lut": "--cluster 16 --cluster-epochs 0 --int8 --lut --device tflm",
    "names_keep": "--int8 --strip-names keep",
    "float_names_none": "--float --strip-names none",
    "unstripped": "--int8 --no-strip",
    "lowrank": "--lowrank 0.5 --lowrank-epochs 0 --int8",
    "shrink": "--shrink 0.3 --shrink-epochs 0 --int8",
    "ternary": "--ternary --ternary-epochs 0",
    "bake": "--bake-preprocess --int8",
    "int4_convs": "--int4 --int4-keep dense,dense_1,dense_2",
    "int4_convs_float": "--int4 --int4-activations float32 --int4-keep dense,dense_1,dense_2",
    "int4_dense": "--int4 --int4-keep conv2d,conv2d_1",
    "int4_dense_float": "--int4 --int4-activations float32 --int4-keep conv2d,conv2d_1",
}
# By name: the file of SHARED/models, data and preprocessing, and recipes.
MODELS = {
    "lenet5": ("mnist_lenet5", "mnist", "scale=1/255", PLAIN | MORE),
    "lstm": ("fsdd_lstm", "fsdd_logmel", "none", PLAIN),
    "gru": ("fsdd_gru", "fsdd_logmel", "none", {n: PLAIN[n] for n in ("float", "dynamic_tensor")}),
    "resnet8": ("mlperf_resnet8_cifar10", "cifar10_40k", "none", PLAIN),
}


def cases() -> Iterator[tuple[str, str]]:
    """Yield the names of model and recipe, for each file."""
    for model, (_, _, _, recipes) in MODELS.items():
        yield from ((model, recipe) for recipe in recipes)


def made(shared: Path, model: str, recipe: str, folder: Path) -> Path:
    """Return the file of a model by a recipe, which is made if it is not there."""
    name, data, preprocess, recipes = MODELS[model]
    out, few = folder / f"{model}-{recipe}.tflite", folder / f"{model}.npz"
    if out.is_file():
        return out
    folder.mkdir(parents=True, exist_ok=True)
    if not few.is_file():
        with np.load(shared / "data" / f"{data}.npz") as stored:
            some = {}
            for key in (k for k in stored.files if k[2:] in SAMPLES and k[:2] in ("x_", "y_")):
                some[key] = stored[key][:: max(1, len(stored[key]) // SAMPLES[key[2:]])]
        np.savez(few, **some)
    argv = [
        sys.executable,
        "-m",
        "edgeshrink.cli",
        "compress",
        str(shared / "models" / f"{name}.keras"),
    ]
    argv += [*recipes[recipe].split(), "--data", str(few), "--preprocess", preprocess]
    argv += ["-o", str(out), "--force", "--rules", "smoke", "--max-drop", "none"]
    done = subprocess.run(argv, check=False, capture_output=True, timeout=10 * LONGEST_SECONDS)
    if not out.is_file():
        raise SystemExit(f"{model}-{recipe}: {done.stderr.decode(errors='replace')}")
    return out


def said(path: Path, plugins: Plugins) -> dict[str, str]:
    """Return what each program that is there said of a file: nothing where it reads it."""
    found = {}
    for told in readings(read_model(path.read_bytes()), plugins):
        name = told.reader.name
        python = os.environ.get(f"EDGESHRINK_{name.upper()}")
        one = tried(path, told, plugins, [f"{name}={python}"] if python else [])
        if one.tried is not None:
            found[name] = one.tried
    return found


def differing(row: dict[str, Any], plugins: Plugins) -> list[str]:
    """Return a sentence for each program whose table does not say what it said."""
    used = [Use(**one) for one in row["uses"]]
    found = []
    for name, answer in row["said"].items():
        problems = plugins.readers[name].problems(used)
        if bool(problems) != bool(answer):
            found.append(f"{name} says {answer or 'yes'!r}, its table {problems or 'yes'}")
    return found


def row_of(path: Path, plugins: Plugins) -> dict[str, Any]:
    """Return how a file uses operators, and what the programs said of it."""
    used = uses(read_model(path.read_bytes()))
    lean = [
        {f.name: v for f in dataclasses.fields(u) if (v := getattr(u, f.name)) != f.default}
        for u in used
    ]
    return {"uses": lean, "said": said(path, plugins)}


def profiles(folder: Path) -> None:
    """Write the profile that runs tflite-runtime here, where its interpreter is named."""
    os.environ["XDG_CONFIG_HOME"] = str(folder)
    if python := os.environ.get("EDGESHRINK_TFLITE_RUNTIME"):
        own = folder / "edgeshrink" / "device_profiles"
        own.mkdir(parents=True)
        (own / "old.toml").write_text(f'reader = "tflite-runtime"\npython = "{python}"\n')
    installed.cache_clear()


def main() -> int:
    """Make and try what is not in the result yet; return 1 where a table is wrong."""
    shared = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared")
    folder = Path(sys.argv[2]) if len(sys.argv) > 2 else cache_folder("readers")
    known: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.is_file() else {"files": {}}
    wrong = 0
    with tempfile.TemporaryDirectory() as name:
        profiles(Path(name))
        plugins = installed()
        for model, recipe in cases():
            file = f"{model}-{recipe}"
            if file not in known["files"]:
                known["files"][file] = row_of(made(shared, model, recipe, folder), plugins)
                known |= {
                    "command": "python benchmarks/readers.py SHARED",
                    "machine": described(),
                    "readers": {n: r.title for n, r in plugins.readers.items()},
                }
                write_text(RESULT, json_text(known) + "\n")
            row = known["files"][file]
            read = sorted(n for n, answer in row["said"].items() if not answer)
            print(f"{file}: read by {', '.join(read)}", flush=True)
            for sentence in differing(row, plugins):
                wrong += 1
                print(f"  {sentence}", flush=True)
    print(f"{len(known['files'])} files; {wrong} answers of a table are wrong")
    return min(wrong, 1)


if __name__ == "__main__":
    raise SystemExit(main())
