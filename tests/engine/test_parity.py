"""Whether a device computes what this machine computes, told apart from how kernels round."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_models import converted

from edgeshrink.engine.measuring import parity
from edgeshrink.errors import VerificationError
from edgeshrink.models import Artifact, Kind
from edgeshrink.tflite import read_model

ROWS = np.eye(10, dtype=np.float32)[np.arange(32) % 10]


def test_single_outputs_that_another_kernel_rounded_are_told_and_no_fault() -> None:
    """ResNet-8 in 8 bits, reference kernels beside XNNPACK's: a few of its answers differ so."""
    found = ROWS.copy()
    found[[3, 17], [3, 7]] -= 0.15
    found[[3, 17], [4, 8]] += 0.15
    assert parity.error({"y": ROWS}, {"y": found}) == pytest.approx(0.15)


def test_one_wrong_row_of_all_is_a_fault() -> None:
    found = ROWS.copy()
    found[5] = np.roll(found[5], 1)
    with pytest.raises(VerificationError, match=r"of their range \(root mean square\), on 32"):
        parity.error({"y": ROWS}, {"y": found})


@pytest.mark.parametrize("wrong", [np.full_like(ROWS, 0.1), 2 * ROWS, ROWS[:, ::-1]])
def test_answers_of_another_size_or_for_another_class_are_a_fault(wrong: np.ndarray) -> None:
    with pytest.raises(VerificationError, match="differ from this machine's"):
        parity.error({"y": ROWS}, {"y": wrong})


@pytest.mark.parametrize("name", ["int8", "int8_float_io", "float"])
def test_made_up_inputs_use_the_whole_range_that_a_file_tells_apart(
    name: str, tmp_path: Path
) -> None:
    path = converted() / f"{name}.tflite"
    flat = read_model(path.read_bytes())
    (asked,) = flat.inputs
    rounded = next((op for op in flat.operators if op.name == "QUANTIZE"), None)
    coded = flat.tensors_of(rounded)[1][0] if rounded and not asked.scales else asked
    (file,) = parity.made_up(Artifact(path, Kind.TFLITE), tmp_path).inputs.values()
    values = np.load(file)
    low, high = 0.0, 1.0
    if coded.scales:
        low, high = ((code - coded.zero_points[0]) * coded.scales[0] for code in (-128, 127))
    assert values.dtype == np.float32
    assert (values.min(), values.max()) == pytest.approx((low, high), abs=0.02 * (high - low))
