"""Names of Keras layers in the names of a .tflite file's tensors.

The converter joins the names of the operators that it fused with `;`. Each is a path: the model,
a layer, and what the layer does, as in `lenet5_1/conv2d_1/BiasAdd`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeshrink.tflite import FlatModel, FlatOperator

# A model of a thousand layers has names of a few hundred kilobytes.
LARGEST_TABLE = 32 << 20
NUMBERED = re.compile(r"(.+)_(\d+)$")
# What Keras 3 calls a convolution; Keras 2 said Conv2D.
KERAS_3 = "convolution"
# What operators without weights are called inside of their layer, in lower case.
LEAVES = {
    "ADD": ("add",),
    "SUB": ("sub",),
    "MUL": ("mul",),
    "DIV": ("truediv", "div"),
    "CONCATENATION": ("concat",),
    "AVERAGE_POOL_2D": ("avgpool",),
    "MAX_POOL_2D": ("maxpool",),
    "MEAN": ("mean",),
    "SUM": ("sum",),
    "SOFTMAX": ("softmax",),
    "TANH": ("tanh",),
    "LOGISTIC": ("sigmoid",),
}
# Those that have weights, with the name of what uses the weights.
WEIGHTED = {
    "CONV_2D": ("convolution", "conv2d", "conv1d"),
    "DEPTHWISE_CONV_2D": ("depthwise", "depthwise_conv2d"),
    "FULLY_CONNECTED": ("matmul", "tensordot"),
    "TRANSPOSE_CONV": ("conv2d_transpose", "conv2dbackpropinput"),
}


def layers(model: FlatModel, path: Path) -> dict[int, str]:
    """Return the layer of each operator of the first subgraph whose layer is certain.

    Args:
        model: what the file says.
        path: the file; the names that it lost are looked for beside it.
    """
    names = tensor_names(model, path)
    known = decoded(part for name in names for part in name.split(";"))
    found = {}
    for operator in model.operators:
        if operator.subgraph == 0:
            scopes = set(_scopes(operator, model, names))
            layer = known.get(scopes.pop(), "") if len(scopes) == 1 else ""
            if layer:
                found[operator.index] = layer
    return found


def tensor_names(model: FlatModel, path: Path) -> list[str]:
    """Return the names of the first subgraph's tensors, from the table beside a stripped file."""
    from edgeshrink.tflite import SHORT

    short = SHORT.fullmatch
    own = [t.name for t in model.tensors if t.subgraph == 0]
    for table in (path.with_suffix(".names.json"), path.with_name("names.json")):
        try:
            if table.stat().st_size > LARGEST_TABLE:
                continue
            kept = json.loads(table.read_text(encoding="utf-8"))["tensors"]["0"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        # Names that are still in the file show whether the table is that of this file.
        if (
            isinstance(kept, list)
            and len(kept) == len(own)
            and all(isinstance(name, str) for name in kept)
            and all(mine in ("", name) or short(mine) for mine, name in zip(own, kept, strict=True))
        ):
            return kept
    return own


def _scopes(operator: FlatOperator, model: FlatModel, names: Sequence[str]) -> Iterable[str]:
    """Return the layers' scopes that an operator may be of, one if it is certain."""
    written = [part for i in operator.outputs for part in names[i].split(";")]
    leaves = WEIGHTED.get(operator.name, ())
    if leaves:
        constants = [i for i in operator.inputs if i >= 0 and model.tensor(0, i).constant]
        written += [part for i in constants for part in names[i].split(";")]
    else:
        leaves = LEAVES.get(operator.name, ())
    chosen = [part for part in written if _leaf(part).startswith(leaves or ("",))]
    return [scope for part in chosen if (scope := _scope(part))]


def _scope(part: str) -> str:
    """Return model and layer of a path, or nothing for a name that is no such path."""
    words = part.split("/")
    return "/".join(words[:2]) if len(words) > 2 else ""


def _leaf(part: str) -> str:
    return part.rpartition("/")[2].lower()


def decoded(parts: Iterable[str]) -> dict[str, str]:
    """Return the layer's name for each scope, none where it is not certain.

    Exporting a Keras 3 model opens each layer's scope twice in one graph, and TensorFlow gives
    the second a number: `dense` becomes `dense_1`, and `dense_1`, which is taken then, becomes
    `dense_1_2`. Elsewhere a scope is a layer's own name. Which it is shows only where some names
    tell: to take `dense_1` for the wrong layer would be worse than to name none.
    """
    parts = list(parts)
    scopes = list(dict.fromkeys(scope for part in parts if (scope := _scope(part))))
    numbered = [NUMBERED.match(scope) for scope in scopes]
    if not all(numbered) or not all(NUMBERED.match(s.split("/")[0]) for s in scopes):
        return {scope: scope.partition("/")[2] for scope in scopes}
    names = {scope: match[1].partition("/")[2] for scope, match in _pairs(scopes, numbered)}
    taken = {scope.partition("/")[2] for scope in scopes}
    for scope, match in _pairs(scopes, numbered):
        # The layer's own name was taken only if another layer's number made the same.
        if int(match[2]) != (2 if names[scope] in taken else 1):
            return {}
    twice = any(int(match[2]) == 2 for _, match in _pairs(scopes, numbered))
    return names if twice or any(KERAS_3 in _leaf(part) for part in parts) else {}


def _pairs(
    scopes: Sequence[str], matches: Sequence[re.Match[str] | None]
) -> list[tuple[str, re.Match[str]]]:
    return [(s, m) for s, m in zip(scopes, matches, strict=True) if m is not None]
