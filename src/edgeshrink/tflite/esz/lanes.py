"""Many symbols at once: a range coder of asymmetric numerals in interleaved lanes.

The coder is Duda's rANS (arXiv 1311.2540, section 3) with states of 32 bits, 16 of which are
read at a time. Lane k has the symbols k, k + lanes, and so on; in every step all lanes take one
symbol, so that numpy does the work. Symbols have classes, each with frequencies of its own.
"""

from __future__ import annotations

from typing import List, Optional

import numpy as np

from .arithmetic import Broken, Coder

SCALE_BITS = 12
SCALE = 1 << SCALE_BITS
LOWEST = 1 << 16
LETTERS = 256
MOST_LANES, MOST_CLASSES = 1 << 12, 64


def histogram(coder: Coder, given: Optional[np.ndarray] = None) -> np.ndarray:
    """Code how often (of SCALE) each of 256 symbols is expected, int64.

    Frequencies beside each other are alike, so each is told by the one before.
    """
    found = np.zeros(LETTERS, np.int64)
    before, left = 0, SCALE
    wanted = given.tolist() if given is not None else [0] * LETTERS
    for letter in range(LETTERS):
        if not left:
            break
        value = wanted[letter]
        length = coder.symbol(("frequency", before), 4, value.bit_length())
        if length > 1:
            top = coder.flag(("half", length), value >> length - 2 & 1)
            rest = length - 2
            value = (2 + top) << rest | coder.literal(rest, value & (1 << rest) - 1)
        else:
            value = length
        before = length
        found[letter] = value
        left -= value
    if left:
        raise Broken("frequencies do not add up")
    return found


def decode(
    words: np.ndarray, lanes: int, tables: List[np.ndarray], classes: np.ndarray
) -> np.ndarray:
    """Return the symbols, uint8.

    Args:
        words: uint16; first each lane's state, low half first, then what the lanes read.
        lanes: how many.
        tables: the frequencies of each class.
        classes: of each symbol, uint8.

    Raises:
        Broken: the words end too early, or not where the symbols do.
    """
    count = len(classes)
    if not 1 <= lanes <= MOST_LANES or len(words) < 2 * lanes:
        raise Broken("the coded symbols end too early")
    letters = np.arange(LETTERS, dtype=np.uint8)
    letter = np.concatenate([np.repeat(letters, table) for table in tables])
    starts = [np.concatenate(([0], np.cumsum(table)[:-1])) for table in tables]
    # of each slot: its symbol's frequency, and how far it lies behind the symbol's first slot
    width = np.concatenate([np.repeat(table, table) for table in tables]).astype(np.uint32)
    within = np.concatenate(
        [np.arange(SCALE) - np.repeat(s, t) for s, t in zip(starts, tables)]
    ).astype(np.uint32)
    state = words[: 2 * lanes : 2].astype(np.uint32) | (
        words[1 : 2 * lanes : 2].astype(np.uint32) << np.uint32(16)
    )
    words = np.concatenate([words, np.zeros(lanes, np.uint16)]).astype(np.uint32)
    place, end = 2 * lanes, len(words) - lanes
    slots = np.empty(-(-count // lanes) * lanes, np.int64)
    offsets = np.zeros(len(slots), np.int64)
    offsets[:count] = classes.astype(np.int64) << SCALE_BITS
    low, shift = np.uint32(SCALE - 1), np.uint32(SCALE_BITS)
    for begin in range(0, len(slots), lanes):
        slot = slots[begin : begin + lanes]
        np.add(state & low, offsets[begin : begin + lanes], out=slot)
        state = width[slot] * (state >> shift) + within[slot]
        needy = np.flatnonzero(state < LOWEST)
        if len(needy):
            fresh = words[place : place + len(needy)]
            place += len(needy)
            if place > end:
                raise Broken("the coded symbols end too early")
            state[needy] = state[needy] << np.uint32(16) | fresh
    if place != end or (state != LOWEST).any():
        raise Broken("the coded symbols do not end where they should")
    found: np.ndarray = letter[slots[:count]]
    return found
