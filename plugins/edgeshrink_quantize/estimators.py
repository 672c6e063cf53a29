"""Ends of activations' ranges, estimated from histograms of the values that calibration saw."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from edgeshrink.tflite import Ranges, activation_values, read_model

BINS = 2048
LEVELS = 256
PERCENTILE = 99.99
# Shares of the range seen that searches try as new ends.
SHARES = np.linspace(0.05, 1.0, 96)


def estimated(
    calibrated: bytes,
    samples: Mapping[str, np.ndarray],
    method: str,
    progress: Callable[[float, str], None] = lambda share, note: None,
) -> Ranges:
    """Return the range of each float tensor between a model's inputs and outputs.

    The ends of inputs and outputs stay what was seen: they are the border that others rely on.

    Args:
        calibrated: a float .tflite.
        samples: `(samples, ...)` for each input.
        method: one of `ENDS`.
        progress: told the share done (0..1) and a note.
    """
    flat = read_model(calibrated)
    border = {t.index for t in (*flat.inputs, *flat.outputs)}
    count = len(next(iter(samples.values())))
    ends: dict[int, tuple[float, float]] = {}
    for place, values in enumerate(activation_values(calibrated, samples)):
        progress(place / count / 2, "looking for ranges")
        for index, value in values.items():
            low, high = ends.get(index, (0.0, 0.0))
            ends[index] = min(low, float(value.min())), max(high, float(value.max()))
    wanted = {
        index: (low, high)
        for index, (low, high) in ends.items()
        if index not in border and np.isfinite([low, high]).all() and high > low
    }
    histograms = {index: np.zeros(BINS, "int64") for index in wanted}
    for place, values in enumerate(activation_values(calibrated, samples)):
        progress((1 + place / count) / 2, "looking for ranges")
        for index, seen in wanted.items():
            histograms[index] += histogram(values[index], *seen)
    return {i: ENDS[method](histograms[i], *seen) for i, seen in wanted.items()}


def histogram(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return how many values are in each of `BINS` equal bins from `low` to `high`."""
    places = ((values.ravel() - low) * (BINS / (high - low))).astype("int64")
    return np.bincount(np.clip(places, 0, BINS - 1), minlength=BINS)


def percentile(counts: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Return ends with `PERCENTILE` of the values between them, as many beyond each.

    Where there are so few values that not one may lie beyond, the ends are those seen. (Wu et
    al., "Integer Quantization for Deep Learning Inference", 2020, section 5.1.)
    """
    share = (1 - PERCENTILE / 100) / 2
    beyond = share * counts.sum()
    edges = np.linspace(low, high, BINS + 1)
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    left, right = (below <= beyond).sum(), (above <= beyond).sum()
    return min(float(edges[left]), 0.0), max(float(edges[BINS - right]), 0.0)


def mse(counts: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Return the ends with the least squared error of clipping and rounding together.

    Each end is searched with the other held, and both once more (as in Banner et al., NeurIPS
    2019, section 3, without their assumption of a distribution).
    """
    centres = _centres(low, high)
    best = low, high
    for _ in range(2):
        for side in (1, 0):
            tried = [(s * low, best[1]) if side == 0 else (best[0], s * high) for s in SHARES]
            tried = list(dict.fromkeys(pair for pair in tried if pair[1] > pair[0]))
            errors = [
                float(counts @ np.square(rounded(centres, *pair) - centres)) for pair in tried
            ]
            best = tried[int(np.argmin(errors))]
    return best


def entropy(counts: np.ndarray, low: float, high: float) -> tuple[float, float]:
    """Return the ends that lose least information: both the same share of what was seen.

    The divergence of the rounded distribution from that of the clipped values (Migacz, "8-bit
    Inference with TensorRT", GTC 2017, slides 31-38), for asymmetric ranges; zeros are left out.
    """
    centres, best = _centres(low, high), (np.inf, 1.0)
    # the spike of zeros behind a ReLU is exact in every range, and would outweigh all the rest
    counts = np.where(np.abs(centres) * BINS > high - low, counts, 0)
    filled = counts > 0
    for share in SHARES[SHARES >= LEVELS / BINS]:
        inside = (centres >= share * low) & (centres <= share * high)
        places = np.flatnonzero(inside)
        if not counts[inside].any():
            continue
        clipped = counts[inside].astype("float64")
        clipped[0] += counts[: places[0]].sum()
        clipped[-1] += counts[places[-1] + 1 :].sum()
        # what each code stands for, spread over its bins that hold values at all
        codes = np.arange(len(places)) * LEVELS // len(places)
        held = np.bincount(codes, counts[inside], LEVELS)
        bins = np.bincount(codes, filled[inside], LEVELS)
        spread = np.where(filled[inside], (held / np.maximum(bins, 1))[codes], 0.0)
        divergence = kl(clipped, spread)
        if divergence <= best[0]:
            best = divergence, float(share)
    return best[1] * low, best[1] * high


ENDS: dict[str, Callable[[np.ndarray, float, float], tuple[float, float]]] = {
    "percentile": percentile,
    "mse": mse,
    "entropy": entropy,
}


def rounded(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return values clipped to `low`..`high` and rounded to `LEVELS` values, zero among them."""
    step = (high - low) / (LEVELS - 1)
    zero = np.round(-low / step)
    return (np.clip(np.round(values / step) + zero, 0, LEVELS - 1) - zero) * step


def kl(reference: np.ndarray, other: np.ndarray) -> float:
    """Return the Kullback-Leibler divergence of two histograms, in nats; empty bins are smoothed.

    Example:
        >>> kl(np.array([1.0, 3.0]), np.array([2.0, 6.0]))
        0.0
    """
    first, second = reference / reference.sum(), other / max(other.sum(), 1e-12)
    there = first > 0
    return float((first[there] * np.log(first[there] / np.maximum(second[there], 1e-6))).sum())


def _centres(low: float, high: float) -> np.ndarray:
    return low + (np.arange(BINS) + 0.5) * ((high - low) / BINS)
