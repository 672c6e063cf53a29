"""The papers' combinations of methods, in several orders; what earlier steps made is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import edgeshrink as package
from edgeshrink.tflite.reader import constant_values, read_model

pytestmark = pytest.mark.slow

TEACHES = "distill student=width=0.5"
PIPELINES = {
    "distil, prune, quantize": ((TEACHES, "prune sparsity=0.6", "int8"), ("zeros",)),
    "prune, distil": (("prune sparsity=0.6", TEACHES, "int8"), ()),
    "shrink, distil, quantize": (("shrink ratio=0.3", TEACHES, "int8"), ()),
    "a trained-for-integers teacher": (("qat", TEACHES, "int8"), ()),
    "a student trained for integers": ((TEACHES, "qat", "int8"), ()),
    "distil, cluster, quantize": ((TEACHES, "cluster clusters=8", "int8"), ("clusters",)),
    # four bits have sixteen values of their own
    "all": ((TEACHES, "shrink ratio=0.2", "cluster clusters=8", "int4", "strip", "pack"), ()),
}


@pytest.mark.parametrize("name", PIPELINES)
def test_a_pipeline_keeps_what_its_steps_made(
    tmp_path: Path, digits_model: Path, digits: Path, name: str
) -> None:
    steps, kept = PIPELINES[name]
    out = tmp_path / ("small.esz" if "pack" in steps else "small.tflite")
    report: Any = package.compress(
        digits_model,
        output=out,
        step=list(steps),
        epochs=8,
        lr=0.002,
        batch_size=32,
        data=str(digits),
        preprocess="scale=1/16",
        rules="smoke",
    )
    rows = report.ledger.rows
    base, final = rows[0], rows[-1]
    made = [row.step.partition("(")[0] for row in rows[2:]]
    asked = [step.split()[0] for step in steps]
    assert [step for step in made if step in asked] == asked
    assert all((out.with_suffix(".run") / row.file).exists() for row in rows[2:])
    assert final.score.value > base.score.value - 0.15
    assert final.parameters < 0.6 * base.parameters
    assert final.compressed_bytes < base.compressed_bytes / 4
    if "zeros" in kept:
        assert final.sparsity > 0.5
    if "clusters" in kept:
        file = next(row for row in reversed(rows) if row.file.endswith(".tflite"))
        data = (out.with_suffix(".run") / file.file).read_bytes()
        counts = [
            len(np.unique(constant_values(data, tensor)))
            for tensor in read_model(data).tensors
            if tensor.constant and len(tensor.shape) >= 2 and tensor.nonzeros is not None
        ]
        assert counts
        assert max(counts) <= 8
