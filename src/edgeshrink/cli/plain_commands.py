"""Commands whose values are text, lists of text, and switches, taken as they are typed.

Newer versions of typer build a pydantic validator for each parameter, given or not: a tenth of a
second at every start, for values that `edgeshrink.flag.build` checks anyway.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from typer.core import TyperCommand, TyperGroup


class Command(TyperCommand):
    """A command that takes values as they are typed."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, the help option among them."""
        return as_typed(super().get_params(ctx))


class Group(TyperGroup):
    """A group that takes values as they are typed."""

    def get_params(self, ctx: Any) -> Any:
        """Return the parameters, the help option among them."""
        return as_typed(super().get_params(ctx))


def as_typed(parameters: Any) -> Any:
    """Return parameters that leave their values alone, where typer would use pydantic."""
    for parameter in parameters:
        if hasattr(parameter, "get_runtime_param"):
            parameter.process_value = partial(_value, parameter)
    return parameters


def _value(parameter: Any, ctx: Any, value: Any) -> Any:
    if value in (None, (), []) and parameter.required:
        return type(parameter).process_value(parameter, ctx, value)  # it says what is missing
    return parameter.callback(ctx, parameter, value) if parameter.callback else value
