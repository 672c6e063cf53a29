"""The writing side of the interleaved range coder."""

from __future__ import annotations

import numpy as np

from edgeshrink.tflite.esz.lanes import LETTERS, LOWEST, MOST_LANES, SCALE, SCALE_BITS

# A lane's state costs two bytes, a step of all lanes some microseconds.
SYMBOLS_A_STEP = 1500


def lanes_for(count: int) -> int:
    """Return how many lanes are worth their states for so many symbols."""
    wanted = max(1, count // SYMBOLS_A_STEP)
    return min(1 << (wanted - 1).bit_length(), MOST_LANES)


def frequencies(counts: np.ndarray) -> np.ndarray:
    """Return counts of symbols scaled to the coder's total, none that occurs becoming zero."""
    total = int(counts.sum())
    scaled: np.ndarray = np.maximum(counts * SCALE // total, counts > 0).astype(np.int64)
    while (rest := SCALE - int(scaled.sum())) != 0:
        # where one more or less changes the expected length least
        with np.errstate(divide="ignore", invalid="ignore"):
            gain = counts * (np.log2(scaled + np.sign(rest)) - np.log2(scaled))
        allowed = (counts > 0) & (scaled + np.sign(rest) > 0)
        scaled[np.where(allowed, gain, -np.inf).argmax()] += np.sign(rest)
    return scaled


def bits(counts: np.ndarray) -> float:
    """Return the expected length of symbols that are coded with their own frequencies."""
    seen = counts[counts > 0]
    return float((seen * (np.log2(seen.sum()) - np.log2(seen))).sum())


def encode(
    symbols: np.ndarray, lanes: int, tables: list[np.ndarray], classes: np.ndarray
) -> np.ndarray:
    """Return the words that `decode` reads.

    Args:
        symbols: uint8.
        lanes: how many.
        tables: the frequencies of each class.
        classes: of each symbol.
    """
    count = len(symbols)
    steps = -(-count // lanes)
    width = np.stack(tables).astype(np.uint64).reshape(-1)
    starts = np.stack([np.cumsum(t) - t for t in tables]).astype(np.uint64).reshape(-1)
    # what follows the last symbol is the first slot of class 0, which decoders skip
    key = np.full(steps * lanes, int(np.flatnonzero(tables[0])[0]), np.int64)
    key[:count] = classes.astype(np.int64) * LETTERS + symbols
    state = np.full(lanes, LOWEST, np.uint64)
    written: list[np.ndarray] = []
    bits_out = np.uint64(16)
    for step in range(steps - 1, -1, -1):
        chosen = key[step * lanes : (step + 1) * lanes]
        wide = width[chosen]
        full = np.flatnonzero(state >= wide << np.uint64(32 - SCALE_BITS))
        if len(full):
            written.append((state[full] & np.uint64(0xFFFF)).astype(np.uint16))
            state[full] >>= bits_out
        state = (state // wide << np.uint64(SCALE_BITS)) + state % wide + starts[chosen]
    states = np.stack([state & np.uint64(0xFFFF), state >> bits_out], axis=1).astype(np.uint16)
    return np.concatenate([states.reshape(-1), *written[::-1]])
