"""Values and tables as TOML text: Python reads TOML, but does not write it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


def toml_value(given: Any) -> str:
    """Return a value as TOML writes it: text, number, boolean, list or inline table.

    Example:
        >>> toml_value(["a", 1, True]), toml_value({"op": 11})
        ('["a", 1, true]', '{ "op" = 11 }')
    """
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, (tuple, list)):
        return "[" + ", ".join(map(toml_value, given)) + "]"
    if isinstance(given, Mapping):
        inside = ", ".join(f"{_text(str(key))} = {toml_value(said)}" for key, said in given.items())
        return f"{{ {inside} }}" if inside else "{}"
    return _text(given) if isinstance(given, str) else repr(given)


def _text(given: str) -> str:
    # TOML's basic strings escape as JSON's do, but for DEL, which JSON leaves as it is
    return json.dumps(given, ensure_ascii=False).replace("\x7f", "\\u007f")
