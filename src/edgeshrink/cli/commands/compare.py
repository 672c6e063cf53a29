"""The command `compare`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Annotated

import typer

from edgeshrink.cli.commands.report import Format, Json, reporter_for
from edgeshrink.cli.say import say
from edgeshrink.cli.shared import Debug, registry, single
from edgeshrink.errors import UsageError
from edgeshrink.results import Ledger, Report, with_merits


def app() -> typer.Typer:
    """Return the command."""
    return single(compare)


def compare(
    paths: Annotated[
        list[str],
        typer.Argument(metavar="PATHS...", help="Run folders, reports, or the files beside them."),
    ],
    format: Format = "table",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Put the results of several runs side by side.

    Example: edgeshrink compare small.tflite smaller.tflite
    """
    if len(paths) < 2:
        raise UsageError("compare needs two reports or more", hint="name another run")
    reporter = reporter_for("json" if json else format)
    reports = together({path: Report.read(Path(path)) for path in paths})
    if reporter is not None:
        say(reporter.compare(reports).rstrip("\n"))
        return
    from edgeshrink.cli.display.runs import show_comparison
    from edgeshrink.cli.display.tables import console

    show_comparison(reports, to=console())


def together(reports: Mapping[str, Report]) -> dict[str, Report]:
    """Return the reports with figures of merit that are reckoned among the rows of all."""
    rows = [row for report in reports.values() for row in report.ledger.rows]
    borne = {
        id(row)
        for report in reports.values()
        for row in report.ledger.rows
        if report.verdict.has_merits(row)
    }
    found = iter(with_merits(rows, registry().merits, lambda row: id(row) in borne))
    return {
        name: replace(report, ledger=Ledger(tuple(islice(found, len(report.ledger.rows)))))
        for name, report in reports.items()
    }
