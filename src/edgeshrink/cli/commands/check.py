"""The command `check`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from edgeshrink.cli.say import say
from edgeshrink.cli.shared import Debug, Json, print_json, single
from edgeshrink.cli.typer_flags import with_method_flags
from edgeshrink.errors import UsageError
from edgeshrink.flag import build
from edgeshrink.models import write_text
from edgeshrink.results import Budgets


def app() -> typer.Typer:
    """Return the command."""
    return single(with_method_flags({}, keeping=Budgets)(check))


def check(
    path: Annotated[
        str,
        typer.Argument(
            metavar="PATH", help="A report of compress or bench, a run folder, or the file beside."
        ),
    ],
    baseline: Annotated[
        str,
        typer.Option(
            metavar="PATH",
            help="An earlier report: its result is what --max-drop, --no-larger and --no-slower "
            "compare with, in place of the base, or the first model, of PATH itself.",
        ),
    ] = "",
    junit: Annotated[
        str, typer.Option(metavar="FILE", help="Also write JUnit's XML here, a test case a rule.")
    ] = "",
    markdown: Annotated[
        str,
        typer.Option(metavar="FILE", help="Also write Markdown here; - prints it, and no lines."),
    ] = "",
    json: Json = False,
    debug: Debug = False,
    *,
    chosen: dict[str, Any],
    keeping: dict[str, Any],
) -> None:
    """Hold a report against budgets: exit code 4, and a sentence for each that is not kept.

    What cannot be judged is not kept: where the report has no such figure, or two reports have
    other devices, threads, data or metrics. Of a report of bench with several models, all but the
    first are held.

    Example: edgeshrink check small.report.json --max-drop 1% --max-bytes 100kB --max-ms 'p90<25'
    """
    budgets = build(Budgets, keeping, "check")
    if json and markdown == "-":
        raise UsageError("--json and --markdown - both ask for standard output", hint="drop one")
    for written in filter(None, (junit, "" if markdown == "-" else markdown)):
        _check_written(Path(written), (path, baseline))
    from edgeshrink.cli.display import check_result as display
    from edgeshrink.engine import check as work

    found = work(Path(path), budgets, Path(baseline) if baseline else None)
    if junit:
        write_text(Path(junit), display.junit(found))
    if markdown not in ("", "-"):
        write_text(Path(markdown), display.markdown(found))
    if json:
        print_json(found.as_dict())
    elif markdown == "-":
        say(display.markdown(found).rstrip("\n"))
    else:
        say("\n".join(display.lines(found)))
    if found.unkept:
        raise typer.Exit(4)


def _check_written(file: Path, read: tuple[str, ...]) -> None:
    """Refuse to write over what is read, or where there is no folder.

    Raises:
        UsageError: that would be so.
    """
    if any(name and file.absolute() == Path(name).absolute() for name in read):
        raise UsageError(f"{file} is read, and would be overwritten", hint="name another file")
    if not file.absolute().parent.is_dir():
        raise UsageError(f"no folder {str(file.parent)!r} to write {file.name} to")
