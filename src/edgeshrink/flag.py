"""Options: each declared once, as a dataclass field with a `Flag`, and checked by `build`.

A dataclass field of `Annotated[T, Flag(...)]` is at once the command-line flag, the TOML key,
the Python argument, the line of the report and the row in the documentation.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from edgeshrink.errors import PluginError, UsageError, near
from edgeshrink.texts import shortly

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Flag:
    """What is said of an option beside its type and default.

    Bounds are for numbers; those of a list or a table are each held to them. None is no bound.

    Attributes:
        help: one sentence on what the option does.
        min: the least value that is allowed.
        max: the greatest value that is allowed.
        below: values must be less than this.
        above: values must be greater than this.
        metavar: what stands for the value in help, or None.
        search: the values that a search tries if it is told no others, the lightest first.
    """

    help: str
    min: float | None = None
    max: float | None = None
    below: float | None = None
    above: float | None = None
    metavar: str | None = None
    search: tuple[Any, ...] = ()

    @property
    def bounds(self) -> str:
        """The bounds in words, empty if there are none."""
        said = (
            ("at least", self.min),
            ("above", self.above),
            ("at most", self.max),
            ("below", self.below),
        )
        return " and ".join(f"{word} {value:g}" for word, value in said if value is not None)

    def allows(self, value: float) -> bool:
        """Return whether a number is within the bounds; nan and infinity never are.

        Args:
            value: the number.
        """
        return (
            math.isfinite(value)
            and (self.min is None or value >= self.min)
            and (self.max is None or value <= self.max)
            and (self.below is None or value < self.below)
            and (self.above is None or value > self.above)
        )


@dataclasses.dataclass(frozen=True)
class NoOptions:
    """The options of what has none: a dataclass without fields."""


@dataclasses.dataclass(frozen=True)
class Option:
    """One field of an options class, as all its readers see it.

    Attributes:
        name: the field's, without the underscore behind one that is a word of Python's (`for_`).
        field: the field's own name, where it differs.
    """

    name: str
    type: Any
    flag: Flag
    default: Any
    field: str = ""

    def of(self, options: Any) -> Any:
        """Return the option's value in an instance of the options class."""
        return getattr(options, self.field or self.name)

    @property
    def required(self) -> bool:
        """Whether the field has no default: it is its method's value."""
        return self.default is dataclasses.MISSING


@cache
def options_of(cls: Any) -> tuple[Option, ...]:
    """Return the options that a dataclass declares, in the order of its fields.

    Args:
        cls: a dataclass whose fields are `Annotated[T, Flag(...)]`.

    Returns:
        For each field an object with its `name`, `type`, `flag` and `default`; the default is
        `dataclasses.MISSING` where the field has none.

    Raises:
        PluginError: a field is not annotated with a `Flag`.
    """
    hints = get_type_hints(cls, include_extras=True)
    found = []
    for field in dataclasses.fields(cls):
        hint = hints[field.name]
        flag = next((m for m in get_args(hint)[1:] if isinstance(m, Flag)), None)
        if get_origin(hint) is not Annotated or flag is None:
            raise PluginError(
                f"{cls.__module__}.{cls.__qualname__}.{field.name} must be "
                "Annotated[type, Flag(...)]"
            )
        name = field.name.removesuffix("_")
        factory = field.default_factory
        default = field.default if factory is dataclasses.MISSING else factory()
        found.append(Option(name, get_args(hint)[0], flag, default, field.name))
    return tuple(found)


def build(cls: type[T], values: Mapping[str, Any], owner: str) -> T:
    """Return an instance of the options class `cls`, every value coerced and checked.

    Args:
        cls: a dataclass whose fields are `Annotated[T, Flag(...)]`.
        values: by name; strings are read as the field's type (for `--step` and flags).
        owner: who the options belong to, for errors: `"prune"`.

    Raises:
        UsageError: an unknown key (near matches offered), a value of a wrong type, out of
            bounds or not a number, or a missing value.
        PluginError: a field of `cls` is not annotated with a `Flag`.
    """
    declared: Any = cls
    options = {option.name: option for option in options_of(declared)}
    if not isinstance(values, Mapping):
        raise UsageError(f"{owner} must be a table; received {shortly(values)}")
    for key in values:
        if key not in options:
            hint = near(key, options) if options else f"{owner} has no options"
            raise UsageError(f"{owner} has no option {key!r}", hint=hint)
    for option in options.values():
        if option.required and option.name not in values:
            raise UsageError(
                f"{owner} needs a value: {option.flag.help.rstrip('.')}",
                hint=f"give {option.name}",
            )
    coerced = {
        options[key].field: _coerce(value, options[key].type, options[key].flag, f"{owner}: {key}")
        for key, value in values.items()
    }
    try:
        return cls(**coerced)
    except ValueError as error:  # from the options' own __post_init__
        raise UsageError(f"{owner}: {error}") from error


def _coerce(value: Any, kind: Any, flag: Flag, where: str) -> Any:
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        if value is None:
            return None
        first, *more = (k for k in get_args(kind) if k is not type(None))
        words = [word for one in more for word in get_args(one)]  # as in int | Literal["auto"]
        if not words:
            return _coerce(value, first, flag, where)
        return value if value in words else _number(value, first, flag, where, words)
    if origin is tuple:
        items = value.split(",") if isinstance(value, str) else value
        if not isinstance(items, (list, tuple)):
            raise UsageError(f"{where} must be a list; received {value!r}")
        return tuple(_coerce(item, get_args(kind)[0], flag, where) for item in items)
    if origin is Mapping:
        if not isinstance(value, Mapping):
            raise UsageError(f"{where} must be a table; received {value!r}")
        inner = get_args(kind)[1]
        return {str(k): _coerce(v, inner, flag, f"{where}.{k}") for k, v in value.items()}
    if origin is Literal:
        choices = [str(c) for c in get_args(kind)]
        if str(value) not in choices:
            raise UsageError(
                f"{where} must be one of {', '.join(choices)}; received {value!r}",
                hint=near(str(value), choices, otherwise=f"choose {' or '.join(choices)}"),
            )
        return get_args(kind)[choices.index(str(value))]
    if kind is bool:
        return _boolean(value, where)
    if kind in (int, float):
        return _number(value, kind, flag, where)
    if not isinstance(value, str):
        raise UsageError(f"{where} must be text; received {value!r}")
    return value


def _boolean(value: Any, where: str) -> bool:
    words = {"true": True, "yes": True, "false": False, "no": False}
    if isinstance(value, str) and value.lower() in words:
        return words[value.lower()]
    if not isinstance(value, bool):
        raise UsageError(f"{where} must be true or false; received {value!r}")
    return value


def _number(
    value: Any, kind: type, flag: Flag, where: str, words: Sequence[str] = ()
) -> int | float:
    word = "a whole number" if kind is int else "a number"
    rule = " or ".join([f"{word} {flag.bounds}" if flag.bounds else word, *words])
    try:
        if isinstance(value, bool):
            raise ValueError
        number = kind(value)
        if kind is int and number != float(value):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise UsageError(f"{where} must be {rule}; received {value!r}") from None
    if not flag.allows(number):
        raise UsageError(f"{where} must be {rule}; received {value}")
    return number  # type: ignore[no-any-return]
