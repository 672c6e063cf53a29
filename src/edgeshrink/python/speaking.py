"""Errors in the words of Python: `data=` where the command line says `--data`."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from edgeshrink.errors import EdgeshrinkError

P = ParamSpec("P")
R = TypeVar("R")
FLAG = re.compile(r"(?<![\w-])--([a-z][a-z0-9-]*)(?:(?: |=)(?=[\d\"'…]|[A-Z][A-Z]))?")
SHORT = re.compile(r"(?<![\w-])-o(?![\w-]) ?")
SWITCHES = {"force", "unsafe", "json", "data-free", "trust-profile", "resume", "robustness"}


def pythonic(text: str) -> str:
    """Return a sentence with the flags of the command line as arguments of Python.

    Args:
        text: of an error or a hint.

    Example:
        >>> pythonic("--data-free needs shapes; --prune 0.8, --force, or -o names another file")
        'data_free=True needs shapes; prune=0.8, force=True, or output= names another file'
    """

    def argument(found: re.Match[str]) -> str:
        name = found[1]
        told = name.removeprefix("no-").replace("-", "_")
        if name.startswith("no-"):
            return f"{told}=False"
        return f"{told}=True" if name in SWITCHES else f"{told}="

    return SHORT.sub("output= ", FLAG.sub(argument, text))


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
