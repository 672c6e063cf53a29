"""Whether a device computes what this machine computes, told apart from how kernels round."""

from __future__ import annotations

import numpy as np
import pytest

from edgeshrink.engine.measuring import parity
from edgeshrink.errors import VerificationError

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
