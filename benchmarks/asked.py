"""Ask each method for a share, and measure what its result lost: python benchmarks/asked.py SHARED.

One run of `edgeshrink compress` a cell, as a user could type it, without training; what was removed
is counted in the files: MACs, parameters, zeros and distinct values are read from the .tflite, or
from the .keras file where no .tflite has it. Of ranks all that there are were enumerated, whatever
they lose: where none removes the share, no choice could.

With models or methods after SHARED only these cells are run anew.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from machine import described

import edgeshrink
from edgeshrink.nn import channel_graph, count, kernel_weights
from edgeshrink.tflite import read_model
from edgeshrink_lowrank.choosing import KINDS, Choice, ways
from edgeshrink_lowrank.sites import sites

RESULT = Path(__file__).parent / "results" / "asked.json"
TOLERANCE = 0.02
RATIOS = (0.1, 0.3, 0.5)
FINE = 1e-4  # of a model's MACs: sums that are nearer to each other are one
DATA = {
    "mlperf_resnet8_cifar10": ("cifar10_40k.npz", "none"),
    "mnist_lenet5": ("mnist.npz", "scale=1/255"),
    "mnist_lenet5_caffe": ("mnist.npz", "scale=1/255"),
    "mnist_cnn155": ("mnist.npz", "scale=1/255"),
}


@dataclass(frozen=True)
class Files:
    """A model and what came of it.

    Attributes:
        before: the model.
        after: what the method made of it.
        flat: the .tflite, read; None where the result is no such file.
        base: the .tflite of the model, in bytes; 0 where none was made.
        report: of the run.
    """

    before: keras.Model
    after: keras.Model
    flat: Any
    size: int
    base: int
    report: Any


@dataclass(frozen=True)
class Cell:
    """What is asked of a method.

    Attributes:
        method: its name and options, for the table.
        options: of `edgeshrink.compress`.
        asked: a share, or a number.
        done: what that is in the files.
        finest: a rank or a tile, as a share; where one is more than the tolerance, it is that.
    """

    method: str
    options: dict[str, Any]
    asked: float
    done: Callable[[Files], float]


def cells() -> Iterator[Cell]:
    """Yield what is asked for."""
    every = tuple(KINDS)
    for ratio in RATIOS:
        for kinds in (*((kind,) for kind in every), every):
            yield Cell(
                f"lowrank {'+'.join(kinds)}",
                {"lowrank": {"ratio": ratio, "kinds": kinds}},
                ratio,
                macs,
            )
        for target, done in TARGETS.items():
            options = {"ratio": ratio, "target": target, "criterion": "l2"}
            yield Cell(f"shrink {target}", {"shrink": options}, ratio, done)
        for scope in ("adaptive", "global", "layer"):
            yield Cell(
                f"prune {scope}", {"prune": {"sparsity": ratio, "scope": scope}}, ratio, zeros
            )
        blocks = {"sparsity": ratio, "pattern": "16x1"}
        yield Cell("prune 16x1", {"prune": blocks}, ratio, zeros)
        yield Cell("merge_neurons", {"merge_neurons": ratio}, ratio, channels)
    yield Cell("prune 2:4", {"prune": {"sparsity": 0.5, "pattern": "2:4"}}, 0.5, zeros)
    for clusters in (4, 16, 64):
        yield Cell(f"cluster {clusters}", {"cluster": clusters}, clusters, values)


def macs(files: Files) -> float:
    return 1 - files.flat.macs / count(files.before).macs


def parameters(files: Files) -> float:
    return 1 - count(files.after).parameters / count(files.before).parameters


def channels(files: Files) -> float:
    """Return the share of the channels that may go that went."""
    before, after = (
        sum(len(group) for group in channel_graph(model).free)
        for model in (files.before, files.after)
    )
    return 1 - after / before


def size(files: Files) -> float:
    return 1 - files.size / files.base


def zeros(files: Files) -> float:
    """Return the share of zeros in the kernels that have some, in the .tflite."""
    pruned = {v.shape for v in kernel_weights(files.after) if not np.all(v)}
    sizes = [np.prod(shape) for shape in pruned]
    found = [t for t in files.flat.weights if len(t.shape) > 1 and np.prod(t.shape) in sizes]
    return 1 - sum(t.nonzeros for t in found) / sum(int(np.prod(t.shape)) for t in found)


def values(files: Files) -> float:
    """Return the most distinct values of a kernel that was clustered."""
    left = ("left alone",)
    notes = " ".join(note for row in files.report.ledger.rows for note in row.notes)
    alone = notes.partition(left[0])[2]
    return max(len(np.unique(v)) for v in kernel_weights(files.after) if v.path not in alone)


TARGETS: dict[str, Callable[[Files], float]] = {
    "channels": channels,
    "parameters": parameters,
    "macs": macs,
    "bytes": size,
}
