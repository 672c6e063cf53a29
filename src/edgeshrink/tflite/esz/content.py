"""How the content of buffers is coded: weights, biases and whatever else a file holds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import List, NamedTuple, Optional, Tuple

import numpy as np

from . import mask, values
from .arithmetic import Broken, Coder
from .lanes import LETTERS, MOST_CLASSES

MOST_VALUES = 1 << 12
# Buffers up to so many bytes are text, such as a version.
SHORT = 64
# A gap of so many zeros and no weight behind it.
LONG_GAP = LETTERS - 1


class Way(IntEnum):
    """How one buffer is coded."""

    BYTES = 0  # one by one; in short buffers each in the context of the one before
    NUMBERS = 1  # integers by their length
    WAVE = 2  # mask and values, in the context of the weights around
    PLAIN = 3  # symbols in lanes
    GAPS = 4  # gaps between weights, and weights, in lanes


class Element(NamedTuple):
    """What a buffer is made of: bits of an element, and whether it is a float."""

    bits: int
    real: bool = False

    @property
    def kind(self) -> np.dtype:
        """The smallest type of numpy that has room for its bits, unsigned."""
        return np.dtype("<u%d" % max(1, self.bits // 8))


ELEMENTS = (
    Element(2),
    Element(4),
    Element(8),
    Element(16),
    Element(32),
    Element(64),
    Element(16, True),
    Element(32, True),
)


@dataclass
class Wave:
    """A sparse matrix.

    Attributes:
        columns: of the matrix.
        strides: how many columns back the neighbours to the left and above are.
        book: the values below and above zero, by size.
        ranks: of each element the place of its value, from 1 above and from -1 below zero.
    """

    columns: int
    strides: Tuple[int, int]
    book: Tuple[List[int], List[int]]
    ranks: np.ndarray


@dataclass
class Section:
    """Symbols of one class in the lanes; without a class they are bytes as they are."""

    count: int
    kind: int
    symbols: Optional[np.ndarray] = None


@dataclass
class Content:
    """One buffer, and how it is coded.

    Attributes:
        count: its bytes.
        way: how it is coded.
        element: what it is made of.
        book: values that symbols stand for; empty where symbols are the elements' bytes.
        data: the bytes, once they are known.
        wave: for `Way.WAVE`.
        sections: for `Way.PLAIN` and `Way.GAPS`, gaps before weights.
    """

    count: int
    way: Way = Way.BYTES
    element: Element = ELEMENTS[2]
    book: Tuple[int, ...] = ()
    data: bytes = b""
    wave: Optional[Wave] = None
    sections: Tuple[Section, ...] = ()

    @property
    def elements(self) -> int:
        """How many elements the bytes hold."""
        return self.count * 8 // self.element.bits

    def finish(self) -> bytes:
        """Return the bytes, the symbols of all sections being known."""
        if self.way == Way.WAVE:
            assert self.wave is not None
            below, above = self.wave.book
            # rank 1 is the first above zero; rank -1 the last of the table, as numpy counts
            table = np.array([0, *above, *below[::-1]], np.uint64)
            self.data = stored(table[self.wave.ranks.ravel()], self.element)
        elif self.way == Way.PLAIN:
            planes = [section.symbols for section in self.sections]
            if self.book or len(planes) == 1:
                words = np.asarray(planes[0]).astype(self.element.kind, copy=False)
            else:
                words = rotated_back(planes, self.element)
            self.data = stored(_looked_up(words, self.book), self.element)
        elif self.way == Way.GAPS:
            self.data = stored(self._spread(), self.element)
        if len(self.data) != self.count:
            raise Broken("a buffer has another size than its content")
        return self.data

    def _spread(self) -> np.ndarray:
        gaps, weights = (np.asarray(section.symbols) for section in self.sections)
        ends = np.cumsum(gaps.astype(np.int64) + (gaps != LONG_GAP))
        places = ends[gaps != LONG_GAP] - 1
        whole = np.zeros(self.elements, self.element.kind)
        if len(places) != len(weights) or (len(ends) and ends[-1] > len(whole)):
            raise Broken("gaps and weights do not fit each other")
        whole[places] = _looked_up(weights.astype(self.element.kind), self.book)
        return whole


def code(coder: Coder, index: int, count: int, given: Optional[Content] = None) -> Content:
    """Code a buffer, or of one in lanes what its sections are.

    Args:
        coder: reads or writes.
        index: of the buffer; what is learned of its values is kept under it.
        count: its bytes.
        given: the buffer to be written.
    """
    way = coder.symbol("way", 3, given.way if given else 0)
    if way > max(Way):
        raise Broken("a buffer is coded in no known way")
    made = Content(count, Way(way))
    if way == Way.BYTES:
        coder.spend(count)
        data = bytearray(count)
        for place in range(count):
            last = data[place - 1] if place and count <= SHORT else 0
            known = ("byte", count <= SHORT, last)
            data[place] = coder.symbol(known, 8, given.data[place] if given else 0)
        made.data = bytes(data)
        return made
    number = coder.symbol("element", 3, ELEMENTS.index(given.element) if given else 0)
    made.element = ELEMENTS[number]
    if count * 8 % made.element.bits:
        raise Broken("a buffer ends within an element")
    if way == Way.NUMBERS:
        _numbers(coder, made, given)
    elif way == Way.WAVE:
        made.wave = _wave(coder, index, made, given.wave if given else None)
    else:
        _sections(coder, made, given)
    return made


def _numbers(coder: Coder, made: Content, given: Optional[Content]) -> None:
    width = made.element.bits // 8
    if width < 1:
        raise Broken("numbers need whole bytes")
    kind = np.dtype("<i%d" % width)
    wanted = np.frombuffer(given.data, kind).tolist() if given else [0] * made.elements
    coder.spend(made.elements)
    found = [coder.signed(("integer", width), value) for value in wanted]
    try:
        made.data = np.array(found, kind).tobytes()
    except OverflowError as error:
        raise Broken("a number does not fit its place") from error


def _wave(coder: Coder, index: int, made: Content, given: Optional[Wave]) -> Wave:
    columns = coder.number("columns", given.columns if given else 0)
    if not columns or made.elements % columns:
        raise Broken("a matrix is not full")
    first, second = given.strides if given else (0, 0)
    left = min(coder.number("left", first), columns)
    above = min(coder.number("above", second), columns)
    nonzero = (given.ranks != 0).astype(np.uint8) if given else None
    shape = (made.elements // columns, columns)
    nonzero = mask.code(coder, shape, (left, above), nonzero)
    below = _book(coder, made.element, True, given.book[0] if given else None)
    above_zero = _book(coder, made.element, False, given.book[1] if given else None)
    ranks = np.zeros(shape, np.int64)
    if nonzero.any():
        if not (below or above_zero):
            raise Broken("weights that are not zero have no value")
        chosen = given.ranks[nonzero != 0] if given else None
        sizes = (len(below), len(above_zero))
        ranks[nonzero != 0] = values.code(coder, index, nonzero, (left, above), sizes, chosen)
    return Wave(columns, (left, above), (below, above_zero), ranks)


def _book(coder: Coder, element: Element, below: bool, given: Optional[List[int]]) -> List[int]:
    """Code the values on one side of zero, by size, as the bits that stand for them."""
    whole, top = 1 << element.bits, 1 << element.bits - 1
    count = coder.number(("values", below), len(given or ()))
    if count > min(MOST_VALUES, top + 1):
        raise Broken("a buffer has too many values")
    found, size = [], 0
    for k in range(count):
        wish = 0
        if given:
            wish = given[k] - top if element.real and below else given[k]
            wish = whole - wish if below and not element.real else wish
        size += coder.number(("step", element, k == 0), wish - size)
        if size > top:
            raise Broken("a value does not fit its place")
        found.append((size + top if element.real else whole - size) % whole if below else size)
    return found


def _sections(coder: Coder, made: Content, given: Optional[Content]) -> None:
    count = coder.number("book", len(given.book) if given else 0)
    if count > LETTERS:
        raise Broken("a buffer has too many values")
    coder.spend(count)
    bits = made.element.bits
    if count:
        wish = given.book if given else (0,) * count
        made.book = tuple(coder.literal(bits, value) for value in wish)
    width = 1 if count or bits < 8 else bits // 8
    if made.way == Way.GAPS:
        if width > 1:
            raise Broken("weights between gaps are single bytes")
        wanted = [s.count for s in given.sections] if given else [0, 0]
        counts = [coder.number("section", count) for count in wanted]
        if max(counts) > made.elements:
            raise Broken("there are more gaps than weights")
    else:
        counts = [made.elements] * width
    kinds = [s.kind for s in given.sections] if given else [0] * len(counts)
    made.sections = tuple(
        Section(count, _kind(coder, made.way, kind)) for count, kind in zip(counts, kinds)
    )


def _kind(coder: Coder, way: Way, given: int) -> int:
    """Code the class of a section, from 1; 0 for bytes as they are."""
    kind = coder.number(("class", way), given)
    if kind > MOST_CLASSES:
        raise Broken("there are too many classes")
    return kind


def _looked_up(symbols: np.ndarray, book: Tuple[int, ...]) -> np.ndarray:
    if not book:
        return symbols
    if symbols.size and int(symbols.max()) >= len(book):
        raise Broken("a symbol stands for no value")
    return np.asarray(np.array(book, symbols.dtype)[symbols])


def stored(words: np.ndarray, element: Element) -> bytes:
    """Return the bytes of elements that are given by their bits, unsigned."""
    words = words.astype(element.kind, copy=False)
    if element.bits >= 8:
        return words.tobytes()
    each = 8 // element.bits
    shifts = np.arange(each, dtype=np.uint8) * np.uint8(element.bits)
    grouped = (words & np.uint8((1 << element.bits) - 1)).reshape(-1, each) << shifts
    return bytes(np.bitwise_or.reduce(grouped, axis=1).tobytes())


def bits_of(data: bytes, element: Element) -> np.ndarray:
    """Return the elements of a buffer by their bits, uint64."""
    if element.bits >= 8:
        return np.frombuffer(data, "<u%d" % (element.bits // 8)).astype(np.uint64)
    shifts = np.arange(8 // element.bits, dtype=np.uint8) * np.uint8(element.bits)
    found = np.frombuffer(data, np.uint8)[:, None] >> shifts & ((1 << element.bits) - 1)
    return found.ravel().astype(np.uint64)


def rotated(data: bytes, element: Element) -> List[np.ndarray]:
    """Return the bytes of elements by their place, the least first.

    The bit of the sign is put last, so that the exponent of a float has a byte to itself.
    """
    kind = np.dtype("<u%d" % (element.bits // 8))
    words = np.frombuffer(data, kind)
    if element.real:
        words = words << kind.type(1) | words >> kind.type(element.bits - 1)
    planes = np.ascontiguousarray(words).view(np.uint8).reshape(-1, kind.itemsize)
    return [np.ascontiguousarray(planes[:, k]) for k in range(kind.itemsize)]


def rotated_back(planes: List[Optional[np.ndarray]], element: Element) -> np.ndarray:
    """Return the elements whose bytes are given by their place."""
    kind = np.dtype("<u%d" % (element.bits // 8))
    words = np.stack([np.asarray(plane) for plane in planes], axis=1).view(kind).ravel()
    if element.real:
        words = words >> kind.type(1) | words << kind.type(element.bits - 1)
    return np.asarray(words)
