"""The command `inspect`."""

from __future__ import annotations

from typing import Annotated

import typer

from edgeshrink.cli.shared import Custom, Debug, Json, Unsafe, print_json, registry, single


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
    from edgeshrink.cli.quiet_stderr import quiet
    from edgeshrink.engine import inspected

    plugins = registry()
    with quiet():  # TensorFlow has things to say while it is imported
        found = inspected(
            model,
            plugins,
            custom=tuple(custom or ()),
            unsafe=unsafe,
            run=run,
            toolchains=tuple(toolchain or ()),
        )
    if json:
        print_json(found)
    else:
        from edgeshrink.cli.display.inspection import show_model
        from edgeshrink.cli.display.tables import console

        show_model(found, to=console())
