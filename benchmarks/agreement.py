"""Compare our median latency with that of LiteRT's own benchmark tool, in interleaved pairs.

    python benchmarks/agreement.py --models ../shared/models [--rounds 7]

Each round of a case times one file on each side, in an order that changes from round to round: by
`edgeshrink.bench` on the profile `desktop` under the rules `quick`, and by
`ai_edge_litert.tools.benchmark_litert_model`, both in fresh processes, with one thread, and with as
many warm-up and counted runs as the rules come to (0.5 s, then 50 runs and 1 s at least).
Other work on the machine only ever adds time, so what counts is the ratio of each side's fastest
median; the median of the rounds' own ratios stands beside it, with its quartiles, and each round
tells the share of all cores' time that other processes took. The tool rounds to 0.01 ms: only files
that take a millisecond or more are compared. Where fewer than three rounds had the machine to
themselves, whether the goal is met is left open (`within_goal` is null): run it again.

The tool calls LiteRT through `CompiledModel`, we through `Interpreter`. A third side,
`interpreter`, is a plain loop of a dozen lines over that class. It tells the two apart: where we
differ from the tool but not from the loop, the difference is that of LiteRT's two interfaces.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import machine
from predict_throughput import Others

ROOT = Path(__file__).parents[1]
OUTPUT = ROOT / "benchmarks" / "results" / "agreement.json"
GOAL = 0.05
DISTURBED, FEWEST_UNDISTURBED = 0.05, 3
# name, model (or what is built here), precision
CASES = [
    ("mnist_cnn155 float", "mnist_cnn155", "float"),
    ("mobilenetv2 float", "", "float"),
    ("mobilenetv2 int8", "", "int8"),
]
# The rules `quick`, in the milliseconds that they count.
WARMUP_MS, COUNTED_MS, FEWEST_RUNS = 500, 1000, 50

CONVERT = """
import pathlib, sys, tempfile
import keras, numpy as np, tensorflow as tf

source, precision, output = sys.argv[1:]
keras.utils.set_random_seed(0)
if source:
    model = keras.models.load_model(source, compile=False)
else:
    model = keras.applications.MobileNetV2((224, 224, 3), weights=None)
shape = (1, *model.inputs[0].shape[1:])
archive = keras.export.ExportArchive()
archive.track(model)
spec = tf.TensorSpec(shape, tf.float32, name="image")
archive.add_endpoint("serve", lambda x: model(x, training=False), [spec])
with tempfile.TemporaryDirectory() as saved:
    archive.write_out(saved, verbose=False)
    converter = tf.lite.TFLiteConverter.from_saved_model(saved)
    if precision == "int8":
        random = np.random.default_rng(0)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = lambda: (
            [random.random(shape, np.float32)] for _ in range(20)
        )
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        converter.inference_input_type = converter.inference_output_type = tf.int8
    pathlib.Path(output).write_bytes(converter.convert())
"""
LOOP = """
import statistics, sys, time
import numpy as np
from ai_edge_litert.interpreter import Interpreter
model, warm, runs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
interpreter = Interpreter(model_path=model, num_threads=1)
interpreter.allocate_tensors()
place = interpreter.get_input_details()[0]
values = np.random.default_rng(0).random(place["shape"])
if place["dtype"] == np.int8:
    values = np.rint(values * 255 - 128)
interpreter.set_tensor(place["index"], values.astype(place["dtype"]))
times = []
for _ in range(warm + runs):
    started = time.perf_counter_ns()
    interpreter.invoke()
    times.append(time.perf_counter_ns() - started)
print(statistics.median(times[warm:]) / 1e6, min(times[warm:]) / 1e6)
"""


def convert(source: Path | None, precision: str, output: Path) -> None:
    argv = [sys.executable, "-c", CONVERT, str(source or ""), precision, str(output)]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{source} was not converted: {done.stderr[-2000:]}")


def ours(model: Path, warm: int, runs: int) -> tuple[float, float]:
    """Return the median and the fastest run in ms by `edgeshrink.bench`, which counts by itself."""
    import edgeshrink

    (result,) = edgeshrink.bench(model, rules="quick", threads=1).results
    if result.measurement is None:
        raise SystemExit(f"{model.name}: {result.failure}")
    return result.measurement.median_ms, min(result.measurement.samples_ns) / 1e6


def theirs(model: Path, warm: int, runs: int) -> tuple[float, float]:
    """Return the median and the fastest run in ms by LiteRT's own tool."""
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder, "result.json")
        argv = [sys.executable, "-m", "ai_edge_litert.tools.benchmark_litert_model"]
        argv += [f"--model={model}", f"--num_runs={runs}", f"--warmup_runs={warm}"]
        argv += ["--num_threads=1", f"--result_json={answer}"]
        subprocess.run(argv, check=True, capture_output=True)
        latency = json.loads(answer.read_text())["latency"]
        return latency["median_ms"], latency["min_ms"]


