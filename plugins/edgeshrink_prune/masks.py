"""From magnitudes to masks: what is pruned of one kernel, and of many together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from edgeshrink_prune.pattern import FREE, Block, Groups, Pattern

# Of each layer, under the global scope: an empty layer cuts the network in two. Where less is kept
# of all, it is a fifth of that.
KEPT_AT_LEAST = 0.02


def scores(magnitudes: np.ndarray, pattern: Pattern) -> np.ndarray:
    """Return what each unit of a pattern is worth; the smallest are pruned first.

    Args:
        magnitudes: of a kernel, `(..., inputs, outputs)`.
        pattern: of blocks a unit's worth is the mean; of groups each weight is a unit, and what
            a group keeps is worth infinity.

    Returns:
        `(..., inputs, outputs)` in units.
    """
    match pattern:
        case Block(inputs, outputs):
            whole, ones = (
                _sums(_sums(values, inputs, -2), outputs, -1)
                for values in (magnitudes, np.ones_like(magnitudes))
            )
            mean: np.ndarray = whole / ones
            return mean
        case Groups(kept, size):
            grouped = _grouped(magnitudes, size)
            order = np.argsort(-grouped, axis=-2, kind="stable")
            np.put_along_axis(grouped, order[..., :kept, :], np.inf, axis=-2)
            worth = grouped.reshape(*magnitudes.shape[:-2], -1, magnitudes.shape[-1])
            return worth[..., : magnitudes.shape[-2], :]


def spread(units: np.ndarray, shape: Sequence[int], pattern: Pattern) -> np.ndarray:
    """Return the mask of a kernel of `shape` whose units are masked so."""
    if isinstance(pattern, Groups):
        return units
    wide = units.repeat(pattern.inputs, axis=-2).repeat(pattern.outputs, axis=-1)
    return wide[..., : shape[-2], : shape[-1]]


def holds(mask: np.ndarray, pattern: Pattern) -> bool:
    """Return whether the zeros of `(..., inputs, outputs)` are of a pattern."""
    match pattern:
        case Block():
            units = scores((mask != 0).astype("float32"), pattern)
            return bool(np.isin(units, (0, 1)).all())
        case Groups(kept, size):
            grouped = _grouped((mask != 0).astype("float32"), size)
            return bool(((grouped > 0).sum(axis=-2) <= kept).all())


def _sums(values: np.ndarray, size: int, axis: int) -> np.ndarray:
    if size == 1:
        return values
    sums: np.ndarray = np.add.reduceat(values, np.arange(0, values.shape[axis], size), axis=axis)
    return sums


def _grouped(magnitudes: np.ndarray, size: int) -> np.ndarray:
    """Return a copy as `(..., groups, size, outputs)`, filled up with what is less than zero."""
    *rest, inputs, outputs = magnitudes.shape
    filled = np.full((*rest, -(-inputs // size) * size, outputs), -1.0, magnitudes.dtype)
    filled[..., :inputs, :] = magnitudes
    return filled.reshape(*rest, -1, size, outputs)


def adapted(worth: np.ndarray) -> np.ndarray:
    """Return what units of a kernel are worth among those of the kernel that are no less.

    The square of each, as a share of the sum of its own and all greater squares (Lee et al., ICLR
    2021, "Layer-adaptive sparsity for the magnitude-based pruning", section 3, equation 3): a layer
    whose weights are small as a whole is not emptied before the others.

    Args:
        worth: not negative, of any shape; what is infinite stays so.

    Example:
        >>> adapted(np.array([1.0, 2.0, 0.0])).round(2)
        array([0.2, 1. , 0. ])
    """
    flat = worth.ravel().astype("float64")
    finite = np.isfinite(flat)
    values = flat[finite]
    order = np.argsort(-values, kind="stable")
    squares = values[order] ** 2
    sums = np.cumsum(squares)
    found = np.empty(len(values))
    found[order] = squares / np.where(sums > 0, sums, 1)
    flat[finite] = found
    return flat.reshape(worth.shape)


def sizes_of(shape: Sequence[int], pattern: Pattern) -> np.ndarray | None:
    """Return the weights in each unit of a kernel of `shape`; None where each is one weight."""
    if pattern == FREE or isinstance(pattern, Groups):
        return None
    return _sums(_sums(np.ones(shape), pattern.inputs, -2), pattern.outputs, -1)


def mask_of(worth: np.ndarray, zeros: int) -> np.ndarray:
    """Return a mask with exactly `zeros` zeros, at the smallest values.

    Example:
        >>> mask_of(np.array([3.0, 1.0, 2.0]), 1)
        array([1., 0., 1.], dtype=float32)
    """
    mask = np.ones(worth.size, "float32")
    if zeros:
        mask[np.argpartition(worth.ravel(), zeros - 1)[:zeros]] = 0
    return mask.reshape(worth.shape)


def layer_mask(worth: np.ndarray, sparsity: float, sizes: np.ndarray | None = None) -> np.ndarray:
    """Return the mask of one kernel alone; what is worth infinity is kept.

    Args:
        worth: of each unit.
        sparsity: share of the weights that are zero, 0..1.
        sizes: weights in each unit, or None: blocks at the far edges of a kernel are smaller.
    """
    finite = int(np.isfinite(worth).sum())
    if sizes is None:
        return mask_of(worth, min(round(sparsity * worth.size), finite))
    sums = np.cumsum(sizes.ravel()[np.argsort(worth, axis=None)[:finite]])
    wanted = sparsity * sizes.sum()
    zeros = int(np.abs(np.append(0, sums) - wanted).argmin())
    return mask_of(worth, zeros)


def global_masks(
    kernels: Sequence[np.ndarray],
    sparsity: float,
    sizes: Sequence[np.ndarray | None] | None = None,
) -> list[np.ndarray]:
    """Return masks of the smallest values over all kernels together.

    The share of zeros over all kernels is exact; each kernel keeps at least
    `KEPT_AT_LEAST` of its units, or a fifth of the share that all keep, for which the others
    give more, as far as all can. What is worth infinity is kept.

    Args:
        kernels: what their units are worth, of any shapes.
        sparsity: share of zeros, 0..1.
        sizes: weights in each unit of each kernel, as in `layer_mask`.
    """
    protected = []
    for kernel in kernels:
        flat = kernel.ravel().astype("float64", copy=True)
        kept = int(np.ceil(least_kept(sparsity) * flat.size))
        if kept:
            flat[np.argpartition(flat, flat.size - kept)[flat.size - kept :]] = np.inf
        protected.append(flat)
    every = [size.ravel() for size in sizes or () if size is not None]
    whole = layer_mask(
        np.concatenate(protected), sparsity, np.concatenate(every) if every else None
    )
    parts = np.split(whole, np.cumsum([k.size for k in kernels])[:-1])
    return [part.reshape(kernel.shape) for part, kernel in zip(parts, kernels, strict=True)]


def least_kept(sparsity: float) -> float:
    """Return the share of each kernel that is kept where `sparsity` of all is not."""
    return min(KEPT_AT_LEAST, (1 - sparsity) / 5)
