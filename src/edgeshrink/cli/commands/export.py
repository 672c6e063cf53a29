"""The command `export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeshrink.cli.commands.unpack import Force, told
from edgeshrink.cli.shared import Debug, Json, print_json, registry, single
from edgeshrink.errors import ModelError, UsageError


def app() -> typer.Typer:
    """Return the command."""
    return single(export)


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="A .tflite or .esz file.")],
    to: Annotated[
        str, typer.Option(metavar="NAME", help="What to write: c, or another exporter's name.")
    ] = "c",
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Where to (default: the folder of MODEL)."
        ),
    ] = "",
    force: Force = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Write a .tflite as source: C for a microcontroller, with all that its program needs to know.

    Example: edgeshrink export small.tflite --to c
    """
    from edgeshrink.engine import export as work, export_places, exporter_named
    from edgeshrink.models import RUNNABLE, identify

    path = Path(model)
    kind = identify(path)
    if kind not in RUNNABLE:
        raise ModelError(
            f"export takes a .tflite or .esz file; {model} is a {kind} file",
            hint="`edgeshrink compress MODEL --export c` does both",
        )
    folder = Path(output) if output else path.parent
    if not folder.is_dir():
        raise UsageError(f"no folder {str(folder)!r} to write to")
    exporter = exporter_named(to, registry())
    out = folder / path.name
    export_places(exporter, out, force=force)
    written = work(path, exporter, out)
    if json:
        print_json({"model": model, "files": [str(one) for one in written]})
    else:
        for one in written:
            told(f"{one}: {one.stat().st_size:,} bytes")
