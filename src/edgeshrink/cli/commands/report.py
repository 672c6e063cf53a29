"""The command `report`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from edgeshrink.cli.say import say
from edgeshrink.cli.shared import Debug, registry, single
from edgeshrink.errors import UsageError, near
from edgeshrink.results import Report, Reporter

Format = Annotated[
    str,
    typer.Option(metavar="table|NAME", help="table, markdown, json, or another reporter's name."),
]
Json = Annotated[bool, typer.Option("--json", help="The same as --format json.")]


def app() -> typer.Typer:
    """Return the command."""
    return single(report)


def report(
    path: Annotated[
        str, typer.Argument(metavar="PATH", help="A run folder, a report, or the file beside it.")
    ],
    format: Format = "table",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Print the report of a run again.

    Example: edgeshrink report small.tflite --format markdown
    """
    reporter = reporter_for("json" if json else format)
    found = Report.read(Path(path))
    if reporter is not None:
        say(reporter.render(found).rstrip("\n"))
        return
    from edgeshrink.cli.display.runs import show_report
    from edgeshrink.cli.display.tables import console

    show_report(found, to=console())


def reporter_for(name: str) -> Reporter | None:
    """Return the reporter of this name, or None for the table.

    Raises:
        UsageError: there is none.
    """
    if name == "table":
        return None
    reporters = registry().reporters
    if name not in reporters:
        raise UsageError(f"no format {name!r}", hint=near(name, ["table", *reporters]))
    return reporters[name]()
