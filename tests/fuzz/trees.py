"""Mutations of what JSON and TOML say: values of other types, other sizes, and deep nesting."""

from __future__ import annotations

import copy
import json
import math
import random
import tomllib
from collections.abc import Iterator
from typing import Any

from fuzz import strings

Place = tuple[Any, Any]  # a list or table, and the index or key in it

NUMBERS = (
    *(0, 1, -1, 2, 3, 7, 255, 65536, 1 << 31, 1 << 63, -(1 << 63), 10**30),
    *(0.5, -0.5, 1e-300, 1e308, math.inf, -math.inf, math.nan),
)


def places(tree: Any) -> Iterator[Place]:
    """Yield every place in a tree that holds a value."""
    inside: Any = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for key, item in list(inside):
        yield tree, key
        if isinstance(item, dict | list):
            yield from places(item)


def mutated(rng: random.Random, given: Any) -> Any:
    """Return a copy of a tree with one to four changes."""
    tree = copy.deepcopy(given)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        found = list(places(tree)) if isinstance(tree, dict | list) else []
        if not found:
            return tree
        holder, key = rng.choice(found)
        change = rng.randrange(6)
        if change == 0:
            del holder[key]
        elif change == 1:
            holder[key] = value(rng)
        elif change == 2:
            holder[key] = similar(rng, holder[key])
        elif change == 3:  # what another place holds
            other, at = rng.choice(found)
            holder[key] = copy.deepcopy(other.get(at) if isinstance(other, dict) else other[0])
        elif change == 4 and isinstance(holder, dict):
            holder[strings.odd(rng)] = holder[key] if rng.random() < 0.5 else holder.pop(key)
        else:
            holder[key] = rng.choice(([], {}, [holder[key]], {"a": holder[key]}, [value(rng)] * 3))
    return tree


def value(rng: random.Random) -> Any:
    """Return a value of any type."""
    kind = rng.randrange(8)
    if kind == 0:
        return None
    if kind == 1:
        return rng.random() < 0.5
    if kind in (2, 3):
        return rng.choice(NUMBERS)
    if kind in (4, 5):
        return strings.odd(rng)
    if kind == 6:
        return [value(rng) for _ in range(rng.randrange(4))]
    return {strings.odd(rng): value(rng) for _ in range(rng.randrange(4))}


def similar(rng: random.Random, given: Any) -> Any:
    """Return another value of the same type, where there is a near one."""
    if isinstance(given, bool):
        return not given
    if isinstance(given, int):
        return rng.choice((given + 1, -given, given * 1000, float(given), str(given), 1 << 40))
    if isinstance(given, float):
        return rng.choice(
            (-given, given * 1e9, int(given) if math.isfinite(given) else 0, math.nan)
        )
    if isinstance(given, str):
        return strings.damaged(rng, given)
    if isinstance(given, list):
        return rng.choice(
            (given * 2, given[:-1], given[::-1], given[:1] * 500, dict(enumerate(given)))
        )
    if isinstance(given, dict):
        return list(given.items()) if rng.random() < 0.5 else {**given, strings.odd(rng): 1}
    return value(rng)


def json_text(rng: random.Random, text: str) -> str:
    """Return a JSON document with changed values, or with one nested too deep."""
    if rng.random() < 0.05:
        deep = rng.choice((50, 1500, 100_000))
        return rng.choice(("[" * deep, "[" * deep + "]" * deep, '{"a":' * deep + "1" + "}" * deep))
    return json.dumps(mutated(rng, json.loads(text)), default=str)


def toml_text(rng: random.Random, text: str) -> str:
    """Return a TOML document with changed values, or with one nested too deep."""
    if rng.random() < 0.05:
        deep = rng.choice((50, 1500, 20_000))
        key = rng.choice(("step", "title", "training", "models", "a"))
        return f"{key} = " + rng.choice(("[" * deep, "[" * deep + "]" * deep, "{a = " * deep))
    document = mutated(rng, tomllib.loads(text))
    return "".join(f"{_key(k)} = {_toml(v)}\n" for k, v in document.items() if v is not None)


def _key(key: Any) -> str:
    return json.dumps(str(key), ensure_ascii=True).replace("\x7f", "\\u007f")


def _toml(given: Any) -> str:
    """Return a value as TOML writes it in line; what TOML has no word for is left out."""
    if isinstance(given, bool):
        return str(given).lower()
    if isinstance(given, dict):
        inside = (f"{_key(k)} = {_toml(v)}" for k, v in given.items() if v is not None)
        return "{ " + ", ".join(inside) + " }"
    if isinstance(given, list | tuple):
        return "[" + ", ".join(_toml(v) for v in given if v is not None) + "]"
    return _key(given) if isinstance(given, str) else repr(given)
