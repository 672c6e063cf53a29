"""Packed files: their sizes beside zlib and xz, and how quickly they are unpacked.

usage: python benchmarks/packing.py [SHARED]

Every model of SHARED/models is converted to float and to int8 (dynamic range where it is
recurrent), stripped and packed. Two nets are also pruned in one shot, their weights shared by
k-means and converted to int8 per tensor: sizes only, they are not trained and not accurate.
Writes benchmarks/results/packing.json. Seconds are the least of five, in CPU time of the process.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from machine import described

from edgeshrink.nn.conversion import Conversion, convert
from edgeshrink.nn.loading import load_model
from edgeshrink.tflite import constant_values, esz, pack, read_model, strip

RESULTS = Path(__file__).parent / "results"
ROUNDS = 5
FLOAT = Conversion()
DYNAMIC = Conversion(weights="int8")
INT8 = Conversion(weights="int8", activations="int8")
TENSOR = Conversion(weights="int8", activations="int8", per_channel=False)
# Zeros among the kernels, and values a tensor.
SPARSE = {"mnist_lenet300": (0.95, 8), "mnist_lenet5_caffe": (0.975, 8)}
LARGE = 4_000_000


def least(act: Any) -> float:
    """Return the least CPU seconds of an act."""
    seconds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        act()
        seconds.append(time.process_time() - started)
    return min(seconds)


def converted(model: keras.Model, want: Conversion) -> bytes:
    """Return a model as a stripped .tflite, calibrated on noise."""
    random = np.random.default_rng(0)
    samples = {i.name: random.random((20, *i.shape[1:])).astype("float32") for i in model.inputs}
    with tempfile.TemporaryDirectory() as folder:
        made = convert(model, {"made": want}, Path(folder), samples)
    return strip(made["made"])[0]


def measured(data: bytes) -> dict[str, Any]:
    """Return what packing makes of a file."""
    made = pack(data)
    assert esz.unpack(made.data) == data
    return {
        "bytes": len(data),
        "packed": len(made.data),
        "coding": made.how,
        "zlib": made.zlib,
        "xz": made.xz,
        "unpack_seconds": least(lambda: esz.unpack(made.data)),
    }


def shared(values: np.ndarray, count: int) -> np.ndarray:
    """Return values replaced by the nearest of `count` means (k-means from quantiles)."""
    means = np.quantile(values, (np.arange(count) + 0.5) / count)
    for _ in range(40):
        nearest = np.abs(values[:, None] - means).argmin(1)
        means = np.array(
            [
                values[nearest == k].mean() if (nearest == k).any() else means[k]
                for k in range(count)
            ]
        )
    return means[np.abs(values[:, None] - means).argmin(1)]


def sparse(model: keras.Model, zeros: float, count: int) -> None:
    """Prune a model in one shot, globally, and let the weights that stay share values."""
    kernels = [v for v in model.trainable_weights if v.path.endswith("kernel")]
    sizes = np.concatenate([np.abs(np.asarray(v)).ravel() for v in kernels])
    threshold = np.quantile(sizes, zeros)
    for variable in kernels:
        values = np.asarray(variable).copy()
        values[np.abs(values) < threshold] = 0
        stays = values != 0
        if stays.any():
            values[stays] = shared(values[stays], count)
        variable.assign(values)


def entropy(data: bytes) -> float:
    """Return the bytes of the file's sparse weights by the entropy of mask and of values."""
    total = 0.0
    for tensor in read_model(data).weights:
        values = constant_values(data, tensor).ravel()
        if len(tensor.shape) < 2:
            continue
        mask = np.bincount((values != 0).astype(int), minlength=2)
        for counts in (mask, np.unique(values[values != 0], return_counts=True)[1]):
            seen = counts[counts > 0]
            total += float((seen * np.log2(seen.sum() / seen)).sum()) / 8
    return total


def fixed(data: bytes) -> int:
    """Return the bytes of a packed file whose weights are all zero, biases and scales kept."""
    changed = bytearray(data)
    model = read_model(data)
    for tensor in model.weights:
        if len(tensor.shape) < 2:
            continue
        raw = constant_values(data, tensor).tobytes()
        place = data.find(raw)
        changed[place : place + len(raw)] = bytes(len(raw))
    return len(pack(bytes(changed)).data)


def throughput() -> dict[str, float]:
    """Return megabytes of output a second for a large int8 tensor with 90 % zeros."""
    random = np.random.default_rng(0)
    values = np.clip(random.normal(0, 30, LARGE), -127, 127).astype(np.int8)
    values[random.random(LARGE) < 0.9] = 0
    model = keras.Sequential([keras.Input((2000,)), keras.layers.Dense(2000, use_bias=False)])
    model.layers[-1].kernel.assign(values.reshape(2000, 2000).astype("float32") / 127)
    made = pack(converted(model, TENSOR))
    size = len(esz.unpack(made.data))
    seconds = least(lambda: esz.unpack(made.data))
    return {"bytes": size, "packed": len(made.data), "megabytes_a_second": size / seconds / 1e6}


def main() -> None:
    """Pack everything, and write what came of it."""
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared") / "models"
    found: dict[str, Any] = {"large_at_90_percent_zeros": throughput()}
    print(found, flush=True)
    for name, (zeros, count) in SPARSE.items():
        model = load_model(folder / f"{name}.keras")
        sparse(model, zeros, count)
        data = converted(model, TENSOR)
        one = {**measured(data), "entropy": entropy(data), "fixed": fixed(data)}
        found[f"{name} sparse {zeros} shared {count}"] = one
        print(name, one, flush=True)
    for path in sorted(folder.glob("*.keras")):
        model = load_model(path)
        recurrent = any(isinstance(layer, keras.layers.RNN) for layer in model.layers)
        for kind, want in {"float": FLOAT, "int8": DYNAMIC if recurrent else INT8}.items():
            found[f"{path.stem} {kind}"] = measured(converted(model, want))
            print(path.stem, kind, found[f"{path.stem} {kind}"], flush=True)
    result = {"command": "python benchmarks/packing.py", **described(), "files": found}
    (RESULTS / "packing.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
