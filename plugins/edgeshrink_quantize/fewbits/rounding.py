"""Rounding weights to grids of few bits, without training: nearest, MSE, OCTAV and GPTQ.

All take and give columns `(weights of a channel, channels)`. What lies on a grid already stays
as it is, and zeros stay zero.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edgeshrink_quantize.fewbits.grids import LARGEST, codes, steps

# Shares of a channel's greatest magnitude that the search tries as the end of its grid.
SHARES = np.linspace(0.2, 1.0, 81)
NEWTON_STEPS = 20
# Of the mean of the Hessian's diagonal, as in GPTQ, section 3.3 ("lambda ... 1%").
DAMPENING = 0.01
# Rows that are corrected together (GPTQ, section 3.3, "Lazy Batch-Updates").
ROWS_TOGETHER = 128


def nearest_step(columns: np.ndarray, bits: int) -> np.ndarray:
    """Return steps whose grid ends at each channel's greatest magnitude."""
    largest = np.abs(columns).max(axis=0).astype("float64")
    return np.where(largest == 0, 1.0, largest / LARGEST[bits])


def mse_step(columns: np.ndarray, bits: int) -> np.ndarray:
    """Return, of `SHARES` of the nearest steps, those with the least squared error."""
    whole = nearest_step(columns, bits)
    best = np.full(whole.shape, np.inf)
    chosen = whole
    for share in SHARES:
        step = share * whole
        error = np.square(codes(columns, step, bits) * step - columns).sum(axis=0)
        chosen, best = np.where(error <= best, step, chosen), np.minimum(error, best)
    return chosen


def octav_step(columns: np.ndarray, bits: int) -> np.ndarray:
    """Return steps that clip where clipping and rounding cost least together.

    Newton's iteration of OCTAV (Sakr et al., "Optimal Clipping and Magnitude-aware
    Differentiation for Improved Quantization-aware Training", ICML 2022, equation 6):
    s' = sum(|w| where |w| > s) / (4^-B / 3 * count(0 < |w| <= s) + count(|w| > s)).
    """
    magnitudes = np.abs(columns).astype("float64")
    clip = magnitudes.sum(axis=0) / np.maximum((magnitudes > 0).sum(axis=0), 1)
    noise = 4.0**-bits / 3
    for _ in range(NEWTON_STEPS):
        clipped = magnitudes > clip
        inside = (magnitudes > 0) & ~clipped
        weight = noise * inside.sum(axis=0) + clipped.sum(axis=0)
        total = np.where(clipped, magnitudes, 0).sum(axis=0)
        clip = np.where(weight > 0, total / np.where(weight > 0, weight, 1), clip)
    largest = magnitudes.max(axis=0)
    clip = np.clip(clip, 0, largest)
    return np.where(clip == 0, nearest_step(columns, bits), clip / LARGEST[bits])


STEPS: dict[str, Callable[[np.ndarray, int], np.ndarray]] = {
    "nearest": nearest_step,
    "mse": mse_step,
    "octav": octav_step,
    "gptq": mse_step,
}


def rounded(columns: np.ndarray, bits: int, method: str) -> np.ndarray:
    """Return the columns on grids of `bits`, each weight at the code nearest to it.

    Args:
        columns: float32 `(weights, channels)`.
        bits: 2 or 4.
        method: a key of `STEPS`.

    Returns:
        Columns of the same shape; those that were on a grid of `bits` are unchanged.
    """
    step = STEPS[method](columns, bits)
    return _beside(columns, bits, codes(columns, step, bits) * step)


def gptq(columns: np.ndarray, bits: int, hessian: np.ndarray) -> np.ndarray:
    """Return the columns on grids of `bits`, each rounding error made good by later weights.

    Frantar et al., "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
    Transformers", ICLR 2023, algorithm 1; steps are those of `mse_step`.

    Args:
        columns: float32 `(weights, channels)`.
        bits: 2 or 4.
        hessian: of the squared error by the weights, `(weights, weights)`: the sum of the outer
            products of the layer's inputs.
    """
    count = len(columns)
    order = np.argsort(-np.diag(hessian), kind="stable")  # those that matter most come first
    zero = columns[order] == 0
    weights = columns[order].astype("float64")
    step = mse_step(columns, bits)
    damped = hessian[np.ix_(order, order)].astype("float64")
    mean = float(np.diag(damped).mean())
    damped[np.diag_indices(count)] += DAMPENING * mean or 1.0
    upper = np.linalg.cholesky(np.linalg.inv(damped)).T
    made = np.empty_like(weights)
    for start in range(0, count, ROWS_TOGETHER):
        stop = min(start + ROWS_TOGETHER, count)
        errors = np.empty((stop - start, weights.shape[1]))
        for row in range(start, stop):
            made[row] = np.where(zero[row], 0, codes(weights[row], step, bits) * step)
            errors[row - start] = (weights[row] - made[row]) / upper[row, row]
            weights[row + 1 : stop] -= np.outer(upper[row, row + 1 : stop], errors[row - start])
        weights[stop:] -= upper[start:stop, stop:].T @ errors
    back = np.empty_like(made)
    back[order] = made
    return _beside(columns, bits, back)


def _beside(columns: np.ndarray, bits: int, made: np.ndarray) -> np.ndarray:
    """Return what was made of columns, but columns that were on a grid as they were."""
    on_grid = ~np.isnan(steps(columns, bits))
    return np.where(on_grid, columns, made).astype("float32")
