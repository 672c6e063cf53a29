"""Each kind of model through each recipe: right, worse and told, refused in words, or a fault."""

from __future__ import annotations

import hashlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import kinds
import numpy as np

import edgeshrink
from edgeshrink.errors import EdgeshrinkError, ModelError, UsageError
from edgeshrink.nn.graph import output_names, structured
from edgeshrink.plugins import installed
from edgeshrink.tflite import tflite_bytes

AGREES = 0.9
QUICK = 6  # of so many kinds, one has one of its cells in every run of the tests
RIGHT, WORSE, REFUSED, FAULT = "right", "worse, and told", "refused in words", "fault"
# said of none of these models it can be true: each was compiled with losses that Keras has, and
# has trained
UNTRUE = ("Keras has no loss", "commonest class")
# what makes a method do something to a tiny model; others get a value that their option allows
OPTIONS = {
    "depthwise": "layers=all",
    "distill": "student=width=0.5",
    "drop_layers": "count=1",
    "lowrank": "ratio=0.5",
    "merge_neurons": "ratio=0.25",
    "mixed": "drop=5",
    "prune": "sparsity=0.5",
    "round_adaptively": "iterations=20",
    "shrink": "ratio=0.25",
    "tfmot_prune": "sparsity=0.5",
}
CHAINS = {
    "prune, int8": ("prune sparsity=0.5", "int8"),
    "cluster, int8": ("cluster clusters=16", "int8"),
    "shrink, int8": ("shrink ratio=0.25", "int8"),
    "qat, int8": ("qat", "int8"),
    "prune, cluster, qat, int8": ("prune sparsity=0.5", "cluster clusters=16", "qat", "int8"),
    "distill, int8": ("distill student=width=0.5", "int8"),
    "prune, int16x8": ("prune sparsity=0.5", "int16x8"),
    "prune, int8, pack": ("prune sparsity=0.5", "int8", "pack"),
}


@dataclass(frozen=True)
class Cell:
    """What came of one kind of model and one recipe.

    Attributes:
        kind: of model.
        recipe: its name.
        mark: one of the four.
        said: the refusal, what was told of a worse result, or the fault.
        agreement: of the result with its base on test samples, 0..1; None without a result.
        seconds: that it took.
    """

    kind: str
    recipe: str
    mark: str
    said: str
    agreement: float | None
    seconds: float


def recipes() -> dict[str, tuple[str, ...]]:
    """Return the steps of each recipe: every installed method alone, then the usual chains."""
    alone = {}
    for name, method in installed().methods.items():
        value = method.value()
        given = OPTIONS.get(name, "")
        if not given and value is not None and value.required:
            given = f"{value.name}={_allowed(value)}"
        alone[name] = (f"{name} {given}".strip(),)
    return {**alone, **CHAINS}


def _allowed(option: Any) -> str:
    from typing import get_args

    return str(4 if option.type is int else get_args(option.type)[0])


def quick() -> list[tuple[str, str]]:
    """Return the cells of every run of the tests, the same each time.

    A cell takes about 10 s of one core, training the model of its kind and loading TensorFlow
    included.
    """

    def first(name: str) -> str:
        return min(recipes(), key=lambda r: hashlib.sha256(f"{name} {r}".encode()).digest())

    return [(name, first(name)) for name in list(kinds.KINDS)[::QUICK]]


def tried(name: str, recipe: str, folder: Path) -> Cell:
    """Return what comes of a kind of model and a recipe.

    Args:
        name: of the kind.
        recipe: its name.
        folder: for models, data and runs; what an earlier cell made there is used again.
    """
    model, data = kinds.written(name, folder / "models")
    steps = recipes()[recipe]
    suffix = ".esz" if "pack" in steps[-1] else ".tflite"
    started = time.perf_counter()

    def cell(mark: str, said: str = "", agreement: float | None = None) -> Cell:
        return Cell(name, recipe, mark, said, agreement, time.perf_counter() - started)

    try:
        report = edgeshrink.compress(
            model,
            output=folder / f"{name}{suffix}",
            run=folder / f"{name}.run",
            step=steps,
            data=str(data),
            epochs=1,
            lr=0.001,
            batch_size=16,
            calibration=32,
            rules="smoke",
            force=True,
        )
    except (UsageError, ModelError) as error:
        said = _words(error)
        return cell(FAULT if any(words in said for words in UNTRUE) else REFUSED, said)
    except EdgeshrinkError as error:  # a good model, good data, and no conversion that may fail
        return cell(FAULT, f"{type(error).__name__}: {_words(error)}")
    except Exception as error:
        return cell(FAULT, f"unexpected {type(error).__name__}: {error}")
    same = agreement(model, data, Path(report.output))
    if report.failed:
        return cell(WORSE, report.failed, same)
    if same >= AGREES:
        return cell(RIGHT, "", same)
    said = str(report.verdict).splitlines()
    if said[0].startswith("worse") or (len(said) > 1 and said[1].startswith("warning: ")):
        return cell(WORSE, str(report.verdict), same)
    return cell(FAULT, f"agrees on {same:.1%}, and says: {report.verdict}", same)


def _words(error: EdgeshrinkError) -> str:
    return f"{error}; hint: {error.hint}" if error.hint else str(error)


def agreement(model: Path, data: Path, result: Path) -> float:
    """Return how like its base a result answers the test samples, 0..1, the worst output counting.

    Classes and yes-or-no answers: the share that is the same, element by element. Other numbers:
    the share of the base's variance that is explained.
    """
    base = keras.models.load_model(model, compile=False)
    with np.load(data) as arrays:
        stored = {k: arrays[k] for k in arrays if k.split("/")[0] == "x_test"}
    names = [tensor.name for tensor in base.inputs]
    single = len(stored) == 1
    inputs = {
        n: stored["x_test" if single else f"x_test/{n}"].astype(t.dtype)
        for n, t in zip(names, base.inputs, strict=True)
    }
    answers = keras.tree.flatten(base.predict_on_batch(structured(base, inputs)))
    wanted = dict(zip(output_names(base), map(np.asarray, answers), strict=True))
    found = _answers(result, inputs)
    if set(found) != set(wanted):
        found = dict(zip(wanted, found.values(), strict=True))
    return min(_alike(wanted[n], found[n]) for n in wanted)


def _answers(result: Path, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(model_content=tflite_bytes(result))
    net.allocate_tensors()
    run = net.get_signature_runner()
    taken = {n: detail["dtype"] for n, detail in run.get_input_details().items()}
    inputs = {n: values.astype(taken[n]) for n, values in inputs.items()}
    parts = []
    for place in range(len(next(iter(inputs.values())))):
        net.reset_all_variables()
        parts.append(run(**{n: values[place : place + 1] for n, values in inputs.items()}))
    return {n: np.concatenate([part[n] for part in parts]) for n in parts[0]}


def _alike(wanted: np.ndarray, found: np.ndarray) -> float:
    if not np.isfinite(found).all():
        return 0.0
    if np.allclose(wanted.sum(-1), 1, atol=1e-3) and wanted.shape[-1] > 1:
        return float((wanted.argmax(-1) == found.argmax(-1)).mean())
    if wanted.shape[1:] == (1,) and wanted.min() >= 0 and wanted.max() <= 1:
        return float(((wanted > 0.5) == (found > 0.5)).mean())
    return max(0.0, 1 - float(np.square(wanted - found).mean() / wanted.var()))


def as_dict(cell: Cell) -> dict[str, Any]:
    """Return a cell as JSON values."""
    return asdict(cell)
