"""How like float an 8-bit file of a model without data is: calibrated on noise, and data-free.

usage: python benchmarks/data_free.py [SHARED]

SHARED holds models/ and data/ (default ../shared). The model is MLPerf Tiny's person detector.
Compared are min-max ranges from noise, which is what one has without data, and from inputs
synthesised from batch norms (`--data-free`), on three sets of inputs that calibrated neither:
noise, made-up blobs, and photographs (CIFAR-10's test images, enlarged), where they are there.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import keras
import numpy as np
from ai_edge_litert.interpreter import Interpreter
from machine import described

import edgeshrink
from edgeshrink.nn.inputs import agreement, synthetic_inputs

MODEL = "mlperf_vww_mobilenetv1"
SIDE = 96
SAMPLES = 500
VARIANTS: dict[str, dict[str, Any]] = {
    "dynamic range (what no data means else)": {},
    "uniform noise 0..1, min-max": {"noise": "uniform"},
    "standard normal noise, min-max": {"noise": "normal"},
    "data-free, min-max": {"data_free": True},
    "data-free, min-max, bias correction": {"data_free": True, "int8_correct_bias": True},
}


def main(shared: str = "../shared") -> int:
    """Make every file, compare each with float, and write what was found."""
    path = Path(shared, "models", f"{MODEL}.keras")
    model = keras.models.load_model(path, compile=False)
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        inputs = input_sets(model, Path(shared, "data"), folder)
        wanted = {kind: model.predict(x, verbose=0) for kind, x in inputs.items()}
        rng, shape = np.random.default_rng(0), (300, SIDE, SIDE, 3)
        np.savez(folder / "uniform.npz", x_train=rng.random(shape, dtype="float32"))
        np.savez(folder / "normal.npz", x_train=rng.standard_normal(shape, dtype="float32"))
        for variant, options in VARIANTS.items():
            chosen = dict(options)
            noise = chosen.pop("noise", "")
            data = str(folder / f"{noise}.npz") if noise else ""
            out = folder / f"{len(rows)}.tflite"
            report = edgeshrink.compress(
                path, output=out, data=data, rules="smoke", int8=True, **chosen
            )
            row: dict[str, Any] = {"variant": variant, "bytes": out.stat().st_size}
            for kind, x in inputs.items():
                row[kind] = compared(wanted[kind], answers(out, x))
            rows.append(row | {"recipe": report.recipe})
            print(f"{variant}: {json.dumps({k: row[k] for k in inputs})}", flush=True)
    document = {
        "command": "python benchmarks/data_free.py",
        "machine": described(),
        "model": MODEL,
        "samples": SAMPLES,
        "results": rows,
    }
    target = Path(__file__).parent / "results" / "data_free.json"
    target.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    return 0


def input_sets(model: keras.Model, data: Path, folder: Path) -> dict[str, np.ndarray]:
    """Return float32 `(samples, SIDE, SIDE, 3)` inputs of each kind, none of them calibrated on."""
    blobs = synthetic_inputs(model, folder / "blobs", count=SAMPLES, seed=101)
    noise = np.random.default_rng(102).random((SAMPLES, SIDE, SIDE, 3), dtype="float32")
    found = {"noise": noise, "synthetic": np.load(next(iter(blobs.values())))}
    photographs = data / "cifar10_40k.npz"
    if photographs.is_file():
        with np.load(photographs) as stored:
            small = stored["x_test"][:SAMPLES].astype("float32") / 255
        large = keras.ops.image.resize(small, (SIDE, SIDE), interpolation="bicubic")
        found["photographs"] = np.clip(np.asarray(large), 0, 1)
    return found


def answers(file: Path, inputs: np.ndarray) -> np.ndarray:
    """Return what a file says of each input."""
    net = Interpreter(str(file))
    net.allocate_tensors()
    taken, given = (d[0]["index"] for d in (net.get_input_details(), net.get_output_details()))
    found = []
    for sample in inputs:
        net.set_tensor(taken, sample[None])
        net.invoke()
        found.append(net.get_tensor(given)[0].copy())
    return np.stack(found)


def compared(wanted: np.ndarray, found: np.ndarray) -> dict[str, float]:
    """Return how alike two models' class probabilities are."""
    alike = agreement({"": wanted}, {"": found}, classes=True)
    assert alike.top1 is not None
    first, second = (np.clip(p, 1e-3, 1) for p in (wanted, found))  # 8 bits tell 1/256
    first, second = (p / p.sum(axis=-1, keepdims=True) for p in (first, second))
    divergence = (first * np.log(first / second)).sum(axis=-1).mean()
    return {
        "top1_agreement": round(alike.top1, 4),
        "cosine": round(alike.cosine, 5),
        "kl": round(float(divergence), 5),
    }


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
