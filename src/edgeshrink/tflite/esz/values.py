"""What the weights are that are not zero: sign, then size, told from the weights around them."""

from __future__ import annotations

from typing import List, Optional, Tuple

import numpy as np

from .arithmetic import ONE, Coder
from .mask import FAR, UNIT, tables

# What each feature of a sign weighs at first: neighbour to the left, above, beside that, two
# left, two above; row and column.
SIGNS = [150000, 120000, 60000, 90000, 60000, 30000, 0, 50000]
# Of a size: neighbours as above, row and column, constant.
SIZES = [20000, 20000, 10000, 10000, 10000, 10000, 60000, 60000, 0]
RATE, CALM = 150, 40
# How much is taken from a row or column at first.
DOUBT = 4


class Regression:
    """A logistic regression of few features that learns as it goes, on integers."""

    def __init__(self, weights: List[int]) -> None:
        self.weights = list(weights)
        self.uses = 0
        self.sure = tables()[1].tolist()

    def code(self, coder: Coder, features: List[Tuple[int, int]], bit: int) -> int:
        """Code a bit from features that are not zero, each with its number."""
        weights = self.weights
        where = sum(weights[k] * x for k, x in features) >> 16
        where = -FAR if where < -FAR else FAR if where > FAR else where
        probability = self.sure[where + FAR]
        bit = coder.code(probability, bit)
        self.uses += 1
        step = ((ONE if bit else 0) - probability) * RATE // (self.uses + CALM * 16)
        for k, x in features:
            weights[k] += step * x >> 8
        return bit


def code(
    coder: Coder,
    context: int,
    nonzero: np.ndarray,
    strides: Tuple[int, int],
    sizes: Tuple[int, int],
    given: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Code the values of weights.

    Args:
        coder: reads or writes.
        context: what is learned of sizes is kept under this number.
        nonzero: the matrix of bits that tells which there are.
        strides: how many columns back the neighbours to the left and above are.
        sizes: how many values there are below and above zero.
        given: for each weight that is not zero, row by row, the rank of its value: 1 and on
            above zero, -1 and on below, by size.

    Returns:
        Such ranks, int64.
    """
    rows, columns = nonzero.shape
    left, above = strides
    places = np.flatnonzero(nonzero)
    coder.spend(len(places))
    wanted = given.tolist() if given is not None else [0] * len(places)
    # before the first column of a row all neighbours are zero
    width = columns + above * 2 + left * 2
    start = above * 2 + left * 2
    back = (left, above, above + left, above - left, 2 * left, 2 * above)
    signs, bigs = [0] * (width * rows), [0] * (width * rows)
    column, column_big = [0] * columns, [0] * columns
    count = [DOUBT] * columns
    sign_model, size_models = Regression(SIGNS), (Regression(SIZES), Regression(SIZES))
    both = bool(sizes[0] and sizes[1])
    found = []
    row_before, row_sign, row_big, row_count = -1, 0, 0, DOUBT
    for place, value in zip(places.tolist(), wanted):
        row, j = divmod(place, columns)
        if row != row_before:
            row_before, row_sign, row_big, row_count = row, 0, 0, DOUBT
        at = row * width + start + j
        around = [(k, b) for k, b in enumerate(back) if signs[at - b]]
        positive = int(not sizes[0])
        if both:
            features = [(k, signs[at - b]) for k, b in around]
            if row_sign:
                features.append((6, row_sign // row_count))
            if column[j]:
                features.append((7, column[j] // count[j]))
            positive = sign_model.code(coder, features, int(value > 0))
        sign = UNIT if positive else -UNIT
        low, high = 0, sizes[positive]
        if high > 1:
            features = [(k, bigs[at - b]) for k, b in around]
            features += [(6, row_big // row_count), (7, column_big[j] // count[j]), (8, UNIT)]
            wish = abs(value) - 1
            middle = high // 2
            top = size_models[positive].code(coder, features, int(wish >= middle))
            low, high = (middle, high) if top else (0, middle)
            while high - low > 1:
                middle = (low + high) // 2
                if coder.flag((context, positive, low, high), int(wish >= middle)):
                    low = middle
                else:
                    high = middle
            bigs[at] = big = UNIT if top else -UNIT
            row_big += big
            column_big[j] += big
        signs[at] = sign
        row_sign += sign
        column[j] += sign
        row_count += 1
        count[j] += 1
        found.append(low + 1 if positive else -low - 1)
    return np.array(found, np.int64)
