"""Alternating least squares: products of three that are near a tensor `(window, inputs, outputs)`.

TensorLy 0.10 has both. For sums of terms it holds the products of all inputs and outputs in each
term, 5 GB where 512 channels meet 512 in 2,283 terms; here those of window and inputs are the most.
"""

from __future__ import annotations

import numpy as np

ENOUGH = 1e-4  # of the tensor's norm: smaller changes of the error end it
RIDGE = 1e-12  # of the mean of the squares, where terms are alike


def by_rows(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the squares of a flat matrix's singular values, greatest first, and its left vectors.

    Args:
        matrix: `(rows, columns)`; of no more rows than columns, or the last squares are zero.
    """
    squares, vectors = np.linalg.eigh(matrix @ matrix.T)
    return np.maximum(squares[::-1], 0), vectors[:, ::-1]


def unfolded(tensor: np.ndarray, axis: int) -> np.ndarray:
    """Return a tensor as a matrix whose rows are along an axis."""
    return np.moveaxis(tensor, axis, 0).reshape(tensor.shape[axis], -1)


def tucker(
    tensor: np.ndarray, first: np.ndarray, last: np.ndarray, turns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the inputs' basis, the core and the outputs' basis of a Tucker-2 decomposition.

    Each basis in turn is the best for the other (De Lathauwer et al., SIAM J. Matrix Anal. Appl.
    21, 2000, "On the best rank-1 and rank-(R1, …, RN) approximation", algorithm 4.2), so that the
    error never grows.

    Args:
        tensor: `(window, inputs, outputs)`.
        first: orthonormal, `(inputs, fewer)`, where it begins.
        last: orthonormal, `(outputs, more)`.
        turns: at most.

    Returns:
        `(inputs, fewer)`, `(window, fewer, more)`, `(outputs, more)`.
    """
    norm, before = float(np.square(tensor).sum()), np.inf
    for _ in range(turns):
        _, vectors = by_rows(unfolded(tensor @ last, 1))
        first = vectors[:, : first.shape[1]]
        squares, vectors = by_rows(unfolded(first.T @ tensor, 2))
        last = vectors[:, : last.shape[1]]
        error = np.sqrt(max(0.0, norm - float(squares[: last.shape[1]].sum())))
        if before - error <= ENOUGH * np.sqrt(norm):
            break
        before = error
    return first, first.T @ tensor @ last, last


def terms(
    tensor: np.ndarray, first: np.ndarray, last: np.ndarray, turns: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the factors of a sum of terms, each a window times an input times an output.

    Each factor in turn is the best for the others (Kolda and Bader, SIAM Review 51, 2009, "Tensor
    decompositions and applications", figure 3.3).

    Args:
        tensor: `(window, inputs, outputs)`.
        first: where it begins, `(inputs, terms)`.
        last: likewise, `(outputs, terms)`.
        turns: at most.

    Returns:
        `(window, terms)`, `(inputs, terms)`, `(outputs, terms)`, those of a term of the same norm.
    """
    places, inputs, outputs = tensor.shape
    norm, before = float(np.square(tensor).sum()), np.inf
    flat = tensor.reshape(-1, outputs)
    window = np.zeros((places, first.shape[1]))
    for _ in range(turns):
        made = (flat @ last).reshape(places, inputs, -1)
        window = _best(np.einsum("sir,ir->sr", made, first), first, last)
        first = _best(np.einsum("sir,sr->ir", made, window), window, last)
        both = (window[:, None] * first).reshape(places * inputs, -1)
        met = flat.T @ both
        last = _best(met, window, first)
        squares = (window.T @ window) * (first.T @ first) * (last.T @ last)
        error = np.sqrt(max(0.0, norm - 2 * float((met * last).sum()) + float(squares.sum())))
        if before - error <= ENOUGH * np.sqrt(norm):
            break
        before = error
    norms = [np.maximum(np.linalg.norm(f, axis=0), 1e-30) for f in (window, first, last)]
    even = np.cbrt(norms[0] * norms[1] * norms[2])
    window, first, last = (
        f * (even / n) for f, n in zip((window, first, last), norms, strict=True)
    )
    return window, first, last


def _best(met: np.ndarray, *others: np.ndarray) -> np.ndarray:
    """Return the factor that is best beside two others, `(size, terms)`.

    Args:
        met: the tensor times the two others.
        others: `(size, terms)` each.
    """
    one, other = others
    squares = (one.T @ one) * (other.T @ other)
    ridge = RIDGE * np.trace(squares) / len(squares) + np.finfo("float64").tiny
    return np.asarray(np.linalg.solve(squares + ridge * np.eye(len(squares)), met.T).T)
