"""The root command: a table of commands, each imported only when it is asked for."""

from __future__ import annotations

import importlib
from typing import Annotated, Any

import typer

from edgeshrink.cli.plain_commands import Group
from edgeshrink.cli.table import COMMANDS


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
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


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
