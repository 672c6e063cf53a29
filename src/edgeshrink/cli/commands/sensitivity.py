"""The command `sensitivity`."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgeshrink.cli.shared import Debug, Json, print_json, registry, single, warn
from edgeshrink.cli.typer_flags import with_method_flags
from edgeshrink.errors import UsageError
from edgeshrink.flag import build
from edgeshrink.models import write_text
from edgeshrink.results import json_text
from edgeshrink.samples import Meaning, Reading

if TYPE_CHECKING:
    from rich.console import Console

    from edgeshrink.engine import SensitivityReport
    from edgeshrink.results import Width

SUFFIXES = (".csv", ".json")


def app() -> typer.Typer:
    """Return the command."""
    return single(with_method_flags({}, images=Reading, meaning=Meaning)(sensitivity))


def sensitivity(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A .keras, .h5 or SavedModel of Keras.")
    ],
    data: Annotated[
        str, typer.Option(metavar="SPEC", help="Data to measure on, as for compress.")
    ] = "",
    preprocess: Annotated[
        str, typer.Option(metavar="SPEC", help="What the model expects, as for compress.")
    ] = "none",
    metric: Annotated[str, typer.Option(metavar="NAME", help="Score of record.")] = "",
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="Also write a .csv or .json here."),
    ] = "",
    input_shape: Annotated[
        list[str] | None,
        typer.Option(metavar="SHAPE", help="Fix a dynamic shape, as for compress; repeatable."),
    ] = None,
    custom: Annotated[
        list[str] | None,
        typer.Option(metavar="MODULE:OBJECT", help="A custom class of the model; repeatable."),
    ] = None,
    unsafe: Annotated[
        bool, typer.Option("--unsafe", help="Run code that is stored in the model (Lambda layers).")
    ] = False,
    json: Json = False,
    debug: Debug = False,
    *,
    chosen: dict[str, Any],
    images: dict[str, Any],
    meaning: dict[str, Any],
) -> None:
    """Show which layers bear fewer bits, and which do not.

    The weights of one layer at a time are rounded to 8, 4 and 2 bits, batch norms folded, and the
    model's answers to validation samples (made-up inputs without data) compared with what they
    were. Recurrent layers and embeddings, which are never stored in fewer than 8 bits, are not
    listed.

    Example: edgeshrink sensitivity model.keras --data mnist.npz --preprocess scale=1/255
    """
    out = _checked(output, model)
    from edgeshrink.cli.commands.compress import shapes
    from edgeshrink.cli.display.progress import Watcher
    from edgeshrink.engine import SensitivityRequest, sensitivity as work

    plugins = registry()
    request = SensitivityRequest(
        model=Path(model),
        data=data,
        preprocess=preprocess,
        resize=build(Reading, images, "sensitivity").resize,
        task=build(Meaning, meaning, "sensitivity").task,
        metric=metric,
        unsafe=unsafe,
        custom=tuple(custom or ()),
        input_shapes=shapes(input_shape or []),
    )
    with Watcher(plugins):
        report = work(request, plugins)
    warn(*report.warnings)
    document = report.as_dict()
    if out is not None:
        text = as_csv(document["layers"]) if out.suffix == ".csv" else json_text(document) + "\n"
        write_text(out, text)
    if json:
        print_json(document)
    else:
        from edgeshrink.cli.display.tables import console

        show_sensitivity(report, to=console())


def _checked(output: str, model: str) -> Path | None:
    if not output:
        return None
    out = Path(output)
    if out.suffix not in SUFFIXES:
        raise UsageError(f"-o must end in {' or '.join(SUFFIXES)}; received {output!r}")
    if out.absolute() == Path(model).absolute():
        raise UsageError(f"-o would overwrite {model}", hint="name another file")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"no folder {str(out.parent)!r} to write {output} to")
    return out


def as_csv(layers: Sequence[Mapping[str, Any]]) -> str:
    """Return one line for each layer and width."""
    text = io.StringIO()
    heads = ("layer", "parameters", "bits", "bytes", "divergence", "agreement", "score")
    table = csv.DictWriter(text, heads, lineterminator="\n")
    table.writeheader()
    for layer in layers:
        first = {"layer": layer["layer"], "parameters": layer["parameters"]}
        table.writerows({**first, **width} for width in layer["widths"])
    return text.getvalue()


def show_sensitivity(report: SensitivityReport, *, to: Console) -> None:
    """Print a row for each layer, and what to do with them."""
    from edgeshrink import words
    from edgeshrink.cli.display.tables import Column, show, write

    kind = "made-up" if report.synthetic else "validation"
    said = f"; {report.score.metric} is {words.score(report.score)}" if report.score else ""
    write(f"{report.model} on {report.samples:,} {kind} samples{said}", to=to)
    if not report.layers:
        write("no layer has weights that could be stored in fewer than 8 bits", to=to)
        return
    to.print()
    layers, base = report.layers, report.score
    cells: dict[str, Callable[[Width], str]] = {
        "bytes": lambda w: f"{w.bytes:,}",
        "divergence": lambda w: words.digits(w.divergence, 2),
        "agreement": lambda w: words.NONE if w.agreement is None else words.percent(w.agreement),
        "score" if base is None else base.metric: lambda w: (
            words.NONE
            if base is None or w.score is None
            else words.score(replace(base, value=w.score))
        ),
    }
    columns = [
        Column("parameters", [f"{layer.parameters:,}" for layer in layers]),
        Column("float bytes", [f"{4 * layer.parameters:,}" for layer in layers]),
    ]
    for place, width in enumerate(layers[0].widths):
        for group, (head, cell) in enumerate(cells.items()):
            told = [cell(layer.widths[place]) for layer in layers]
            columns.append(Column(f"{head}\n{width.bits} bits", told, group))
    columns.sort(key=lambda column: column.group)
    show(Column("layer", [layer.layer for layer in layers]), columns, to=to)
    to.print()
    write(
        "divergence: KL in nats where outputs are probabilities, else squared distance over "
        "variance; one layer rounded, the others in float",
        to=to,
    )
    first = layers[0].layer
    write(
        "the layers at the top need their bits: --mixed-bytes N spends a budget of bytes by this "
        f"table, --int4 --int4-keep {first} keeps layers of your choice at 8 bits",
        to=to,
    )
