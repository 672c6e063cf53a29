"""The command `methods`."""

from __future__ import annotations

import inspect
from dataclasses import fields
from typing import Annotated, Any

import typer

from edgeshrink.cli.shared import Debug, Json, print_json, registry, single
from edgeshrink.cli.typer_flags import default_text, flags_of, inner_type, metavar
from edgeshrink.errors import UsageError, near
from edgeshrink.flag import Option, options_of
from edgeshrink.recipes import Method


def app() -> typer.Typer:
    """Return the command."""
    return single(methods)


def methods(
    name: Annotated[
        str, typer.Argument(metavar="[NAME]", help="A method.", show_default=False)
    ] = "",
    json: Json = False,
    debug: Debug = False,
) -> None:
    """List methods in the order in which flags run them, or show the options of one.

    Example: edgeshrink methods prune
    """
    found = registry().methods
    if name and name not in found:
        raise UsageError(f"no method {name!r}", hint=near(name, found))
    if json:
        print_json(as_dict(found[name]) if name else [as_dict(one) for one in found.values()])
    elif name:
        _show_one(found[name])
    else:
        _show_all(list(found.values()))


def spelling(method: type[Method]) -> str:
    """Return the flag of a method, with what stands for its value."""
    if not method.flag:
        return "–"
    value = method.value()
    stem = method.name.replace("_", "-")
    if value is None:
        return f"--no-{stem}" if method.default_on else f"--{stem}"
    return f"--{stem} {metavar(value)}"


def sentence(method: type[Method]) -> str:
    """Return what a method does: the first paragraph of its docstring."""
    return " ".join((inspect.getdoc(method) or "").split("\n\n")[0].split())


def as_dict(method: type[Method]) -> dict[str, Any]:
    """Return what a method declares, as plain JSON values."""
    return {
        "name": method.name,
        "title": method.title,
        "help": sentence(method),
        "flag": spelling(method) if method.flag else None,
        "phase": method.phase.name.lower(),
        "data": str(method.data),
        "accepts": [str(kind) for kind in method.accepts],
        "produces": str(method.produces),
        "slot": method.slot,
        "trains": method.training is not None,
        "keeps": sorted(method.keeps),
        "requires": method.requires,
        "options": [
            {
                "name": option.name,
                "type": metavar(option),
                "help": option.flag.help,
                "bounds": option.flag.bounds,
                "default": None if option.required else option.default,
                "required": option.required,
            }
            for option in options_of(method.Options)
        ],
    }


def about(option: Option) -> str:
    """Return an option's sentence, with its bounds."""
    bounds = f" ({option.flag.bounds})" if option.flag.bounds else ""
    return " ".join(option.flag.help.split("\n\n")[0].split()) + bounds


def _show_all(found: list[type[Method]]) -> None:
    from edgeshrink.cli.display.tables import Column, console, left, show

    show(
        Column("method", [method.name for method in found]),
        [
            left("flag", [spelling(method) for method in found]),
            left("phase", [method.phase.name.lower().replace("_", " ") for method in found]),
            left("data", [str(method.data) for method in found]),
            left("trains", ["yes" if method.training else "no" for method in found]),
            left("makes", [f".{method.produces}" for method in found]),
            left("", [sentence(method) for method in found], 1),
        ],
        to=console(),
    )


def _show_one(method: type[Method]) -> None:
    from edgeshrink.cli.display.tables import Column, console, left, show, write

    to = console()
    write(f"{method.name}: {sentence(method)}", to=to)
    to.print()
    flags = flags_of(method)
    shown = [(key, option) for key, option, hidden in flags if not hidden]
    show(
        Column("flag", [f"--{key.replace('_', '-')}" for key, _ in shown]),
        [
            left("value", ["" if inner_type(o.type) is bool else metavar(o) for _, o in shown]),
            left("default", [default_text(o) or "–" for _, o in shown]),
            left("", [about(o) for _, o in shown]),
        ],
        to=to,
    )
    to.print()
    accepts = " or ".join(f".{kind}" for kind in method.accepts)
    write(
        f"Takes {accepts}, makes .{method.produces}; data: {method.data}; "
        f"runs in the phase {method.phase.name.lower().replace('_', ' ')}.",
        to=to,
    )
    hidden = [f"--{key.replace('_', '-')}" for key, _, is_hidden in flags if is_hidden]
    if method.training is not None:
        given = ((f.name, getattr(method.training, f.name)) for f in fields(method.training))
        said = ", ".join(f"{name} {value}" for name, value in given if value is not None)
        write(
            f"Trains{f' ({said})' if said else ''}; for this step alone: {', '.join(hidden)}.",
            to=to,
        )
    if method.requires:
        write(f"Needs {', '.join(method.requires)}.", to=to)
