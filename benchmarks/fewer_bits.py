"""ResNet-8 in fewer bits: what each route keeps of the float model, over three seeds.

usage: python benchmarks/fewer_bits.py [SHARED [ROUTE ...]]

SHARED holds models/ and data/ (default ../shared). With names of routes only those are run, and
take the places of their rows in benchmarks/results/fewer_bits.json. With 1,000 test images the
95 % interval of an accuracy is ±2 points, so agreement with the float model and the divergence
of its outputs from it stand beside the accuracy, and each figure is the mean of three seeds.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from machine import described

from edgeshrink.tflite import tflite_bytes

RESULT = Path(__file__).parent / "results" / "fewer_bits.json"
MODEL, DATA = "mlperf_resnet8_cifar10.keras", "cifar10_40k.npz"
SEEDS = (0, 1, 2)
TRAINED = ("--teacher", "only", "--shift", "4")
# name: flags, suffix of the file, least accuracy, most bytes
ROUTES: dict[str, tuple[tuple[str, ...], str, float, int]] = {
    "int8": (("--int8",), ".tflite", 0.0, 1 << 30),
    "int8, ranges of least squared error": (
        ("--int8", "--int8-ranges", "mse"),
        ".tflite",
        0,
        1 << 30,
    ),
    "int8 trained": (
        ("--int8", "--int8-qat", "--lr", "1e-5", "--epochs", "1", *TRAINED),
        ".tflite",
        0.877,
        1 << 30,
    ),
    "int4": (("--int4",), ".tflite", 0.87, 55_296),
    "packed": (
        (
            *("--prune", "0.33", "--lr", "2e-4", "--epochs", "2", *TRAINED),
            *("--int4", "--calibration", "1000", "--pack"),
        ),
        ".esz",
        0.87,
        37_000,
    ),
}


def main(shared: str = "../shared", *only: str) -> int:
    known = json.loads(RESULT.read_text())["results"] if only and RESULT.is_file() else []
    rows = {row["route"]: row for row in known}
    with np.load(Path(shared, "data", DATA)) as data:
        images, labels = data["x_test"].astype("float32"), data["y_test"].ravel()
    for route in only or ROUTES:
        rows[route] = measured(shared, route, images, labels)
        document = {
            "command": "python benchmarks/fewer_bits.py",
            "machine": described(),
            "results": [rows[name] for name in ROUTES if name in rows],
        }
        RESULT.write_text(json.dumps(document, indent=1) + "\n")
        print(json.dumps({k: v for k, v in rows[route].items() if k != "seeds"}), flush=True)
    return 0 if all(row["met"] for row in rows.values()) else 1


def measured(shared: str, route: str, images: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Run a route with each seed; return the means, and what each seed gave."""
    flags, suffix, least, most = ROUTES[route]
    seeds = [one(shared, flags, suffix, seed, images, labels) for seed in SEEDS]
    means = {
        key: statistics.fmean(seed[key] for seed in seeds)
        for key in seeds[0]
        if isinstance(seeds[0][key], float)
    }
    largest = max(seed["bytes"] for seed in seeds)
    return {
        "route": route,
        "command": f"edgeshrink compress {MODEL} {' '.join(flags)} --data {DATA} --seed SEED",
        **means,
        "bytes": largest,
        "goal": {"accuracy": least, "bytes": most},
        "met": means["accuracy"] >= least and largest <= most,
        "seeds": seeds,
    }


def one(
    shared: str,
    flags: tuple[str, ...],
    suffix: str,
    seed: int,
    images: np.ndarray,
    labels: np.ndarray,
) -> dict[str, Any]:
    """Run one command; return what its file answers on the test images, and its report."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, f"resnet8{suffix}")
        argv = ["edgeshrink", "compress", f"{shared}/models/{MODEL}", *flags, "--max-drop", "none"]
        argv += ["--data", f"{shared}/data/{DATA}", "--seed", str(seed)]
        print("$", *argv, file=sys.stderr, flush=True)
        done = subprocess.run(
            [*argv, "-o", str(out), "--json"], stdout=subprocess.PIPE, text=True, check=True
        )
        final = json.loads(done.stdout)["ledger"]["rows"][-1]
        (reference,) = out.with_suffix(".run").rglob("float.tflite")
        base = answers(reference.read_bytes(), images)
        found = answers(tflite_bytes(out), images)
        trained = list(out.with_suffix(".run").rglob("qat.keras"))
        twin = twin_answers(trained[0], images) if trained else None
    row = {
        "seed": seed,
        "accuracy": float((found.argmax(1) == labels).mean()),
        "float_accuracy": float((base.argmax(1) == labels).mean()),
        "agreement": float((found.argmax(1) == base.argmax(1)).mean()),
        "divergence_nats": divergence(base, found),
        "mcnemar_p": float(final["p_value"]),
        "bytes": final["size_bytes"],
    }
    if twin is not None:
        row["twin_agreement"] = float((found.argmax(1) == twin.argmax(1)).mean())
    return row


def answers(model: bytes, images: np.ndarray) -> np.ndarray:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=model)
    interpreter.allocate_tensors()
    (given,), (out,) = interpreter.get_input_details(), interpreter.get_output_details()
    found = []
    for image in images:
        interpreter.set_tensor(given["index"], image[None])
        interpreter.invoke()
        found.append(interpreter.get_tensor(out["index"])[0].copy())
    return np.stack(found)


def twin_answers(trained: Path, images: np.ndarray) -> np.ndarray:
    """Return what the fake-quantized twin of a trained model answers."""
    import keras

    from edgeshrink.nn.graph import quantized_weights
    from edgeshrink.nn.learning import Grid, twin

    model = keras.models.load_model(trained, compile=False)
    with np.load(trained.with_name("state.npz")) as state:
        ranges = {name.removeprefix("ranges/"): state[name] for name in state.files}
    grids = {path: [Grid(8, axes)] for path, (_, axes) in quantized_weights(model).items()}
    seen, _ = twin(model, grids, ranges, ends="fixed")
    return np.asarray(seen.predict(images, batch_size=200, verbose=0))


def divergence(base: np.ndarray, found: np.ndarray) -> float:
    """Return the mean Kullback-Leibler divergence of probabilities `(samples, classes)`."""
    wanted, given = np.clip(base, 1e-7, 1), np.clip(found, 1e-7, 1)
    return float((wanted * np.log(wanted / given)).sum(1).mean())


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
