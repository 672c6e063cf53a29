"""The rank of a noisy matrix, by variational Bayes."""

from __future__ import annotations

import numpy as np
from scipy.optimize import minimize_scalar

# Of the energy of a matrix, at least: without noise its logarithm would be searched for ever.
LEAST_NOISE = 1e-12


def rank_above_noise(singular: np.ndarray, shape: tuple[int, int]) -> int:
    """Return how many singular values tell more than noise; at least 1.

    Empirical variational Bayesian matrix factorization has a global solution in closed form, but
    for the variance of the noise, which is found along a line (Nakajima et al., JMLR 14, 2013,
    "Global analytic solution of fully-observed variational Bayesian matrix factorization",
    theorem 2 and section 6); Kim et al., ICLR 2016, take the ranks of a Tucker decomposition so.

    Args:
        singular: all singular values, greatest first, `(min(shape),)`.
        shape: of the matrix.
    """
    rows, columns = sorted(shape)
    ratio = rows / columns
    tau = 2.5129 * np.sqrt(ratio)
    limit = (1 + tau) * (1 + ratio / tau)
    energies = np.square(singular.astype("float64"))
    total = energies.sum()
    if not total:
        return 1
    most = min(int(np.ceil(rows / (1 + ratio))) - 1, len(energies) - 1)
    noise = total / (rows * columns)
    least = max(
        energies[most] / (columns * limit), energies[most:].mean() / columns, LEAST_NOISE * noise
    )
    if least < noise:
        found = minimize_scalar(
            lambda logarithm: _free_energy(np.exp(logarithm), energies / columns, ratio, limit),
            bounds=(np.log(least), np.log(noise)),
            method="bounded",
        )
        noise = float(np.exp(found.x))
    return max(1, int((energies > columns * noise * limit).sum()))


def _free_energy(noise: float, energies: np.ndarray, ratio: float, limit: float) -> float:
    """Return the part of the free energy that depends on the noise's variance."""
    scaled = np.maximum(energies / noise, np.finfo("float64").tiny)
    signal, rest = scaled[scaled > limit], scaled[scaled <= limit]
    spread = signal - (1 + ratio)
    tau = (spread + np.sqrt(np.maximum(spread**2 - 4 * ratio, 0))) / 2
    told = signal - tau + np.log((tau + 1) / signal) + ratio * np.log(tau / ratio + 1)
    return float((rest - np.log(rest)).sum() + told.sum())
