"""Try the ways to code a buffer, and take the one that makes it smallest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from edgeshrink.tflite.esz import content
from edgeshrink.tflite.esz.content import (
    ELEMENTS,
    LONG_GAP,
    MOST_VALUES,
    Content,
    Element,
    Section,
    Wave,
    Way,
    bits_of,
    rotated,
)
from edgeshrink.tflite.esz.lanes import LETTERS, MOST_CLASSES, SCALE
from edgeshrink.tflite.packing.encoder import Encoder
from edgeshrink.tflite.packing.lanes import bits, frequencies

TYPES = {
    "int2": 0,
    "int4": 1,
    "uint4": 1,
    "int16": 3,
    "int32": 4,
    "int64": 5,
    "float16": 6,
    "bfloat16": 3,
    "float32": 7,
}
# What a device can read one by one in a fraction of a second, in all of a file.
MOST_BYTES, MOST_NUMBERS = 1 << 12, 1 << 13
# The microseconds that a desktop may take for it, and what it takes for a byte or number, for
# each diagonal of a wave, each weight in it, and each that is not zero.
ALL, ONE_BY_ONE, DIAGONAL, WEIGHT, NONZERO = 350_000, 10, 60, 0.2, 8
# A wave is for sparse weights; where fewer are zero, gaps and symbols are as small and quicker.
LEAST_ZEROS = 0.3
# Bits of a byte from which on it is stored as it is.
NOISE = 7.95
# An autocorrelation under this is taken for chance.
RELATED = 1.15


@dataclass
class Room:
    """The microseconds that are left for what is read one by one."""

    microseconds: float = ALL

    def price(self, matrix: np.ndarray) -> float:
        """Return about how long a desktop reads a matrix."""
        nonzero = int(np.count_nonzero(matrix))
        return DIAGONAL * sum(matrix.shape) + WEIGHT * matrix.size + NONZERO * nonzero


def choose(index: int, data: bytes, dtype: str, shape: tuple[int, ...], room: Room) -> Content:
    """Return a buffer as it is coded best.

    Args:
        index: of the buffer among the file's.
        data: its bytes.
        dtype: of the tensor that it belongs to; empty for none.
        shape: of that tensor.
        room: what is left of it; taken from.
    """
    element = ELEMENTS[TYPES.get(dtype, 2)]
    found: list[tuple[float, Content]] = []
    if len(data) * 8 % element.bits == 0 and data:
        words = bits_of(data, element)
        found += [_plain(data, words, element), *_gaps(data, words, element)]
        numbers = element.bits >= 32 and not element.real and len(words) <= MOST_NUMBERS
        if numbers and ONE_BY_ONE * len(words) <= room.microseconds:
            found.append(_priced(index, Content(len(data), Way.NUMBERS, element, data=data)))
        found += _waves(index, data, words, element, shape, room)
    few = len(data) <= MOST_BYTES and ONE_BY_ONE * len(data) <= room.microseconds
    if not found or (few and element.bits <= 8):
        found.append(_priced(index, Content(len(data), data=data)))
    best = min(found, key=lambda entry: entry[0])[1]
    if best.wave is not None:
        room.microseconds -= room.price(best.wave.ranks)
    elif best.way in (Way.BYTES, Way.NUMBERS):
        room.microseconds -= ONE_BY_ONE * best.count / (best.element.bits / 8)
    return best


def _priced(index: int, wanted: Content) -> tuple[float, Content]:
    """Return a buffer with the bytes that it takes in the arithmetic coder."""
    encoder = Encoder()
    content.code(encoder, index, wanted.count, wanted)
    return float(len(encoder.finish())), wanted


def price(counts: np.ndarray) -> float:
    """Return about how many bytes symbols take in a class of their own, frequencies included."""
    seen = counts[counts > 0]
    if not len(seen):
        return 0.0
    # a frequency is told by its length, foreseen in about three bits, and half of its own bits
    table = 3 * len(seen) + np.log2(1 + seen * SCALE / seen.sum()).sum() / 2
    return (bits(counts) + float(table)) / 8 + LETTERS / 32


def counted(section: Section) -> np.ndarray:
    """Return how often a section has each symbol."""
    return np.bincount(np.asarray(section.symbols), minlength=LETTERS)


def _section(symbols: np.ndarray) -> Section:
    return Section(len(symbols), 1, symbols.astype(np.uint8))


def _cost(sections: list[Section], book: int) -> float:
    """Return the bytes of sections; those that are noise are set to be stored as they are."""
    total = book + 4.0
    for section in sections:
        counts = counted(section)
        if section.count and bits(counts) / section.count > NOISE:
            section.kind = 0
            total += section.count
        else:
            total += price(counts)
    return total


def _book(words: np.ndarray, element: Element) -> tuple[int, ...] | None:
    """Return the values that symbols stand for; empty for none, None where there are too many."""
    if element.bits <= 8:
        return ()
    values = np.unique(words)
    return tuple(values.tolist()) if len(values) <= LETTERS else None


def _plain(data: bytes, words: np.ndarray, element: Element) -> tuple[float, Content]:
    book = _book(words, element)
    if book is None:
        planes, book = rotated(data, element), ()
    elif book:
        planes = [np.searchsorted(np.array(book, np.uint64), words)]
    else:
        planes = [words]
    sections = [_section(plane) for plane in planes]
    made = Content(len(data), Way.PLAIN, element, book, data, sections=tuple(sections))
    return _cost(sections, len(book) * element.bits // 8), made


def _gaps(data: bytes, words: np.ndarray, element: Element) -> list[tuple[float, Content]]:
    places = np.flatnonzero(words)
    if len(places) * 2 > len(words):
        return []
    weights = words[places]
    book = _book(weights, element)
    if book is None or not len(places):
        return []
    zeros = np.diff(places, prepend=-1) - 1
    long = zeros // LONG_GAP
    gaps = np.full(int(long.sum()) + len(places), LONG_GAP, np.int64)
    gaps[np.cumsum(long + 1) - 1] = zeros % LONG_GAP
    symbols = np.searchsorted(np.array(book, np.uint64), weights) if book else weights
    sections = [_section(gaps), _section(symbols)]
    made = Content(len(data), Way.GAPS, element, book, data, sections=tuple(sections))
    return [(_cost(sections, len(book) * element.bits // 8), made)]


def _waves(
    index: int,
    data: bytes,
    words: np.ndarray,
    element: Element,
    shape: tuple[int, ...],
    room: Room,
) -> list[tuple[float, Content]]:
    rows = shape[0] if shape and len(words) % max(shape[0], 1) == 0 else 1
    matrix = words.reshape(max(rows, 1), -1)
    sparse = np.count_nonzero(words) <= len(words) * (1 - LEAST_ZEROS)
    if not sparse or len(words) < 16 or room.price(matrix) > room.microseconds:
        return []
    top = 1 << element.bits - 1
    values = np.unique(words[words != 0]).astype(object)
    if len(values) > MOST_VALUES:
        return []
    below = sorted((v for v in values if v >= top), reverse=not element.real)
    above = [v for v in values if v < top]
    rank = {0: 0, **{v: k for k, v in enumerate(above, 1)}}
    rank |= {v: -k for k, v in enumerate(below, 1)}
    keys = np.array(sorted(rank), np.uint64)
    ranks = np.array([rank[int(key)] for key in keys], np.int64)[np.searchsorted(keys, words)]
    matrix = ranks.reshape(matrix.shape)
    found = []
    for strides in _strides(matrix, shape):
        wave = Wave(matrix.shape[1], strides, (below, above), matrix)
        found.append(_priced(index, Content(len(data), Way.WAVE, element, data=data, wave=wave)))
    return found


def _strides(matrix: np.ndarray, shape: tuple[int, ...]) -> list[tuple[int, int]]:
    """Return where a weight's neighbours to the left and above may be, in columns."""
    columns = matrix.shape[1]
    found = [(columns, columns)]
    if len(shape) == 4 and shape[2] > 1:
        found.append((shape[3], shape[2] * shape[3]))
    elif columns > 3:
        bits_there = (matrix != 0).astype(np.float64)
        share = np.abs(np.fft.rfft(bits_there, 2 * columns, axis=1)) ** 2
        lags = np.arange(columns)
        alike = np.fft.irfft(share.sum(0))[:columns] / (columns - lags)
        expected = bits_there.mean() ** 2 * len(matrix)
        ratio = alike[: max(columns // 2, 2)] / max(expected, 1e-12)
        ratio[0] = 0
        first = int(ratio.argmax())
        if ratio[first] > RELATED:
            near = np.abs(np.arange(len(ratio)) - first) <= min(3, first)
            second = int(np.where(near, 0, ratio).argmax())
            found.append((min(first, second), max(first, second)) if second else (first, columns))
    return [pair for pair in found if min(pair) > 0]


def classify(contents: list[Content]) -> list[np.ndarray]:
    """Give sections that are alike one class; return each class's frequencies.

    Classes are merged in pairs for as long as that makes the file smaller.
    """
    sections = [s for one in contents for s in one.sections if s.kind]
    groups = [[s] for s in sections if s.count]
    counts = [counted(group[0]) for group in groups]
    prices = [price(count) for count in counts]
    gains: dict[tuple[int, int], float] = {}
    alive = set(range(len(groups)))
    while len(alive) > 1:
        for left in alive:
            for right in alive:
                if left < right and (left, right) not in gains:
                    both = price(counts[left] + counts[right])
                    gains[left, right] = prices[left] + prices[right] - both
        pair = max((p for p in gains if alive >= set(p)), key=lambda p: gains[p])
        if gains[pair] <= 0 and len(alive) <= MOST_CLASSES:
            break
        left, right = pair
        groups.append(groups[left] + groups[right])
        counts.append(counts[left] + counts[right])
        prices.append(price(counts[-1]))
        alive -= {left, right}
        alive.add(len(groups) - 1)
    for kind, group in enumerate(sorted(alive), 1):
        for section in groups[group]:
            section.kind = kind
    for section in sections:
        if not section.count:
            section.kind = 0
    return [frequencies(counts[group]) for group in sorted(alive)]
