"""Errors in the words of Python: `data=` where the command line says `--data`."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from edgeshrink.errors import EdgeshrinkError
from edgeshrink.flag import options_of

P = ParamSpec("P")
R = TypeVar("R")
FLAG = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)(?:(?: |=)(?=[\d\"'…]|[A-Z][A-Z]))?")
SHORT = re.compile(r"(?<![\w-])-o(?![\w-]) ?")
SWITCHES = {"force", "unsafe", "json", "data-free", "trust-profile", "resume", "robustness"}
# A value, where it is told from the words of a sentence behind a flag.
VALUED = re.compile(
    r"(?<![\w-])--([a-z][a-z0-9-]*) "
    r"(none|regression|reconstruction|binary|antialias|thorough|original|refuse|short|builtin|float32|bytes"
    r"|[a-z]\w*=[\w./,]+|(?<=as in --loss )\w+)(?![\w=])"
)
# Where arrays are kept that were given as objects.
OBJECTS = re.compile(r"[^\s'\"]*[/\\]objects[/\\][0-9a-f]{32}\.npz")
SHAPE = re.compile(r"--input-shape ([^\s=]+)=(\d+(?:,\d+)*)")
COMMAND = re.compile(r"`edgeshrink ([a-z]+) ([^`\s]+)((?: --[a-z][a-z0-9-]*)*)`")


def pythonic(text: str) -> str:
    """Return a sentence with the flags of the command line as arguments of Python.

    Args:
        text: of an error or a hint.

    Example:
        >>> pythonic("--data-free needs shapes; --prune 0.8, --force, or -o names another file")
        'data_free=True needs shapes; prune=0.8, force=True, or output= names another file'
    """
    switches = SWITCHES | _switches()

    def call(found: re.Match[str]) -> str:
        flags = "".join(f", {argument(flag)}" for flag in FLAG.finditer(found[3]))
        return f'`edgeshrink.{found[1]}("{found[2]}"{flags})`'

    def argument(found: re.Match[str]) -> str:
        name = found[1]
        told = name.removeprefix("no-").replace("-", "_")
        if name.startswith("no-"):
            return f"{told}=False"
        return f"{told}=True" if name in switches else f"{told}="

    def valued(found: re.Match[str]) -> str:
        return f'{found[1].replace("-", "_")}="{found[2]}"'

    def shape(found: re.Match[str]) -> str:
        return f'input_shape={{"{found[1]}": ({found[2].replace(",", ", ")})}}'

    text = OBJECTS.sub("data", text)
    told = VALUED.sub(valued, SHAPE.sub(shape, COMMAND.sub(call, text)))
    return SHORT.sub("output= ", FLAG.sub(argument, told))


@functools.cache
def _switches() -> frozenset[str]:
    """Return the flags of methods that need no value, as the command line writes them."""
    from edgeshrink.plugins import installed

    found = set()
    for method in installed().methods.values():
        options = {option.name: option for option in options_of(method.Options)}
        for key, (place, name) in method.flag_keys().items():
            if place == "on" or (place == "options" and options[name].type is bool):
                found.add(key.replace("_", "-"))
    return frozenset(found)


def speaks_python(function: Callable[P, R]) -> Callable[P, R]:
    """Decorate a function of the Python interface: its errors name arguments, not flags."""

    @functools.wraps(function)
    def speaking(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except EdgeshrinkError as error:
            error.args = (pythonic(str(error)), *error.args[1:])
            error.hint = pythonic(error.hint)
            if error.hint:
                error.add_note(f"hint: {error.hint}")
            raise

    return speaking
