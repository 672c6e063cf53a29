"""Ask each method for a share, and count what its result lost: python benchmarks/asked.py SHARED.

One run of `edgeshrink compress` a cell, without training. What was removed is counted in the file
that the run left, not taken from what it says: zeros and bytes in a .tflite, the others in a .keras
file. Of ranks all that there are were added up, whatever they lose: `nearest` is the nearest share
that any of them remove.

With names of models, or of methods such as prune, after SHARED only these are run anew.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import keras
import numpy as np
from machine import described

import edgeshrink
from edgeshrink.errors import EdgeshrinkError
from edgeshrink.nn import channel_graph, count, kernel_weights
from edgeshrink.tflite import read_model
from edgeshrink_lowrank.choosing import KINDS
from edgeshrink_lowrank.sites import Site, sites
from edgeshrink_prune.kernels import in_scope

RESULT = Path(__file__).parent / "results" / "asked.json"
MODELS = ("mlperf_resnet8_cifar10", "mnist_lenet5", "mnist_lenet5_caffe", "mnist_cnn155")
# of the first of them, whose low ranks are scored too
DATA = {MODELS[0]: "cifar10_40k.npz"}
SMALLEST = MODELS[1]  # where bytes are asked for, since each needs a dozen conversions
RATIOS = (0.1, 0.3, 0.5)
TOLERANCE = 0.02
FINE = 2e-4  # of a model's MACs: sums no farther apart are one


@dataclass(frozen=True)
class Found:
    """What a run left.

    Attributes:
        before: the model.
        file: the result.
        after: what the method made of it, in Keras.
        rows: of the report.
    """

    before: keras.Model
    file: Path
    after: keras.Model
    rows: tuple[Any, ...]


@dataclass(frozen=True)
class Cell:
    """What is asked of a method.

    Attributes:
        flags: of `edgeshrink.compress`, the method's own first.
        asked: a share, or a number.
        done: what that is in what was left.
        kind: of the file.
    """

    flags: Mapping[str, Any]
    asked: float
    done: Callable[[Found], float]
    kind: str = "keras"

    @property
    def words(self) -> str:
        """The flags as they are typed."""
        said = {
            name.replace("_", "-"): ",".join(v) if isinstance(v, tuple) else v
            for name, v in self.flags.items()
        }
        return " ".join(f"--{name} {value}" for name, value in said.items())


def macs(found: Found) -> float:
    return 1 - count(found.after).macs / count(found.before).macs


def parameters(found: Found) -> float:
    return 1 - count(found.after).parameters / count(found.before).parameters


def channels(found: Found) -> float:
    """Return the share of the channels that may go that went."""
    before, after = (
        sum(len(group) for group in channel_graph(model).free)
        for model in (found.before, found.after)
    )
    return 1 - after / before


def size(found: Found) -> float:
    """Return the share of the bytes of the float file that went."""
    before, after = (
        next(row.size_bytes for row in found.rows if row.step == step)
        for step in ("base as float", "float")
    )
    return 1 - after / before


def zeros(found: Found, kept: float = 1.0) -> float:
    """Return the share of zeros in kernels of the .tflite that are as large as those in scope.

    Args:
        found: what the run left.
        kept: the share of weights that stay, on which it depends whether ends are in scope.
    """
    sizes = {kernel.values().size for kernel in in_scope(found.before, ("all",), kept)}
    weights = read_model(found.file.read_bytes()).weights
    kernels = [t for t in weights if len(t.shape) > 1 and t.elements in sizes]
    return 1 - sum(t.nonzeros for t in kernels) / sum(t.elements for t in kernels)


def values(found: Found) -> float:
    """Return the most distinct values of a kernel that is not left alone."""
    notes = " ".join(note for row in found.rows for note in row.notes)
    _, _, alone = notes.partition("left alone")
    return max(len(np.unique(v)) for v in kernel_weights(found.after) if v.path not in alone)


def layers(found: Found) -> float:
    """Return how many layers were dropped."""
    return float(len(next(row.facts["dropped"] for row in found.rows if "dropped" in row.facts)))


TARGETS = {"channels": channels, "parameters": parameters, "macs": macs, "bytes": size}


def cells(model: str) -> Iterator[Cell]:
    """Yield what is asked for."""
    for ratio in RATIOS:
        for kinds in (*((kind,) for kind in KINDS), tuple(KINDS)):
            yield Cell({"lowrank": ratio, "lowrank_kinds": kinds}, ratio, macs)
        for target, done in TARGETS.items():
            if target == "bytes" and model != SMALLEST:
                continue
            kind = "tflite" if target == "bytes" else "keras"
            yield Cell({"shrink": ratio, "shrink_target": target}, ratio, done, kind)
        yield Cell({"merge_neurons": ratio}, ratio, channels)
        for scope in ("adaptive", "global", "layer"):
            counted = partial(zeros, kept=1 - ratio if scope != "layer" else 1.0)
            yield Cell({"prune": ratio, "prune_scope": scope}, ratio, counted, "tflite")
        counted = partial(zeros, kept=1 - ratio)
        yield Cell({"prune": ratio, "prune_pattern": "16x1"}, ratio, counted, "tflite")
    counted = partial(zeros, kept=0.5)
    yield Cell({"prune": 0.5, "prune_pattern": "2:4"}, 0.5, counted, "tflite")
    for number in (4, 16, 64):
        yield Cell({"cluster": number}, number, values)
    if model == MODELS[0]:  # the others have nothing that can be dropped
        for number in (1, 2):
            yield Cell({"drop_layers": number}, number, layers)


def main(shared: str = "../shared", *only: str) -> int:
    known = json.loads(RESULT.read_text())["results"] if RESULT.is_file() else []
    models = [model for model in MODELS if model in only] or MODELS
    methods = set(only) - set(MODELS)

    def anew(model: str, flags: str) -> bool:
        method = flags.split()[0].removeprefix("--").replace("-", "_")
        return model in models and (not methods or method in methods)

    rows = [row for row in known if not anew(row["model"], row["flags"])]
    for model in models:
        path = Path(shared, "models", f"{model}.keras")
        before = keras.models.load_model(path)
        found, _ = sites(before)
        with tempfile.TemporaryDirectory() as folder:
            for cell in cells(model):
                if not anew(model, cell.words):
                    continue
                row = {"model": model, **run(path, before, cell, shared, Path(folder))}
                if "lowrank" in cell.flags:
                    kinds = cell.flags["lowrank_kinds"]
                    whole = count(before).macs
                    row["nearest"] = nearest(found, kinds, whole, cell.asked)
                rows.append(row)
                print(json.dumps(row), flush=True)
                rows.sort(key=lambda row: MODELS.index(row["model"]))
                document = {
                    "command": "python benchmarks/asked.py",
                    "machine": described(),
                    "tolerance": TOLERANCE,
                    "results": rows,
                }
                RESULT.write_text(json.dumps(document, indent=1) + "\n")
    print(table(rows))
    return 0 if all(row["met"] for row in rows) else 1


def run(path: Path, before: keras.Model, cell: Cell, shared: str, folder: Path) -> dict[str, Any]:
    """Run one command; return what was asked, and what it left."""
    row: dict[str, Any] = {"flags": cell.words, "asked": cell.asked}
    given: dict[str, Any] = {}
    if "lowrank" in cell.flags and path.stem in DATA:
        given = {"data": f"{shared}/data/{DATA[path.stem]}", "epochs": 0}
    out = folder / f"out.{cell.kind}"
    try:
        report = edgeshrink.compress(
            path,
            output=out,
            run=folder / "run",
            force=True,
            rules="smoke",
            **cell.flags,
            **given,
        )
    except EdgeshrinkError as error:
        return {**row, "done": None, "said": str(error), "met": False}
    rows = report.ledger.rows
    made = next(row for row in rows if "asked" in row.facts)
    after = keras.models.load_model(folder / "run" / made.file)
    done = cell.done(Found(before, out, after, rows))
    (told,) = made.facts["asked"].values()
    share = isinstance(cell.asked, float)
    apart = abs(done - cell.asked)
    within = apart <= max(TOLERANCE, told["finest"]) if share else not apart
    return {
        **row,
        "done": done,
        "finest": told["finest"],
        "said": made.facts.get("unmet", ""),
        "accuracy": made.score.value if made.score else None,
        # what the run says it did is what it did, and a miss is said
        "met": within and abs(told["done"] - done) < 1e-3 and "unmet" not in made.facts,
    }


def nearest(found: list[Site], kinds: tuple[str, ...], whole: int, asked: float) -> float:
    """Return the share nearest to the one asked for that any ranks of these kinds remove.

    Args:
        found: the layers of the model.
        kinds: names of decompositions.
        whole: the model's multiply-accumulates.
        asked: a share.
    """
    sums = np.zeros(1)
    for site in found:
        saved = [np.zeros(1)]
        for kind in (KINDS[name](site) for name in kinds if KINDS[name].fits(site)):
            ranks = [(r,) for r in range(1, 1 + int(kind.ladder[-1][-1]))]
            if kind.name == "tucker":
                ranks = [(1 + r, 1 + s) for r, s in np.ndindex(site.inputs, site.outputs)]
            costs = np.array([kind.macs(one) for one in ranks])
            saved.append(site.macs - costs[costs < site.macs])
        every = np.unique(np.concatenate(saved))
        every = every[np.unique((every / whole / FINE).astype(int), return_index=True)[1]]
        sums = np.unique((sums[:, None] + every).ravel())
        sums = sums[np.unique((sums / whole / FINE).astype(int), return_index=True)[1]]
    return float(sums[np.abs(sums / whole - asked).argmin()] / whole)


def table(rows: list[dict[str, Any]]) -> str:
    """Return the rows as a table in Markdown."""
    lines = ["| model | flags | asked | done | nearest | accuracy | met |", "|" + " --- |" * 7]
    for row in rows:
        told = [_figure(row.get(key)) for key in ("asked", "done", "nearest", "accuracy")]
        met = "yes" if row["met"] else f"no: {row['said']}"
        lines.append(f"| {row['model']} | `{row['flags']}` | {' | '.join(told)} | {met} |")
    return "\n".join(lines)


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.1%}" if isinstance(value, float) and value < 1 else f"{value:.0f}"


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
