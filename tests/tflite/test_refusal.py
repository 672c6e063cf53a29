"""Rows of what a program refuses, held against how files use operators."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tiny_models import converted

from edgeshrink.tflite import Refusal, Use, read_model, refused, strip, uses

USE = Use("CONV_2D", 5, "float32", "int8", by_channel=True, sparse=True, result="float32")


@pytest.mark.parametrize(
    ("row", "taken"),
    [
        (Refusal("", ("CONV_2D", "ADD")), {"operator": "MUL"}),
        (Refusal("", ("!ADD",)), {"operator": "ADD"}),
        (Refusal("", newest=4), {"version": 4}),
        (Refusal("", data=("float32", "float16")), {"data": "int8"}),
        (Refusal("", weights=("int4", "int8")), {"weights": "float32"}),
        (Refusal("", results=("float32",)), {"result": "int8"}),
        (Refusal("", by_channel=True), {"by_channel": False}),
        (Refusal("", sparse=True), {"sparse": False}),
        (Refusal("", named=True), {"named": False}),
        (Refusal("", looped=False), {"looped": True}),
        (Refusal("", varying=False), {"varying": True}),
        (Refusal("", custom=False), {"custom": True}),
    ],
)
def test_a_row_refuses_where_all_its_conditions_hold(
    row: Refusal, taken: dict[str, object]
) -> None:
    assert row.matches(USE)
    assert not row.matches(replace(USE, **taken))
    (both,) = (replace(row, operators=row.operators or ("CONV_2D",)),)
    assert both.matches(USE)
    assert not both.matches(replace(USE, **taken))


def test_a_refusal_names_operators_once_and_not_all_of_many() -> None:
    row = Refusal("tensors without names", named=False)
    used = [Use(name, named=False) for name in ("SUB", "ADD", "ADD", "MUL", "DIV", "ABS", "EXP")]
    assert refused(used, [row]) == ["tensors without names (ABS, ADD, DIV, EXP, ...)"]
    assert refused(used[:2], [row, Refusal("", ("MEAN",))]) == ["tensors without names (ADD, SUB)"]
    assert refused([], [row]) == []


def used_by(name: str, names: str = "short") -> dict[str, Use]:
    data = strip((converted() / f"{name}.tflite").read_bytes(), names)[0]
    return {use.operator: use for use in uses(read_model(data))}


def test_what_a_file_uses_is_read_from_it() -> None:
    int8, dynamic, half = used_by("int8"), used_by("dynamic"), used_by("float16")
    assert int8["CONV_2D"] == Use("CONV_2D", 3, "int8", "int8", by_channel=True, result="int8")
    assert int8["SOFTMAX"] == Use("SOFTMAX", 2, "int8", result="int8")
    dense = dynamic["FULLY_CONNECTED"]
    assert (dense.version, dense.data, dense.weights) == (12, "float32", "int8")
    assert (half["DEQUANTIZE"].weights, half["DEQUANTIZE"].data) == ("float16", "")
    assert not used_by("int8", "none")["CONV_2D"].named
