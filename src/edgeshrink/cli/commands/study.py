"""The command `study`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgeshrink.cli.commands.clean import tell_size
from edgeshrink.cli.say import say
from edgeshrink.cli.shared import Debug, Json, print_json, registry, single
from edgeshrink.cli.typer_flags import with_method_flags
from edgeshrink.cli.work import Work
from edgeshrink.errors import UsageError
from edgeshrink.flag import build


def app() -> typer.Typer:
    """Return the command."""
    return single(with_method_flags({}, work=Work)(study))


def study(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A study: models, recipes and tables in TOML.")
    ],
    root: Annotated[
        str,
        typer.Option(metavar="FOLDER", help="Where its paths begin (default: FILE's folder)."),
    ] = "",
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FOLDER",
            help="Where the tables go; made if need be (default: here).",
        ),
    ] = "",
    run: Annotated[
        str,
        typer.Option(metavar="FOLDER", help="Where every run is kept (default: beside them)."),
    ] = "",
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="TABLE/ROW", help="Run what fits this pattern; repeat for more."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the runs, and which are done; do none.")
    ] = False,
    retell: Annotated[
        bool,
        typer.Option(
            "--retell", help="Write the tables again, in FILE's words of now; figures stay."
        ),
    ] = False,
    json: Json = False,
    debug: Debug = False,
    *,
    chosen: dict[str, Any],
    work: dict[str, Any],
) -> None:
    """Run a grid of models and recipes, and set it beside published values.

    What is done is not done again: a study that is interrupted goes on where it was. A run that
    fails is told in its row. Tables are written as Markdown, JSON and HTML.

    Example: edgeshrink study grid.toml --jobs 2 -o results
    """
    from edgeshrink.cli.display.progress import Watcher
    from edgeshrink.engine import StudyRequest, plan_study, retell_study, study as engine_study

    plugins = registry()
    if root and not Path(root).is_dir():
        raise UsageError(f"--root must be a folder; received {root!r}")
    asked = build(Work, work, "study")
    request = StudyRequest(
        Path(file),
        Path(root) if root else None,
        Path(output),
        Path(run) if run else None,
        asked.jobs,
        asked.scheduler,
        tuple(only or ()),
    )
    if dry_run:
        planned = plan_study(request, plugins)
        if json:
            print_json([{**one.run._asdict(), "done": one.done} for one in planned])
        else:
            for one in planned:
                say(f"{'done' if one.done else 'to do'}  {one.run}")
            say(f"{sum(one.done for one in planned)} of {len(planned)} runs are done")
        return
    with Watcher(plugins):
        report = (retell_study if retell else engine_study)(request, plugins)
    if json:
        print_json(report.as_dict())
    else:
        say(plugins.reporters["markdown"]().study(report).rstrip("\n"))
        files = (request.tables(reporter.suffix) for reporter in plugins.reporters.values())
        say(f"\nwritten: {', '.join(str(file) for file in files if file.exists())}")
    tell_size(request.run_folder)
    if report.lost:
        raise typer.Exit(3)
    if report.failed:
        raise typer.Exit(1)
