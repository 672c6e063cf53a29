"""How the kit runs a method: a context like the engine's, and models that answer."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.devices import BenchPlan, DeviceInfo, DeviceProfile, Measurement
from edgeshrink.recipes import Agreement, Context, Method, Training
from edgeshrink.testing.samples import CLASSES, SIDE

if TYPE_CHECKING:
    import keras
    import numpy as np

    from edgeshrink.samples import Dataset

PROFILE = DeviceProfile("test")


def context(
    step: Method, given: Any, model: keras.Model, data: Dataset | None, folder: Path
) -> Context:
    """Return what the engine would lend the step; nothing is timed for real."""
    import keras

    reference = outputs(given)
    chosen = Training(epochs=1, lr=1e-3, batch_size=32).over(step.training or Training())
    settings = chosen.over(Training(teacher="none"))
    return Context(
        data=data,
        profile=PROFILE,
        folder=folder,
        seed=0,
        training=settings if data is not None else Training(),
        progress=lambda share, note: None,
        original=lambda: keras.models.clone_model(model),
        evaluate=lambda candidate, most=None: _accuracy(candidate, data, most),
        agreement=lambda candidate: _agreement(reference, outputs(candidate)),
        measure=_timed,
        log=folder / "run.log",
    )


def as_tflite(model: keras.Model, folder: Path) -> bytes:
    """Return the model as a float .tflite."""
    from edgeshrink.nn.conversion import Conversion, convert

    return convert(model, {"float": Conversion()}, folder)["float"]


def is_model(value: Any) -> bool:
    """Return whether a value is a Keras model."""
    import keras

    return isinstance(value, keras.Model)


def is_json(value: Any) -> bool:
    """Return whether a value can be written as JSON."""
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def opened_again(model: keras.Model, folder: Path, name: str) -> keras.Model:
    """Return the model saved and opened by plain Keras: no wrapper and no custom class is left."""
    import keras

    path = folder / "made.keras"
    try:
        model.save(path)
        return keras.models.load_model(path)
    except (TypeError, ValueError, OSError) as error:
        raise AssertionError(f"plain Keras cannot open what {name} made: {error}") from error


def outputs(model: Any, inputs: np.ndarray | None = None) -> np.ndarray:
    """Return the answers of a Keras model, or of a .tflite file's bytes, to fixed inputs."""
    import numpy as np

    if inputs is None:
        inputs = np.random.default_rng(3).random((16, SIDE, SIDE, 1), dtype=np.float32)
    if not isinstance(model, bytes):
        import keras

        structure = keras.tree.map_structure(lambda tensor: inputs, model.input)
        answers: np.ndarray = model(structure, training=False).numpy()
        return answers
    from ai_edge_litert.interpreter import Interpreter

    net = Interpreter(model_content=model)
    net.allocate_tensors()
    taken, given = net.get_input_details()[0], net.get_output_details()[0]
    found = []
    for sample in inputs:
        scale, zero = taken["quantization"]
        stored = np.round(sample[None] / scale + zero) if scale else sample[None]
        net.set_tensor(taken["index"], stored.astype(taken["dtype"]))
        net.invoke()
        answer = net.get_tensor(given["index"])[0].astype(np.float32)
        scale, zero = given["quantization"]
        found.append((answer - zero) * scale if scale else answer)
    return np.stack(found)


def values(model: Any) -> dict[str, np.ndarray]:
    """Return a Keras model's kernels by path; nothing for a file."""
    if isinstance(model, bytes):
        return {}
    return {v.path: v.numpy() for v in model.weights if len(v.shape) >= 2}


def check_kept(
    step: Method, before: Mapping[str, np.ndarray], after: Mapping[str, np.ndarray]
) -> None:
    """Check that zeros and clusters are there still, where the method says so."""
    import numpy as np

    for path, old in before.items():
        new = after.get(path)
        if new is None or new.shape != old.shape:
            continue
        if "sparsity" in step.keeps and np.count_nonzero(new[old == 0]):
            raise AssertionError(f"{step.name} says that it keeps zeros; {path} lost some")
        few, many = len(np.unique(old[old != 0])), len(np.unique(new[new != 0]))
        if "clusters" in step.keeps and many > few:
            raise AssertionError(f"{step.name} says that it keeps clusters; {path} has more values")


def _accuracy(model: Any, data: Dataset | None, most: int | None) -> float | None:
    if data is None or data.validation is None or data.validation.labels is None:
        return None
    import numpy as np

    rows = np.arange(len(data.validation))[:most]
    answers = outputs(model, data.values(data.validation, rows)["image"]).argmax(axis=-1)
    return float((answers == data.validation.labels[rows]).mean())


def _agreement(reference: np.ndarray, found: np.ndarray) -> Agreement:
    import numpy as np

    same = float((reference.argmax(axis=-1) == found.argmax(axis=-1)).mean())
    norms = np.linalg.norm(reference, axis=-1) * np.linalg.norm(found, axis=-1)
    cosine = float(((reference * found).sum(axis=-1) / np.maximum(norms, 1e-12)).mean())
    spread = float(reference.max() - reference.min()) or 1.0
    worst = float(abs(reference - found).max()) / spread
    return Agreement(len(reference), True, same, cosine, worst, CLASSES)


def _timed(model: bytes, *, profile: bool = False) -> Measurement:
    """Return a measurement whose latency is the file's size in microseconds: smaller is faster."""
    return Measurement(
        model="candidate",
        digest="",
        device=DeviceInfo(PROFILE.name),
        plan=BenchPlan(),
        samples_ns=(len(model) * 1000,) * 50,
        load_ms=1.0,
        first_ms=1.0,
        threads=1,
        kernels="xnnpack",
    )
