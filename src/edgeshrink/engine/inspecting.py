"""What is in a model file: layers or operators, sizes, and which programs read it."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink.engine.reading import readings, tried
from edgeshrink.errors import ModelError, UsageError
from edgeshrink.models import RUNNABLE, Artifact, TensorFacts, facts, identify, refuse

if TYPE_CHECKING:
    from edgeshrink.engine.reading import Reading
    from edgeshrink.plugins import Plugins


def inspected(
    model: str | Path,
    plugins: Plugins,
    *,
    custom: Sequence[str] = (),
    unsafe: bool = False,
    run: bool = False,
    toolchains: Sequence[str] = (),
) -> dict[str, Any]:
    """Return what is in a model, as plain JSON values.

    Args:
        model: a .keras, .h5, SavedModel, .tflite or .esz.
        plugins: with the programs that read .tflite files.
        custom: `module:object` of classes that are not Keras's.
        unsafe: code inside the model file may run.
        run: whether the programs that read a .tflite, and are installed here, are run.
        toolchains: where some of them are installed, as NAME=PYTHON.

    Raises:
        UsageError: the file is of a kind that no such program reads.
        ModelError: it cannot be read.
    """
    path = Path(model)
    kind = identify(path)
    if toolchains and not run:
        raise UsageError("--toolchain says where --try finds a toolchain", hint="add --try")
    if kind in RUNNABLE:
        found = _tflite(path, plugins, toolchains, run=run)
    elif run:
        raise UsageError(
            f"--try is for .tflite and .esz files; {path} is a {kind} file",
            hint=f"`edgeshrink compress {path} --float` makes one",
        )
    else:
        found = _keras(path, custom, unsafe=unsafe)
    artifact = Artifact(path, kind)
    sizes = {
        "size_bytes": artifact.size_bytes,
        "compressed_bytes": artifact.compressed_bytes,
        "digest": artifact.digest,
    }
    return {"model": str(model), "kind": str(kind), **sizes, **found}


def _keras(path: Path, custom: Sequence[str], *, unsafe: bool) -> dict[str, Any]:
    """Return the layers of a Keras model and their totals."""
    found = facts(path)
    notes = refuse(found, unsafe=unsafe, custom=custom, source=str(path))
    from edgeshrink.nn.graph import count
    from edgeshrink.nn.loading import load_model

    model = load_model(path, custom=custom, unsafe=unsafe)
    counted = count(model)
    inputs, outputs = _ends(model)
    return {
        "keras": found.keras_version,
        "inputs": [asdict(tensor) for tensor in inputs or found.inputs],
        "outputs": [asdict(tensor) for tensor in outputs or found.outputs],
        "parameters": counted.parameters,
        "trainable": counted.trainable,
        "nonzeros": counted.nonzeros,
        "macs": counted.macs,
        "weight_bytes": sum(layer.bytes for layer in counted.layers),
        "layers": [asdict(layer) for layer in counted.layers],
        "notes": list(notes),
    }


def _ends(model: Any) -> tuple[list[TensorFacts], list[TensorFacts]]:
    """Return what a loaded model takes and returns, which its file does not always tell.

    Of a subclassed model neither is known.
    """
    from edgeshrink.nn.graph import output_names

    if not getattr(model, "outputs", None):
        return [], []
    names = [tensor.name for tensor in model.inputs], output_names(model)
    inputs, outputs = (
        [TensorFacts(n, tuple(t.shape), str(t.dtype)) for n, t in zip(told, tensors, strict=True)]
        for told, tensors in zip(names, (model.inputs, model.outputs), strict=True)
    )
    return inputs, outputs


def _tflite(
    path: Path, plugins: Plugins, toolchains: Sequence[str], *, run: bool
) -> dict[str, Any]:
    """Return a .tflite file's operators, packed or not, totals, and what reads it.

    Args:
        path: of the file.
        plugins: with the programs that read such files.
        toolchains: where some of them are installed, as NAME=PYTHON.
        run: whether those of them that are installed are run.
    """
    from edgeshrink.tflite import (
        DECODE,
        decoded,
        float_operators,
        read_metadata,
        read_model,
        runtime_requirements,
        tflite_bytes,
    )

    data = tflite_bytes(path)
    model, whole = read_model(data), read_model(decoded(data))  # alike, but for look-up tables
    weights = {(tensor.subgraph, tensor.index) for tensor in whole.weights}
    operators, spelled_out = [], iter(whole.operators)
    tables: dict[int, int] = {}  # bytes by buffer, of indices and values that are looked up
    for operator in model.operators:
        taken, given = model.tensors_of(operator)
        own = []
        if operator.name == DECODE:
            tables |= {tensor.buffer: tensor.bytes for tensor in taken}
        else:
            read, _ = whole.tensors_of(next(spelled_out))
            own = [tensor for tensor in read if (tensor.subgraph, tensor.index) in weights]
        operators.append(
            {
                "index": operator.index,
                "subgraph": operator.subgraph,
                "operator": operator.name,
                "version": operator.version,
                "output": list(given[0].shape) if given else [],
                "dtype": given[0].dtype if given else "",
                "weights": own[0].dtype if own else "",
                "parameters": sum(tensor.elements for tensor in own),
                "nonzeros": sum(tensor.nonzeros or 0 for tensor in own),
                "macs": operator.macs,
                "bytes": sum(
                    tensor.bytes
                    for tensor in taken
                    if operator.name == DECODE or (tensor.subgraph, tensor.index) in weights
                ),
            }
        )
    floats = [reason for _, reason in float_operators(model)]
    integer = any(tensor.dtype.startswith(("int8", "uint8", "int16")) for tensor in whole.weights)
    notes = runtime_requirements(model)
    if model.runtime_version and not tables:
        notes.append(
            f"the file's own note says that TensorFlow Lite {model.runtime_version} runs it, and "
            "can be too low: it goes by versions of operators alone; edgeshrink bench FILE "
            "--device NAME runs it there"
        )
    if integer and floats:
        notes += [f"{count} × {reason}" for reason, count in Counter(floats).items()]
    try:
        metadata = read_metadata(data)
    except ModelError as error:
        metadata = None
        notes.append(f"its metadata cannot be read: {error}")
    return {
        "runtime_version": model.runtime_version,
        "inputs": [_tensor(tensor) for tensor in model.inputs],
        "outputs": [_tensor(tensor) for tensor in model.outputs],
        "signatures": [signature.key for signature in model.signatures],
        "metadata": list(model.metadata),
        "described": asdict(metadata) if metadata else None,
        "stateful": model.stateful,
        "types": dict(Counter(tensor.dtype for tensor in model.tensors)),
        "parameters": whole.parameters,
        "nonzeros": whole.nonzeros,
        "macs": model.macs,
        "weight_bytes": model.weight_bytes + sum(tables.values()),
        "operators": operators,
        "notes": notes,
        "readers": [
            _told(one)
            for one in _tried(readings(model, plugins), data, plugins, toolchains, run=run)
        ],
    }


def _tried(
    told: Sequence[Reading],
    data: bytes,
    plugins: Plugins,
    toolchains: Sequence[str],
    *,
    run: bool,
) -> Sequence[Reading]:
    """Return readings with what running the programs says, where that is asked for."""
    if not run:
        return told
    with tempfile.TemporaryDirectory(prefix="edgeshrink-") as folder:
        path = Path(folder, "model.tflite")
        path.write_bytes(data)
        return [tried(path, one, plugins, toolchains) for one in told]


def _told(one: Reading) -> dict[str, Any]:
    return {
        "name": one.reader.name,
        "title": one.reader.title,
        "reads": None if one.untried and not one.refuses else not one.refuses,
        "refuses": list(one.refuses),
        "untried": list(one.untried),
        "runs": None if one.tried is None else not one.tried,
        "tried": one.tried or "",
        "how": one.how,
    }


def _tensor(tensor: Any) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "shape": list(tensor.shape_signature or tensor.shape),
        "dtype": tensor.dtype,
        "scales": list(tensor.scales),
        "zero_points": list(tensor.zero_points),
    }
