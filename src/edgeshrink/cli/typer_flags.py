"""Turn options that are declared once into flags, and given flags back into values.

Every value is taken as text and left to `edgeshrink.flag.build`: a wrong one is refused in the
same sentence, whether it was typed, read from a recipe or passed in Python.
"""

from __future__ import annotations

import dataclasses
import inspect
import types
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import typer

from edgeshrink.flag import Flag, Option, options_of
from edgeshrink.recipes import Method, Training

# Before the names of Python parameters, so that no method can collide with the command's own.
PREFIX = "flag_"
WORDS = {int: "N", float: "NUMBER", str: "TEXT"}


def with_method_flags(
    methods: Mapping[str, type[Method]], **groups: type
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command the flags of all methods, and those of further options classes.

    Args:
        methods: the registry; the command gets what was given as `chosen`, by key as
            `Recipe.from_flags` takes it.
        groups: options classes such as `Training`; the command gets what was given of each, by
            field, under the group's name.
    """

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = inspect.signature(command, eval_str=True).parameters.values()
        made = ("chosen", *groups)
        places: dict[str, tuple[str, str]] = {}
        added: list[inspect.Parameter] = []
        for group, cls in groups.items():
            for option in options_of(cls):
                added.append(
                    parameter(
                        option.name, option, panel=(cls.__doc__ or "").split(";")[0].rstrip(".")
                    )
                )
                places[added[-1].name] = (group, option.name)
        for method in methods.values():
            for key, option, hidden in flags_of(method):
                added.append(parameter(key, option, panel=method.title, hidden=hidden))
                places[added[-1].name] = ("chosen", key)

        def wrapper(**values: Any) -> None:
            given: dict[str, dict[str, Any]] = {name: {} for name in made}
            for name, (group, key) in places.items():
                value = values.pop(name)
                if value is not None and value != []:
                    given[group][key] = ",".join(value) if isinstance(value, list) else value
            command(**values, **given)

        parameters = [*(p for p in own if p.name not in made), *added]
        wrapper.__name__, wrapper.__doc__ = command.__name__, command.__doc__
        wrapper.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        wrapper.__annotations__ = {p.name: p.annotation for p in parameters}
        return wrapper

    return decorate


def flags_of(method: type[Method]) -> list[tuple[str, Option, bool]]:
    """Return a method's flags: key, what it sets, and whether help hides it."""
    if not method.flag:
        return []
    groups = {
        "options": {option.name: option for option in options_of(method.Options)},
        "training": {option.name: option for option in options_of(Training)},
        "on": {"": Option("", bool, Flag(inspect.getdoc(method) or ""), method.default_on)},
    }
    return [
        (key, groups[group][name], group == "training")
        for key, (group, name) in method.flag_keys().items()
    ]


def parameter(key: str, option: Option, *, panel: str, hidden: bool = False) -> inspect.Parameter:
    """Return the parameter of one flag; it is None, or an empty list, where nothing is given."""
    spelled = key.replace("_", "-")
    inner = inner_type(option.type)
    kind: Any = str
    names = [f"--{spelled}"]
    if inner is bool:
        kind, names = bool, [f"--{spelled}/--no-{spelled}"]
    elif get_origin(inner) is tuple:
        kind = list[str]
    declared = typer.Option(
        *names,
        help=describe(option),
        metavar=None if inner is bool else metavar(option),
        rich_help_panel=panel,
        show_default=False,
        hidden=hidden,
    )
    return inspect.Parameter(
        f"{PREFIX}{key}",
        inspect.Parameter.KEYWORD_ONLY,
        default=None,
        annotation=Annotated[kind | None, declared],
    )


def inner_type(kind: Any) -> Any:
    """Return the type behind `T | None`."""
    if get_origin(kind) in (Union, types.UnionType):
        return next(k for k in get_args(kind) if k is not type(None))
    return kind


def metavar(option: Option) -> str:
    """Return what stands for an option's value in help: the choices, where it has some."""
    inner = inner_type(option.type)
    if option.flag.metavar:
        return option.flag.metavar
    if get_origin(inner) is tuple:
        inner = get_args(inner)[0]
    if get_origin(inner) is Literal:
        return "|".join(map(str, get_args(inner)))
    return WORDS.get(inner, "TEXT")


def describe(option: Option) -> str:
    """Return an option's sentence, with its bounds, its default and whether it repeats."""
    said = [option.flag.bounds] if option.flag.bounds else []
    if default := default_text(option):
        said.append(f"default: {default}")
    if get_origin(inner_type(option.type)) is tuple:
        said.append("repeatable, or with commas")
    first = " ".join(option.flag.help.split("\n\n")[0].split())
    text = f"{first} ({'; '.join(said)})" if said else first
    return text.replace("[", "\\[")  # rich would take it for markup


def default_text(option: Option) -> str:
    """Return an option's default as it would be typed; empty if nothing need be said."""
    default = option.default
    if default is dataclasses.MISSING or default in (None, "", ()) or default is False:
        return ""
    if default is True:
        return "on"
    return ",".join(map(str, default)) if isinstance(default, tuple) else str(default)
