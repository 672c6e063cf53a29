"""The command `inspect`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgeshrink.cli.shared import Custom, Debug, Json, Unsafe, print_json, registry, single
from edgeshrink.errors import UsageError
from edgeshrink.models import RUNNABLE, Artifact, Kind


def app() -> typer.Typer:
    """Return the command."""
    return single(inspect)


def inspect(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A .keras, .h5, SavedModel, .tflite or .esz.")
    ],
    run: Annotated[
        bool,
        typer.Option("--try", help="Run the programs that read a .tflite and are installed here."),
    ] = False,
    toolchain: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=PYTHON",
            help="With --try: the interpreter that a converter is installed for; repeatable.",
        ),
    ] = None,
    custom: Custom = None,
    unsafe: Unsafe = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what is in a model, layer by layer.

    Example: edgeshrink inspect model.keras
    """
    from edgeshrink.cli.display import inspection
    from edgeshrink.models import identify

    path = Path(model)
    kind = identify(path)
    if toolchain and not run:
        raise UsageError("--toolchain says where --try finds a toolchain", hint="add --try")
    if kind in RUNNABLE:
        found = inspection.tflite(path, registry(), tuple(toolchain or ()), run=run)
    elif run:
        raise UsageError(
            f"--try is for .tflite and .esz files; {path} is a {kind} file",
            hint=f"`edgeshrink compress {path} --float` makes one",
        )
    else:
        found = inspection.keras(path, registry(), tuple(custom or ()), unsafe=unsafe)
    found = {"model": model, "kind": str(kind), **sizes(path, kind), **found}
    if json:
        print_json(found)
    else:
        from edgeshrink.cli.display.tables import console

        inspection.show_model(found, to=console())


def sizes(path: Path, kind: Kind) -> dict[str, Any]:
    """Return a model's bytes as they lie on disk and after deflate."""
    artifact = Artifact(path, kind)
    return {
        "size_bytes": artifact.size_bytes,
        "compressed_bytes": artifact.compressed_bytes,
        "digest": artifact.digest,
    }
