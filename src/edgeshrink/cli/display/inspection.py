"""How what `inspect` finds looks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from edgeshrink import words
from edgeshrink.cli.display.tables import Column, left, show, write

if TYPE_CHECKING:
    from rich.console import Console

FEW = 8  # labels that are shown


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