def loop(model: Path, warm: int, runs: int) -> tuple[float, float]:
    """Return the median and the fastest run in ms by a plain loop over the Interpreter."""
    argv = [sys.executable, "-c", LOOP, str(model), str(warm), str(runs)]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    median, fastest = done.stdout.split()
    return float(median), float(fastest)


SIDES: dict[str, Callable[[Path, int, int], tuple[float, float]]] = {
    "edgeshrink": ours,
    "litert-benchmark": theirs,
    "interpreter": loop,
}


def compared(model: Path, milliseconds: float, rounds: int) -> dict:
    """Return the medians of all rounds, and what the ratios say."""
    medians: dict[str, list[float]] = {side: [] for side in SIDES}
    warm = math.ceil(WARMUP_MS / milliseconds)
    runs = max(FEWEST_RUNS, math.ceil(COUNTED_MS / milliseconds))
    fastest: dict[str, list[float]] = {side: [] for side in SIDES}
    loads, others = [], []
    for number in range(rounds):
        sides = list(SIDES)
        sides = sides[number % 3 :] + sides[: number % 3]
        loads.append(round(os.getloadavg()[0], 2))
        with Others() as during:
            for side in sides:
                median, least = SIDES[side](model, warm, runs)
                medians[side].append(round(median, 4))
                fastest[side].append(round(least, 4))
        others.append(round(during.share, 3))
    told = {
        "warmup_runs": warm,
        "runs": runs,
        "medians_ms": medians,
        "fastest_runs_ms": fastest,
        "load_average": loads,
        "others_share": others,
    }
    for name, over, under in (
        ("ours_over_tool", "edgeshrink", "litert-benchmark"),
        ("ours_over_loop", "edgeshrink", "interpreter"),
        ("loop_over_tool", "interpreter", "litert-benchmark"),
    ):
        pairs = zip(medians[over], medians[under], strict=True)
        ratios = sorted(a / b for a, b in pairs)
        told[name] = {
            "median_of_ratios": round(statistics.median(ratios), 4),
            "quartiles": [round(q, 4) for q in statistics.quantiles(ratios, n=4)[::2]],
            "of_medians": round(
                statistics.median(medians[over]) / statistics.median(medians[under]), 4
            ),
            "of_fastest_medians": round(min(medians[over]) / min(medians[under]), 4),
            "of_fastest_runs": round(min(fastest[over]) / min(fastest[under]), 4),
        }
    return told


def within_goal(told: dict) -> bool | None:
    """Return whether the goal is met; None where other processes leave that open."""
    calm = [share <= DISTURBED for share in told["others_share"]]
    if sum(calm) < FEWEST_UNDISTURBED:
        return None
    return abs(told["ours_over_tool"]["of_fastest_medians"] - 1) <= GOAL


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, help="the folder of shared .keras files")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("-o", "--output", type=Path, default=OUTPUT)
    options = parser.parse_args()
    started, cases = time.time(), []
    with tempfile.TemporaryDirectory() as folder:
        for name, source, precision in CASES:
            if source and options.models is None:
                continue
            model = Path(folder, f"{name.replace(' ', '-')}.tflite")
            convert(options.models / f"{source}.keras" if source else None, precision, model)
            milliseconds = loop(model, 20, 50)[1]
            if milliseconds < 1:
                print(f"{name:20s} takes less than 1 ms, and is left out", flush=True)
                continue
            told = compared(model, milliseconds, options.rounds)
            ratio = told["ours_over_tool"]["of_fastest_medians"]
            cases.append(
                {
                    "case": name,
                    "model": f"{source}.keras" if source else "keras.applications.MobileNetV2",
                    "precision": precision,
                    "bytes": model.stat().st_size,
                    **told,
                    "within_goal": within_goal(told),
                }
            )
            print(
                f"{name:20s}"
                + "".join(f" {side} {min(m):.3f} ms," for side, m in told["medians_ms"].items())
                + f" ratio {ratio:.3f}, quartiles {told['ours_over_tool']['quartiles']}",
                flush=True,
            )
    result = {
        "command": "python benchmarks/agreement.py --models ../shared/models "
        f"--rounds {options.rounds}",
        "machine": machine.described(),
        "tool": {
            "name": "python -m ai_edge_litert.tools.benchmark_litert_model",
            "version": importlib.metadata.version("ai-edge-litert"),
            "interface": "CompiledModel, times rounded to 0.01 ms",
        },
        "threads": 1,
        "rounds": options.rounds,
        "goal": "the fastest median of all rounds, ours over the tool's, within 5 % of 1",
        "seconds": round(time.time() - started),
        "cases": cases,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
