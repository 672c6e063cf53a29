"""The root command: a table of commands, each imported only when it is asked for."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer

from edgeshrink.cli.plain_commands import Group

COMMANDS = {
    "compress": "Make a model smaller: prune, quantize, convert, run, measure.",
    "bench": "Time models on devices, and score them there.",
    "study": "Run a grid of models and recipes, and set it beside published values.",
    "inspect": "Show what is in a model, layer by layer.",
    "sensitivity": "Show which layers bear fewer bits, and which do not.",
    "pack": "Code a .tflite near its entropy, as an .esz file.",
    "unpack": "Give back the .tflite of an .esz file, to the last bit.",
    "report": "Print the report of a run again.",
    "compare": "Put the results of several runs side by side.",
    "devices": "List devices, add one, set it up, test it.",
    "clean": "Show what is kept to go on from, with its size, and remove it.",
    "methods": "List methods, or show the options of one.",
    "plugins": "List plugins: versions, load times, errors.",
    "doctor": "Check what is installed, and say what is missing.",
}


class Commands(Group):
    """Shows help from the table alone and imports a command's module when it is called."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command, built now."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"edgeshrink.cli.commands.{cmd_name}")
        return typer.main.get_command(module.app())

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command that the arguments name; refuse others with near matches."""
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            from edgeshrink.errors import UsageError, near

            raise UsageError(f"no command {args[0]!r}", hint=near(args[0], COMMANDS))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write the table."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    cls=Commands,
    rich_markup_mode=None,  # rich would triple the time of the root's help
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _version(value: bool) -> None:
    if value:
        from importlib.metadata import PackageNotFoundError, version

        try:
            typer.echo(f"edgeshrink {version('edgeshrink')}")
        except PackageNotFoundError:
            typer.echo("edgeshrink (not installed)")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Make Keras models small, and measure them where they run.

    Every command takes --debug, which shows where an error came from.
    """
