"""Documents from outside: files that end, JSON within bounds, and values of the right types."""

from __future__ import annotations

import dataclasses
import functools
import json
import stat
import tomllib
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from edgeshrink.errors import EdgeshrinkError, UsageError

T = TypeVar("T")

# No document that people or we write comes near these.
MOST_BYTES = 64 << 20
MOST_DEPTH = 200  # TOML's reader and JSON's call themselves for each level
LARGEST = 2**63

WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}
KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_ends(path: Path, what: str) -> None:
    """Check that something can be read to its end, as pipes, sockets and devices cannot.

    Args:
        path: what is there; what is not there passes.
        what: what it should be, in messages, such as "recipe".

    Raises:
        UsageError: it is neither a file nor a folder.
    """
    try:
        kind = KINDS.get(stat.S_IFMT(path.stat().st_mode))
    except (OSError, ValueError):  # the reader says it better
        return
    if kind:
        raise UsageError(
            f"a {what} must be a file or a folder; {str(path)!r} is {kind}",
            hint="write what comes out of it into a file, and give that",
        )


def read_text(path: Path, what: str) -> str:
    """Return the text of a file.

    Args:
        path: the file.
        what: what it is, in messages, such as "recipe".

    Raises:
        UsageError: it cannot be read, is no file, too large, or no UTF-8 text.
    """
    check_ends(path, what)
    try:
        with path.open("rb") as stream:
            data = stream.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise UsageError(f"{what} {str(path)!r} is larger than {MOST_BYTES >> 20} MiB")
        return data.decode("utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"no {what} file {str(path)!r}") from None
    except UnicodeDecodeError as error:
        raise UsageError(f"{what} {str(path)!r} is no UTF-8 text: {error.reason}") from None
    except OSError as error:
        raise UsageError(f"{what} {str(path)!r} cannot be read: {error.strerror}") from None
    except ValueError as error:  # a null byte in the name
        raise UsageError(f"{what} {str(path)!r} cannot be read: {error}") from None


def from_json(text: str | bytes, where: str) -> dict[str, Any]:
    """Return the object that a JSON document holds.

    Args:
        text: the document.
        where: what messages call it.

    Raises:
        EdgeshrinkError: it is not JSON, no object, or nested too deep.
    """
    found = _parsed(json.loads, text, f"{where} is not JSON", EdgeshrinkError)
    if not isinstance(found, dict):
        raise EdgeshrinkError(f"{where} must be a JSON object; received {shortly(found)}")
    return found


def from_toml(text: str, where: str, error: type[EdgeshrinkError]) -> dict[str, Any]:
    """Return the tables of a TOML document.

    Args:
        text: the document.
        where: what messages call it.
        error: what is raised.

    Raises:
        EdgeshrinkError: as `error`: it is not TOML, or nested too deep.
    """
    found: dict[str, Any] = _parsed(tomllib.loads, text, f"{where} is not TOML", error)
    return found


def _parsed(
    read: Callable[[Any], Any], text: str | bytes, what: str, error: type[EdgeshrinkError]
) -> Any:
    try:
        found = read(text)
    except (ValueError, RecursionError) as problem:
        why = "it is nested too deep" if isinstance(problem, RecursionError) else problem
        raise error(f"{what}: {why}") from problem
    level = _inside([found])
    for _ in range(MOST_DEPTH):
        level = [item for value in level for item in _inside(value)]
        if not level:
            return found
    raise error(f"{what}: it is nested too deep")


def _inside(value: Any) -> list[Any]:
    held: Any = value.values() if isinstance(value, dict) else value
    return [item for item in held if isinstance(item, dict | list)]


def shortly(value: Any) -> str:
    """Return a value as messages show it, cut where it is long."""
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested too deep, or a number of thousands of digits
        text = type(value).__name__
    return text if len(text) <= 80 else f"{text[:76]} ..."


def typed(cls: type[T], value: Any, where: str) -> T:
    """Return a dataclass of ours that was written as JSON, each value held against its type.

    Keys that no field has are left out. Null stands for nan where a number must be, as `json_text`
    writes it. Whole numbers are below 2**63 either way.

    Args:
        cls: a dataclass; its fields may be dataclasses, tuples, mappings, unions and literals.
        value: the JSON value.
        where: what messages call it.

    Raises:
        EdgeshrinkError: a field is missing, or its value of another type; the message names it.
    """
    made: T = _typed(cls, value, where)
    return made


@functools.cache
def _fields(cls: Any) -> dict[str, tuple[Any, bool]]:
    """Return the type of each field, and whether it has no default."""
    hints = get_type_hints(cls)
    return {
        f.name: (
            hints[f.name],
            f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING,
        )
        for f in dataclasses.fields(cls)
        if f.init
    }


def _typed(kind: Any, value: Any, where: str) -> Any:
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _object(kind, value, where)
    if kind is float:
        return _number(value, where)
    if kind is int and type(value) is int and not -LARGEST < value < LARGEST:
        raise _wrong(where, "a whole number below 2**63", value)
    if kind in WORDS:
        if type(value) is not kind:
            raise _wrong(where, WORDS[kind], value)
        return value
    origin, inside = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _one_of(inside, value, where)
    if origin is Literal:
        if value not in inside:
            raise _wrong(where, " or ".join(map(repr, inside)), value)
        return value
    if origin is tuple:
        return _list(inside, value, where)
    if origin in (Mapping, dict):
        if not isinstance(value, dict):
            raise _wrong(where, "an object", value)
        return {key: _typed(inside[1], item, f"{where}.{key}") for key, item in value.items()}
    raise TypeError(f"{kind} cannot be checked")


def _object(cls: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise _wrong(where, "an object", value)
    values = {}
    for name, (kind, required) in _fields(cls).items():
        if name in value:
            values[name] = _typed(kind, value[name], f"{where}.{name}")
        elif required:
            raise EdgeshrinkError(f"{where} is not whole: it has no {name}")
    return cls(**values)


def _number(value: Any, where: str) -> float:
    if value is None:
        return float("nan")
    if type(value) not in (int, float) or (type(value) is int and abs(value) >= LARGEST):
        raise _wrong(where, "a number", value)
    return float(value)


def _one_of(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    others = [kind for kind in kinds if kind is not types.NoneType]
    if value is None and len(others) < len(kinds):
        return None
    for kind in others[:-1]:
        try:
            return _typed(kind, value, where)
        except EdgeshrinkError:
            continue
    return _typed(others[-1], value, where)


def _list(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise _wrong(where, "a list", value)
    if len(kinds) == 2 and kinds[1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    elif len(kinds) != len(value):
        raise _wrong(where, f"a list of {len(kinds)}", value)
    return tuple(
        _typed(kind, item, f"{where}[{place}]")
        for place, (kind, item) in enumerate(zip(kinds, value, strict=True))
    )


def _wrong(where: str, rule: str, value: Any) -> EdgeshrinkError:
    return EdgeshrinkError(f"{where} must be {rule}; received {shortly(value)}")
