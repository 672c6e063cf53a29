"""Compare `Session.predict` with a plain loop over one interpreter, in interleaved pairs.

    python benchmarks/predict_throughput.py --models FOLDER --data FOLDER [--pairs 7] [--quiet 60]

FOLDER of models holds the reference .keras files, that of data mnist.npz and cifar10_40k.npz.
Both sides run in fresh processes and are timed there: from the start of loading the .tflite file
to the last output, Python's own start and imports left out. `predict` has its check of batched
outputs inside that time. `wall` is what a caller of `predict` waits, with everything.

Two cores are worth something only while nobody else uses them. Each pair is told with the share
of all cores' time that other processes took meanwhile; pairs above 5 % are disturbed. With
`--quiet 60` a case goes on for so many seconds until it has enough undisturbed pairs. The median
is that of the undisturbed pairs if there are any, and `undisturbed` says how many there were; all
pairs are in the results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
# name, data, wanted ratio
CASES = [
    ("mnist_lenet300", "mnist.npz", 8.0),
    ("mnist_lenet5_caffe", "mnist.npz", 1.7),
    ("mnist_cnn155", "mnist.npz", 1.7),
    ("mlperf_resnet8_cifar10", "cifar10_40k.npz", 1.7),
]
SAMPLES = 10_000
DISTURBED = 0.05

PLAIN = """
import sys, time
import numpy as np
from ai_edge_litert.interpreter import Interpreter
model, inputs, outputs = sys.argv[1:]
samples = np.load(inputs)
started = time.perf_counter()
interpreter = Interpreter(model_path=model, num_threads=1)
interpreter.allocate_tensors()
place = interpreter.get_input_details()[0]["index"]
answer = interpreter.get_output_details()[0]["index"]
results = []
for number in range(len(samples)):
    interpreter.set_tensor(place, samples[number : number + 1])
    interpreter.invoke()
    results.append(interpreter.get_tensor(answer))
results = np.concatenate(results)
print("seconds", time.perf_counter() - started)
np.save(outputs, results)
"""


def convert(models: Path, name: str) -> bytes:
    """Return the float .tflite file of a model, for batches of one."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras
    import tensorflow as tf

    model = keras.models.load_model(models / f"{name}.keras", compile=False)
    archive = keras.export.ExportArchive()
    archive.track(model)
    shape = (1, *model.inputs[0].shape[1:])
    spec = tf.TensorSpec(shape, tf.float32, name=model.inputs[0].name)
    archive.add_endpoint("serve", lambda x: model(x, training=False), [spec])
    with tempfile.TemporaryDirectory() as saved:
        archive.write_out(saved, verbose=False)
        return tf.lite.TFLiteConverter.from_saved_model(saved).convert()


def samples(data: Path, name: str, shape: tuple[int, ...]):
    import numpy as np

    with np.load(data) as arrays:
        values = arrays["x_test"].astype(np.float32)
    if "mnist" in name:
        values /= 255
    return np.resize(values.reshape(-1, *shape), (SAMPLES, *shape))


