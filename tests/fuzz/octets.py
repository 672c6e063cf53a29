"""Mutations of bytes, whatever they mean: flips, cuts, splices and numbers that tell sizes."""

from __future__ import annotations

import random

EDGES = (0, 1, 2, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 63)


def mutated(rng: random.Random, given: bytes) -> bytes:
    """Return bytes with one to eight changes."""
    data = bytearray(given)
    for _ in range(rng.choice((1, 1, 1, 2, 8))):
        if not data:
            break
        _change(rng, data)
    return bytes(data)


def _change(rng: random.Random, data: bytearray) -> None:
    at = _place(rng, data)
    length = rng.choice((1, 2, 4, 8, 64, 1024))
    change = rng.randrange(8)
    if change == 0:
        data[at] ^= 1 << rng.randrange(8)
    elif change == 1:
        data[at] = rng.choice((0, 0xFF, rng.randrange(256)))
    elif change in (2, 3):  # a number, as lengths and offsets are
        width = rng.choice((1, 2, 4, 8))
        number = rng.choice((*EDGES, len(data), at)) % (1 << 8 * width)
        at -= at % width if rng.random() < 0.7 else 0
        data[at : at + width] = number.to_bytes(width, rng.choice(("little", "big")))
    elif change == 4:
        del data[at : at + (length if rng.random() < 0.5 else len(data))]
    elif change == 5:
        data[at:at] = data[at : at + length] * rng.choice((1, 1, 100))
    elif change == 6:
        source = rng.randrange(len(data))
        data[at : at + length] = data[source : source + length]
    else:
        data[at : at + length] = bytes(min(length, len(data) - at))


def _place(rng: random.Random, data: bytearray) -> int:
    """Return a place: often near the front or the end, where headers and directories are."""
    near = rng.random()
    if near < 0.4:
        return min(len(data) - 1, rng.randrange(256))
    if near < 0.6:
        return max(0, len(data) - 1 - rng.randrange(256))
    return rng.randrange(len(data))
