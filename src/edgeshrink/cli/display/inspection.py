"""What `inspect` finds in a model, and how it looks."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgeshrink import words
from edgeshrink.cli.display.tables import Column, left, show, write
from edgeshrink.errors import ModelError

if TYPE_CHECKING:
    from rich.console import Console

    from edgeshrink.engine import Reading
    from edgeshrink.models import TensorFacts
    from edgeshrink.plugins import Plugins

FEW = 8  # labels that are shown


def keras(path: Path, plugins: Plugins, custom: tuple[str, ...], *, unsafe: bool) -> dict[str, Any]:
    """Return the layers of a Keras model and their totals."""
    from edgeshrink.models import facts, refuse

    found = facts(path)
    notes = refuse(found, unsafe=unsafe, custom=custom, source=str(path))
    from edgeshrink.cli.quiet_stderr import quiet

    with quiet():  # TensorFlow has things to say while it is imported
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
    from edgeshrink.models import TensorFacts
    from edgeshrink.nn.graph import output_names

    if not getattr(model, "outputs", None):
        return [], []
    names = [tensor.name for tensor in model.inputs], output_names(model)
    inputs, outputs = (
        [TensorFacts(n, tuple(t.shape), str(t.dtype)) for n, t in zip(told, tensors, strict=True)]
        for told, tensors in zip(names, (model.inputs, model.outputs), strict=True)
    )
    return inputs, outputs


def tflite(
    path: Path, plugins: Plugins, toolchains: Sequence[str] = (), *, run: bool = False
) -> dict[str, Any]:
    """Return a .tflite file's operators, packed or not, totals, and what reads it.

    Args:
        path: of the file.
        plugins: with the programs that read such files.
        toolchains: where some of them are installed, as NAME=PYTHON.
        run: whether those of them that are installed are run.
    """
    from edgeshrink.engine import readings
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
    from edgeshrink.cli.quiet_stderr import quiet
    from edgeshrink.engine import tried

    with quiet(), tempfile.TemporaryDirectory(prefix="edgeshrink-") as folder:
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


def show_model(found: Mapping[str, Any], *, to: Console) -> None:
    """Print a model: its ends, a row for each layer or operator, and totals."""
    made = found.get("keras") and f", Keras {found['keras']}"
    write(f"{found['model']}: {found['kind']}{made or ''}", to=to)
    for end in ("inputs", "outputs"):
        for tensor in found[end]:
            scales = tensor.get("scales")
            how = f", scale {scales[0]:g}, zero at {tensor['zero_points'][0]}" if scales else ""
            write(
                f"{tensor['name']}: {_shape(tensor['shape'])} {tensor['dtype']}{how}",
                to=to,
                lead=f"{end[:-1]}  ",
            )
    for line in _described(found.get("described") or {}):
        write(line, to=to, lead="metadata  ")
    to.print()
    keras = "layers" in found
    rows = found["layers"] if keras else found["operators"]
    names = [row["path"] if keras else f"{row['index']} {row['operator']}" for row in rows]
    columns = (
        [left("class", [row["layer"] for row in rows])]
        if keras
        else [
            Column("version", [str(row["version"]) for row in rows]),
            left("weights", [row["weights"] or words.NONE for row in rows]),
        ]
    )
    columns += [
        Column("output", [_shape(row["output"]) for row in rows]),
        left("dtype", [row["dtype"] for row in rows]),
        Column("parameters", [f"{row['parameters']:,}" for row in rows]),
        Column("non-zero", [_nonzero(row) for row in rows]),
        Column("MACs", [f"{row['macs']:,}" for row in rows]),
        Column("bytes", [f"{row['bytes']:,}" for row in rows]),
    ]
    show(Column("layer" if keras else "operator", names), columns, to=to)
    to.print()
    trained = f", {found['trainable']:,} trainable" if "trainable" in found else ""
    write(
        f"{found['parameters']:,} parameters ({_nonzero(found)} non-zero{trained}), "
        f"{found['macs']:,} MACs, "
        f"{found['weight_bytes']:,} bytes of weights; the file has {found['size_bytes']:,} bytes, "
        f"{found['compressed_bytes']:,} deflated",
        to=to,
    )
    if "types" in found:
        said = ", ".join(f"{count} {name}" for name, count in found["types"].items())
        write(f"tensors: {said}", to=to)
    for note in found["notes"]:
        write(note, to=to, lead="– ")
    _show_readers(found.get("readers", []), to=to)


def _show_readers(readers: Sequence[Mapping[str, Any]], *, to: Console) -> None:
    """Print which programs read a file, and why others do not."""
    if reading := [one["title"] for one in readers if one["reads"]]:
        write(", ".join(reading), to=to, lead="read by  ")
    for one in readers:
        if one["refuses"]:
            write(f"{one['title']}: {'; '.join(one['refuses'])}", to=to, lead="refused by  ")
    for one in readers:
        if one["reads"] is None:
            write(f"{one['title']}: {'; '.join(one['untried'])}", to=to, lead="not known of  ")
    for one in readers:
        if one["runs"] is not None:
            said = "takes it" if one["runs"] else one["tried"]
            write(f"{one['title']} ({one['how']}): {said}", to=to, lead="tried  ")
        elif one["how"]:
            write(f"{one['title']}: {one['how']}", to=to, lead="not tried  ")


def _described(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield what metadata says, a line for each thing that it tells of."""
    yield from (told[key] for key in ("name", "description") if told.get(key))
    for tensor in (*told.get("inputs", ()), *told.get("outputs", ())):
        said = [tensor["colors"] or tensor["content"]]
        if tensor["mean"]:
            mean, std = (", ".join(f"{v:g}" for v in tensor[key]) for key in ("mean", "std"))
            said.append(f"mean {mean}, std {std}")
        if tensor["labels"]:
            count, few = len(tensor["labels"]), ", ".join(tensor["labels"][:FEW])
            said.append(f"{count} labels: {few}{', …' if count > FEW else ''}")
        yield f"{tensor['name']}: {'; '.join(filter(None, said)) or 'nothing more'}"
    if told.get("files"):
        yield f"files: {', '.join(told['files'])}"


def _shape(shape: Any) -> str:
    if shape is None:
        return "?"
    return "×".join("?" if size in (None, -1) else str(size) for size in shape) or "scalar"


def _nonzero(row: Mapping[str, Any]) -> str:
    if not row["parameters"]:
        return words.NONE
    return words.percent(row["nonzeros"] / row["parameters"])