class Others:
    """The share of all cores' time that other processes take while a block runs (Linux)."""

    share = 0.0

    @staticmethod
    def _times() -> tuple[float, float, float]:
        fields = [int(n) for n in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
        tick = os.sysconf("SC_CLK_TCK")
        used = (resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        own = sum(u.ru_utime + u.ru_stime for u in used)
        return sum(fields) / tick, (fields[3] + fields[4]) / tick, own

    def __enter__(self) -> Others:
        self._before = self._times()
        return self

    def __exit__(self, *_: object) -> None:
        total, idle, own = (a - b for a, b in zip(self._times(), self._before, strict=True))
        self.share = max(0.0, (total - idle - own) / total) if total else 0.0


def measure(folder: Path, data: Path, pairs: int, quiet: float) -> tuple[list[dict], object]:
    sys.path[:0] = [str(ROOT / "src"), str(ROOT / "plugins")]
    import numpy as np

    from edgeshrink.api import DeviceProfile
    from edgeshrink.tflite import read_model
    from edgeshrink_litert.litert import LiteRT
    from edgeshrink_targets.local import Local

    rows = []
    with Local.connect("", None) as target:
        session = LiteRT().open(target, target.folder(), DeviceProfile("desktop"))
        for name, file, wanted in CASES:
            model, inputs, outputs = (
                folder / f"{name}{s}" for s in (".tflite", ".in.npy", ".out.npy")
            )
            shape = read_model(model.read_bytes()).inputs[0].shape[1:]
            np.save(inputs, samples(data / file, name, shape))
            plain, ours, wall, others = [], [], [], []
            until = time.monotonic() + quiet
            while len(plain) < pairs or (
                sum(o <= DISTURBED for o in others) < pairs and time.monotonic() < until
            ):
                argv = [sys.executable, "-c", PLAIN, str(model), str(inputs), str(outputs)]
                with Others() as during:
                    done = subprocess.run(argv, check=True, capture_output=True, text=True)
                    plain.append(float(done.stdout.split()[-1]))
                    started = time.perf_counter()
                    found, facts = session.predict_with_facts(model, {"x": inputs})
                    wall.append(time.perf_counter() - started)
                ours.append(facts["seconds"])
                others.append(round(during.share, 3))
            ratios = [p / o for p, o in zip(plain, ours, strict=True)]
            calm = [r for r, o in zip(ratios, others, strict=True) if o <= DISTURBED]
            expected, received = np.load(outputs), next(iter(found.values()))
            rows.append(
                {
                    "model": name,
                    "samples": SAMPLES,
                    "plain_seconds": plain,
                    "predict_seconds": ours,
                    "predict_wall_seconds": wall,
                    "others_share": others,
                    "ratio_median": statistics.median(calm or ratios),
                    "undisturbed": len(calm),
                    "ratio_min": min(calm or ratios),
                    "ratio_max": max(calm or ratios),
                    "wanted": wanted,
                    "how": facts["how"],
                    "note": facts["note"],
                    "workers": facts["workers"],
                    "checked": facts["checked"],
                    "largest_difference": float(np.abs(received - expected).max()),
                    "same_top_1": bool((received.argmax(1) == expected.argmax(1)).all()),
                }
            )
            row = rows[-1]
            print(
                f"{name:24s} plain {statistics.median(plain):7.3f} s  predict "
                f"{statistics.median(ours):7.3f} s  ratio {row['ratio_median']:5.2f} "
                f"({row['ratio_min']:.2f} to {row['ratio_max']:.2f}, wanted {wanted})  "
                f"{row['how']}, checked {row['checked']}, "
                f"{len(calm)} of {len(ratios)} pairs undisturbed",
                flush=True,
            )
        facts = session.facts()
        session.close()
    return rows, facts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--quiet", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument(
        "-o", "--output", type=Path, default=ROOT / "benchmarks/results/predict_throughput.json"
    )
    options = parser.parse_args()
    load_before = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        for name, _, _ in CASES:
            Path(folder, f"{name}.tflite").write_bytes(convert(options.models, name))
        rows, facts = measure(Path(folder), options.data, options.pairs, options.quiet)
    result = {
        "command": "python benchmarks/predict_throughput.py --models MODELS --data DATA "
        f"--pairs {options.pairs} --quiet {options.quiet:g}",
        "machine": {
            "cpu": facts.cpu,
            "cores": facts.cores,
            "memory_bytes": facts.memory_bytes,
            "system": facts.system,
            "load_average_before": load_before,
            "load_average_after": os.getloadavg(),
        },
        "versions": {
            "python": platform.python_version(),
            facts.runtime: facts.runtime_version,
            "numpy": facts.numpy,
        },
        "rows": rows,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    print(f"written to {options.output}")


if __name__ == "__main__":
    main()
