"""The command `plugins`."""

from __future__ import annotations

from dataclasses import asdict

import typer

from edgeshrink.cli.shared import Debug, Json, print_json, registry, single
from edgeshrink.plugins import Plugins

ADDS = ("methods", "targets", "runtimes", "exporters", "reporters", "metrics", "merits")


def app() -> typer.Typer:
    """Return the command."""
    return single(plugins)


def plugins(json: Json = False, debug: Debug = False) -> None:
    """List plugins: what they add, versions, load times, heavy imports and errors."""
    from edgeshrink.cli.display.tables import Column, console, left, show, write

    found = registry()
    added = adds(found)
    if json:
        print_json([{**asdict(one), "adds": added.get(one.name, [])} for one in found.loaded])
        return
    loaded = found.loaded
    to = console()
    show(
        Column("plugin", [one.name for one in loaded]),
        [
            left("adds", [", ".join(added.get(one.name, [])) or "–" for one in loaded]),
            left("from", [f"{one.distribution} {one.version}" for one in loaded]),
            Column("ms", [f"{one.milliseconds:.1f}" for one in loaded]),
            left("imports", [", ".join(one.heavy) for one in loaded]),
        ],
        to=to,
    )
    for one in loaded:
        if one.error:
            write(f"{one.name} was left out: {one.error}", to=to, lead="– ")


def adds(plugins: Plugins) -> dict[str, list[str]]:
    """Return the names of what each plugin adds, by plugin."""
    found: dict[str, list[str]] = {}
    for kind in ADDS:
        for name, cls in getattr(plugins, kind).items():
            found.setdefault(plugins.owners[cls], []).append(name)
    return found
