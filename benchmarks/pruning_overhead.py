"""What pruning adds to an epoch of plain `fit`: interleaved pairs, the first epoch left out.

usage: python benchmarks/pruning_overhead.py [SHARED]

Writes benchmarks/results/pruning_overhead.json: the median ratio of pairs, in wall time and in
the process's own CPU time, which other work on the machine disturbs less.
"""

from __future__ import annotations

import itertools
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

from edgeshrink.devices import DeviceProfile
from edgeshrink.recipes import Context, Training
from edgeshrink.samples import Dataset, load_dataset
from edgeshrink_prune import Options
from edgeshrink_prune.magnitude import prune

RESULTS = Path(__file__).parent / "results"
EPOCHS, BATCH, PAIRS = 3, 64, 3
CASES = {
    "mnist_lenet300": ("mnist", "scale=1/255", 1.15, 54_000),
    "mnist_lenet5_caffe": ("mnist", "scale=1/255", 1.15, 20_000),
    "mlperf_resnet8_cifar10": ("cifar10_40k", "none", 1.05, 4_000),
}


Seconds = np.ndarray  # wall and CPU


def now() -> Seconds:
    """Return wall and CPU seconds."""
    return np.array([time.perf_counter(), time.process_time()])


class Clock(keras.callbacks.Callback):
    """Keeps the seconds of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[Seconds] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.started = now()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(now() - self.started)


def plain(path: Path, data: Dataset, count: int) -> list[Seconds]:
    """Return seconds of each later epoch of what a user would write: compile and fit."""
    model = keras.models.load_model(path, compile=False)
    inputs = next(iter(data.values(data.train, np.arange(count)).values()))
    model.compile(keras.optimizers.Adam(1e-4), "sparse_categorical_crossentropy")
    clock = Clock()
    model.fit(
        inputs,
        data.train.labels[:count],
        batch_size=BATCH,
        epochs=EPOCHS,
        verbose=0,
        callbacks=[clock],
    )
    return clock.seconds[1:]


def pruned(path: Path, data: Dataset, count: int, folder: Path) -> list[Seconds]:
    """Return seconds of each later epoch of the same training while it is pruned."""
    model = keras.models.load_model(path, compile=False)
    part = data.train.subset(data.train.rows[:count])
    ends: list[Seconds] = []

    def progress(share: float, note: str) -> None:
        if note.startswith("epoch"):
            ends.append(now())

    context = Context(
        data=type(data)(**{**vars_of(data), "train": part}),
        profile=DeviceProfile("bench"),
        folder=folder,
        seed=0,
        training=Training(EPOCHS, 1e-4, BATCH, None, "none"),
        progress=progress,
        original=lambda: model,
        base_loss=None,
        evaluate=lambda judged: None,
        agreement=lambda judged: None,
        measure=lambda judged: None,
        log=folder / "log",
    )
    prune(model, Options(0.9), context)
    return [after - before for before, after in itertools.pairwise(ends)]


def vars_of(data: Dataset) -> dict[str, Any]:
    """Return the fields of a data set."""
    return {name: getattr(data, name) for name in data.__dataclass_fields__}


def main(shared: Path) -> None:
    """Measure all cases."""
    results = []
    for name, (data_name, preprocess, limit, count) in CASES.items():
        path = shared / "models" / f"{name}.keras"
        model = keras.models.load_model(path, compile=False)
        loaded = load_dataset(str(shared / "data" / f"{data_name}.npz"), preprocess=preprocess)
        data = loaded.for_model({t.name: tuple(t.shape) for t in model.inputs})
        count = min(count, len(data.train))
        ratios, pairs = [], []
        with tempfile.TemporaryDirectory() as folder:
            for _ in range(PAIRS):
                base = np.median(plain(path, data, count), axis=0)
                ours = np.median(pruned(path, data, count, Path(folder)), axis=0)
                ratios.append(ours / base)
                pairs.append([base.tolist(), ours.tolist()])
        row = {
            "model": name,
            "samples": count,
            "seconds_plain_and_pruned": pairs,
            "ratio_wall": float(np.median(ratios, axis=0)[0]),
            "ratio_cpu": float(np.median(ratios, axis=0)[1]),
            "limit": limit,
        }
        print(json.dumps(row))
        results.append(row)
    document = {
        "command": "python benchmarks/pruning_overhead.py",
        "machine": described(),
        "results": results,
    }
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "pruning_overhead.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared"))
