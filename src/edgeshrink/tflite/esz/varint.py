"""Whole numbers in as few bytes as they need."""

from __future__ import annotations

from typing import List, Tuple

from .arithmetic import Broken

MOST_VARINT = 5


def read_varint(data: bytes, place: int) -> Tuple[int, int]:
    """Return a number, seven bits in a byte and the least first, and where it ends."""
    number = 0
    for count in range(MOST_VARINT):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        number |= (byte & 127) << 7 * count
        if byte < 128:
            return number, place
    raise Broken("a number does not end")


def varint(number: int) -> bytes:
    """Return a number as `read_varint` reads it."""
    found: List[int] = []
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes((*found, number))
