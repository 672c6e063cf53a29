"""The command `clean`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from edgeshrink.cli.say import say
from edgeshrink.cli.shared import Debug, Json, print_json, single
from edgeshrink.words import size


def app() -> typer.Typer:
    """Return the command."""
    return single(clean)


def clean(
    folders: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="FOLDERS...",
            help="Run folders, or folders that hold some (default: this one, and all caches).",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Remove without asking.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show.")] = False,
    json: Json = False,
    debug: Debug = False,
) -> None:
    """Show what edgeshrink keeps to go on from, with its size, and remove it.

    That is the run folders beside results, and what was measured, built or fetched for devices.
    Only folders that bear edgeshrink's own mark are touched, and none that a run works in; results
    and their reports stay. Where standard input is no terminal, nothing is removed without --yes.

    Example: edgeshrink clean --dry-run
    """
    from edgeshrink.engine import places_kept

    found = places_kept([Path(folder) for folder in folders or ()])
    removes = [place for place in found if not place.busy] if yes and not dry_run else []
    if not json:
        for place in found:
            busy = ", in use" if place.busy else ""
            say(f"{size(place.bytes):>12}  {place.folder}{busy}")
        total = sum(place.bytes for place in found)
        say(f"{size(total):>12}  in all" if found else "nothing is kept here")
        asks = not (yes or dry_run) and any(not place.busy for place in found)
        if asks and sys.stdin.isatty():
            typer.confirm("Remove them?", abort=True)
            removes = [place for place in found if not place.busy]
        elif asks:
            say("hint:  --yes removes them", err=True)
    gone = [place for place in removes if place.removed()]
    if json:
        rows = [
            {"folder": str(p.folder), "bytes": p.bytes, "in_use": p.busy, "removed": p in gone}
            for p in found
        ]
        print_json({"places": rows})
    elif gone:
        say(f"removed {size(sum(place.bytes for place in gone))}")


def tell_size(folder: Path) -> None:
    """Say on standard error what a run keeps, where that is much."""
    from edgeshrink.engine import large

    if kept := large(folder):
        say(f"hint:  {folder} keeps {size(kept)}; `edgeshrink clean` removes it", err=True)
