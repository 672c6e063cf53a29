"""What each method gains on each device: download, flash, RAM, and milliseconds or cycles.

usage: python benchmarks/truth_table.py SHARED [--page]

Models of SHARED/models, each method with --epochs 0 (sizes and speed depend on where zeros and
equal values are, not on what the weights are), calibrated on 400 samples. Files are made once and
kept in benchmarks/.cache; on processors all files of a model take turns in one `edgeshrink bench`.
Each cell is written to benchmarks/results/truth_table.json as it ends, and one that is there is not
made again. At the end, or alone by --page, docs/explanation/what-makes-what-faster.md is made of
it. Needs pip install "edgeshrink[micro,ethosu,openvino]", and qemu for the emulated ARM64 machine.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import subprocess
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from command import ledger
from machine import described
from truth_page import page

from edgeshrink.models import write_bytes, write_text
from edgeshrink.results import json_text
from edgeshrink.tflite import strip

HERE = Path(__file__).parent
RESULT = HERE / "results" / "truth_table.json"
CACHE = HERE / ".cache" / "truth_table"
PAGE = HERE.parent / "docs" / "explanation" / "what-makes-what-faster.md"
SAMPLES = 400
MODELS = {
    "mnist_lenet5": ("mnist.npz", ("--preprocess", "scale=1/255")),
    "mlperf_resnet8_cifar10": ("cifar10_40k.npz", ()),
}
INT8 = ("--int8", "--int8-io", "int8")
METHODS = {
    "float": ("--float",),
    "fp16": ("--fp16",),
    "zeros in floats": ("--prune", "0.8", "--float"),
    "dynamic range": ("--dynamic",),
    "int8": INT8,
    "int16x8": ("--int16x8",),
    "int4": ("--int4",),
    "int8, 80 % zeros": ("--prune", "0.8", *INT8),
    "int8, 2:4 zeros": ("--prune", "0.5", "--prune-pattern", "2:4", *INT8),
    "int8, 16 values": ("--cluster", "16", *INT8),
    "int8, zeros and values": ("--prune", "0.8", "--cluster", "16", *INT8),
    "int8, 16 values in tables": ("--cluster", "16", *INT8, "--lut", "--device", "tflm"),
    "int8, half the MACs": ("--shrink", "0.5", "--shrink-target", "macs", *INT8),
}
# OpenVINO reads a file only with the names of its tensors, which others do without.
DEVICES = {
    "desktop": "small",
    "emulated-rpi4": "small",
    "openvino": "named",
    "tflm": "small",
    "ethos-u55-128": "small",
    "ethos-u85-256": "small",
}


def made(shared: Path, model: str, method: str) -> dict[str, Any]:
    """Make a method's two files, with names and without, and return what they hold."""
    data, preprocess = MODELS[model]
    folder = CACHE / model / method.replace(" ", "-").replace("%", "").replace(",", "")
    folder.mkdir(parents=True, exist_ok=True)
    some = CACHE / data
    if not some.is_file():
        with np.load(shared / "data" / data) as whole:
            parts = {name: whole[name][:SAMPLES] for name in whole.files if name[1] == "_"}
        np.savez(some, **parts)
    flags = [*METHODS[method], "--no-strip", "--epochs", "0", "--rules", "smoke"]
    named, small = folder / "named.tflite", folder / "small.tflite"
    words = [*flags, "--data", str(some), *preprocess, "--force"]
    rows = ledger(str(shared), model, words, named)["rows"]
    write_bytes(small, strip(named.read_bytes())[0])
    data_bytes = small.read_bytes()
    return {
        "flags": " ".join(METHODS[method]),
        "bytes": len(data_bytes),
        "deflated": len(zlib.compress(data_bytes, 9)),
        "nonzero": rows[-1]["nonzeros"] / rows[-1]["parameters"],
        "macs": rows[-1]["macs"],
        "sha256": hashlib.sha256(data_bytes).hexdigest(),
        "files": {"named": str(named.relative_to(HERE)), "small": str(small.relative_to(HERE))},
    }


def there(file: dict[str, Any]) -> bool:
    """Return whether both files are still where they were made."""
    return all((HERE / path).is_file() for path in file["files"].values())


def measured(device: str, files: dict[str, Path]) -> dict[str, dict[str, Any]]:
    """Return what a device says of each method's file, all in one run of `edgeshrink bench`."""
    out = CACHE / f"{device}.json"
    out.unlink(missing_ok=True)
    argv = ["edgeshrink", "bench", *map(str, files.values()), "--device", device]
    argv += ["--rules", "demo", "-o", str(out)]
    print("$", *argv, file=sys.stderr, flush=True)
    subprocess.run(argv, check=False, stdout=subprocess.DEVNULL)  # 1: a file was refused
    results = json.loads(out.read_text(encoding="utf-8"))["results"]
    return {method: cell(one) for method, one in zip(files, results, strict=True)}


def cell(result: dict[str, Any]) -> dict[str, Any]:
    """Return of a result what the table tells."""
    if result["failure"]:
        return {"refused": result["failure"]["reason"]}
    timed = result["measurement"]
    if timed["estimate"]:
        names = ("cycles", "stored_bytes", "sram_bytes", "weight_bytes", "processor_operators")
        return {name: timed["estimate"][name] for name in names} | {"by": timed["estimate"]["by"]}
    if timed["arena_bytes"]:
        return {"arena_bytes": timed["arena_bytes"]}
    if timed["device"]["emulated"]:  # whose times say nothing
        return {name: timed[name] for name in ("model_memory_bytes", "kernels")}
    names = ("median_ms", "median_error_ms", "model_memory_bytes", "kernels", "valid")
    return {name: timed[name] for name in names} | {"runs": len(timed["samples_ns"])}


def versions() -> dict[str, Any]:
    machine = described()
    for name in ("tflite-micro", "ethos-u-vela", "openvino"):
        machine["versions"][name] = importlib.metadata.version(name)
    return machine


def keep(known: dict[str, Any]) -> None:
    write_text(RESULT, json_text(known) + "\n")


def main(shared: Path, *, only_page: bool) -> None:
    """Make what is missing, then the page."""
    known: dict[str, Any] = json.loads(RESULT.read_text()) if RESULT.is_file() else {}
    if not only_page:
        known = {"command": "python benchmarks/truth_table.py SHARED", "models": {}} | known
        known["machine"] = versions()
        for model in MODELS:
            found = known["models"].setdefault(model, {"files": {}, "devices": {}})
            owed = set(DEVICES) - set(found["devices"])
            for method in METHODS:
                if method not in found["files"] or (owed and not there(found["files"][method])):
                    found["files"][method] = made(shared, model, method)
                    keep(known)
            for device, kind in DEVICES.items():
                if device not in found["devices"]:
                    files = {m: HERE / one["files"][kind] for m, one in found["files"].items()}
                    found["devices"][device] = measured(device, files)
                    keep(known)
    write_text(PAGE, page(known))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared"), only_page="--page" in sys.argv)
