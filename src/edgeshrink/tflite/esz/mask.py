"""Which weights are zero: one bit for each, told from the weights around it.

A logistic regression says how likely each weight is not to be zero, and learns as it goes: from
how many were not zero in the weight's column and row, and whether its neighbours are. All that
lie on a diagonal are computed at once, row i being i columns behind the first, so that every
column above and all of the row to the left is known.
"""

from __future__ import annotations

import functools
import math
from typing import List, Optional, Tuple

import numpy as np

from .arithmetic import ONE, Broken, Coder

# Fixed-point: log-odds are of 256, weights of 65,536.
UNIT, HALF = 256, 1 << 15
# Log-odds beyond this are all the same; no probability is ever 0 or 1.
FAR = 11 * UNIT - 1
LEAST = 4
STEPS = 1 << 14
# What each feature weighs at first: constant, column, columns beside it, row, left, above,
# beside above, two left, two above.
START = (65536, 26000, 13000, 58000, 60000, 60000, 30000, 20000, 5000)
# How quickly weights follow what is seen: much at first, less later.
RATE, CALM = 250, 24
# Density of a column or row is taken from the whole until so many weights of it were seen.
DOUBT = 4


@functools.lru_cache(maxsize=None)
def tables() -> Tuple[np.ndarray, np.ndarray]:
    """Return log-odds by share (of STEPS), and probability (of 65,536) by log-odds.

    Rounded far from where another machine's logarithm might round otherwise.
    """
    odds = [round(UNIT * math.log((k + 0.5) / (STEPS - k - 0.5))) for k in range(STEPS)]
    sure = [round(ONE / (1 + math.exp(-k / UNIT))) for k in range(-FAR, FAR + 1)]
    limited = np.clip(np.array(sure, np.int64), LEAST, ONE - LEAST)
    return np.array(odds, np.int64), limited


def code(
    coder: Coder,
    shape: Tuple[int, int],
    strides: Tuple[int, int],
    nonzero: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Code where a matrix is not zero.

    Args:
        coder: reads or writes.
        shape: rows and columns.
        strides: how many columns back the neighbours to the left and above are.
        nonzero: the matrix of bits to be written.

    Returns:
        The matrix of bits, uint8.
    """
    rows, columns = shape
    left, above = strides
    if rows < 1 or not 1 <= left <= above <= columns:
        raise Broken("a matrix has no such neighbours")
    coder.spend(rows * columns)
    total = int(nonzero.sum()) if nonzero is not None else 0
    total = coder.number("nonzero", total)
    if total in (0, rows * columns):
        return np.full(shape, 1 if total else 0, np.uint8)
    if total > rows * columns:
        raise Broken("more weights are not zero than there are")
    state = _Wave(shape, (left, above), total)
    wanted: List[int] = []
    for step in range(rows + columns - 1):
        first, last = max(0, step - columns + 1), min(rows, step + 1)
        probabilities = state.probabilities(step, first, last)
        if nonzero is not None:
            span = np.arange(first, last)
            wanted = nonzero[span, step - span].tolist()
        state.learn(coder.run(probabilities.tolist(), wanted))
    return state.result()


class _Wave:
    """What is known when the wave has come so far."""

    def __init__(self, shape: Tuple[int, int], strides: Tuple[int, int], total: int) -> None:
        self.rows, self.columns = shape
        left, above = strides
        # back to each neighbour, in columns; before the first column all is zero
        self.back = (left, above, above + left, above - left, 2 * left, 2 * above)
        self.reach = max(self.back) + 1
        self.flat = np.zeros((self.columns + 2 * self.reach) * self.rows, np.int16)
        self.base = max(1, STEPS * total // (self.rows * self.columns))
        self.column = np.zeros(self.columns + 2 * self.reach, np.int64)
        self.row = np.zeros(self.rows, np.int64)
        self.due = np.zeros(self.rows, np.int64)
        self.seen = np.arange(self.rows, dtype=np.int64)
        self.features = np.zeros((len(START), self.rows), np.int64)
        self.usual = int(tables()[0][self.base])
        self.features[0] = self.usual
        self.weights = np.array(START, np.int64)
        self.odds, self.sure = tables()
        self.steps = 0

    def _diagonal(self, step: int, first: int, last: int, back: int) -> np.ndarray:
        """Return a view of what lies `back` columns before the weights of a step."""
        begin = (step - first - back + self.reach) * self.rows + first
        pace = 1 - self.rows
        if self.rows == 1:
            return self.flat[begin : begin + 1]
        end = begin + pace * (last - first)
        return self.flat[begin : end if end >= 0 else None : pace]

    def _around(self, step: int, first: int, last: int, shift: int) -> np.ndarray:
        """Return the columns' counts for the weights of a step, moved by `shift` columns."""
        begin = step - first + shift + self.reach
        return self.column[begin - (last - first) + 1 : begin + 1][::-1]

    def probabilities(self, step: int, first: int, last: int) -> np.ndarray:
        """Return for the rows from first to last how likely a weight is not zero, of 65,536."""
        self.place, self.span = (step, first, last), slice(0, last - first)
        part = slice(first, last)
        x = self.features[:, self.span]
        back, column, seen = self.back, self._around(step, first, last, 0), self.seen[part]
        share = (column * STEPS + DOUBT * self.base) // (seen + DOUBT)
        x[1] = self.odds[np.minimum(share, STEPS - 1)] - self.usual
        beside = self._around(step, first, last, -back[0]) + self._around(
            step, first, last, back[0]
        )
        beside = beside + self._around(step, first, last, -back[1])
        beside += self._around(step, first, last, back[1])
        beside = (beside * (STEPS // 4) + 2 * self.base) // (seen + 2)
        x[2] = self.odds[np.minimum(beside, STEPS - 1)] - self.usual
        self.share = share
        row, due = self.row[part] * STEPS + 3 * STEPS, self.due[part] + 3 * STEPS
        x[3] = self.odds[row * (STEPS - 1) // (row + due)]
        x[4] = self._diagonal(step, first, last, back[0])
        x[5] = self._diagonal(step, first, last, back[1])
        x[6] = self._diagonal(step, first, last, back[2])
        x[6] += self._diagonal(step, first, last, back[3])
        x[7] = self._diagonal(step, first, last, back[4])
        x[8] = self._diagonal(step, first, last, back[5])
        where = (self.weights @ x + HALF) >> 16
        found: np.ndarray = self.sure[np.minimum(np.maximum(where, -FAR), FAR) + FAR]
        self.found = found
        return found

    def learn(self, bits: List[int]) -> None:
        """Take what the weights of the step were."""
        step, first, last = self.place
        truth = np.array(bits, np.int64)
        self._diagonal(step, first, last, 0)[:] = truth * UNIT
        self._around(step, first, last, 0)[:] += truth
        self.row[first:last] += truth
        self.due[first:last] += self.share
        errors = truth * ONE - self.found
        self.steps += 1
        change = self.features[:, self.span] @ errors
        self.weights += change * RATE // (self.steps + CALM) >> 16

    def result(self) -> np.ndarray:
        """Return the whole matrix."""
        whole = self.flat.reshape(-1, self.rows)[self.reach : self.reach + self.columns]
        found: np.ndarray = (whole.T != 0).astype(np.uint8)
        return found
