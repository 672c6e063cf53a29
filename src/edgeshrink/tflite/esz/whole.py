"""A whole file: its objects, scales and buffers, and what came before in the preset."""

from __future__ import annotations

import base64
from typing import List, NamedTuple, Optional

import numpy as np

from . import content, lanes, structure
from .arithmetic import Broken, Coder, Decoder
from .content import Content
from .objects import Object, Role, build
from .preset import PRESET
from .varint import read_varint

# Files that are read before each file, so that what is usual costs next to nothing.
PRESET_BUDGET = 1 << 20


class Model(NamedTuple):
    """What is coded by the arithmetic coder, as it lies in a file.

    Attributes:
        objects: of the flatbuffer.
        contents: of its buffers.
        lead: zeros behind the identifier.
        tail: bytes that follow the flatbuffer.
        lanes: how many, a power of two.
        tables: frequencies of each class of symbols.
        products: for a vector of scales the two that it is the product of.
    """

    objects: List[Object]
    contents: List[Content]
    lead: int = 0
    tail: bytes = b""
    lanes: int = 1
    tables: List[np.ndarray] = []  # noqa: RUF012 - never changed
    products: dict = {}  # type: ignore[type-arg]  # noqa: RUF012


class Reader:
    """Codes models one after the other, with all that was learned."""

    def __init__(self, coder: Coder) -> None:
        self.structure = structure.Structure(coder)
        self.models = 0

    def model(self, coder: Coder, room: int, given: Optional[Model] = None) -> Model:
        """Code one model of at most `room` bytes, but for the symbols in lanes."""
        self.structure.coder = coder
        self.models += 1
        objects = self.structure.objects(given.objects if given else None)
        lead = coder.number("lead", given.lead if given else 0)
        tail = given.tail if given else b""
        count = coder.number("tail", len(tail))
        coder.spend(count)
        tail = bytes(coder.literal(8, tail[k] if tail else 0) for k in range(count))
        scales = _of(objects, Role.FLOATS)
        known = [one.data for one in _of(given.objects, Role.FLOATS)] if given else None
        vectors = structure.floats(
            coder, [one.count for one in scales], known, given.products if given else None
        )
        for one, data in zip(scales, vectors):
            one.data = data
        buffers = _of(objects, Role.BYTES)
        if sum(one.count for one in buffers) > room:
            raise Broken("it holds more than it says")
        contents = [
            content.code(coder, index, one.count, given.contents[k] if given else None)
            for k, one in enumerate(buffers)
            for index in [self.models << 32 | k]
        ]
        classes = max((s.kind for c in contents for s in c.sections), default=0)
        shift = 0
        tables = []
        if classes:
            shift = coder.number("lanes", given.lanes.bit_length() - 1 if given else 0)
            tables = [
                lanes.histogram(coder, given.tables[k] if given else None) for k in range(classes)
            ]
        if 1 << shift > lanes.MOST_LANES:
            raise Broken("there are too many lanes")
        return Model(objects, contents, lead, tail, 1 << shift, tables)


def _of(objects: List[Object], role: Role) -> List[Object]:
    return [one for one in objects if one.template.role == role]


def primed() -> Reader:
    """Return a reader that has read the preset, and its coder's knowledge."""
    decoder = Decoder(base64.b85decode(PRESET), PRESET_BUDGET)
    reader = Reader(decoder)
    for _ in range(decoder.number("presets") if PRESET else 0):
        reader.model(decoder, PRESET_BUDGET)
    return reader


def decode(data: bytes, size: int, budget: int) -> bytes:
    """Return the .tflite file that a packed file's body holds.

    Args:
        data: what follows the header.
        size: the file's bytes.
        budget: how many values may be coded one by one.

    Raises:
        Broken: the bytes are damaged.
    """
    count, place = read_varint(data, 0)
    if place + count > len(data):
        raise Broken("it ends too early")
    reader = primed()
    coder = Decoder(data[place : place + count], budget)
    coder.learn_from(reader.structure.coder)
    model = reader.model(coder, size)
    buffers = _of(model.objects, Role.BYTES)
    _fill(model, data[place + count :], size)
    for one, coded in zip(buffers, model.contents):
        one.data = coded.finish() if coded.sections or coded.wave else coded.data
    return build(model.objects, model.lead, model.tail, size)


def _fill(model: Model, data: bytes, size: int) -> None:
    """Give each section its symbols: those in lanes from the front, plain bytes from the end."""
    sections = [section for coded in model.contents for section in coded.sections]
    coded = [section for section in sections if section.kind]
    plain = [section for section in sections if not section.kind]
    begin = len(data) - sum(section.count for section in plain)
    if begin < 0 or begin % 2 or (begin and not coded) or sum(s.count for s in coded) > 2 * size:
        raise Broken("it ends too early or too late")
    for section in plain:
        section.symbols = np.frombuffer(data, np.uint8, section.count, begin)
        begin += section.count
    if not coded:
        return
    classes = np.repeat(
        np.array([section.kind - 1 for section in coded], np.uint8),
        [section.count for section in coded],
    )
    words = np.frombuffer(data, "<u2", (len(data) - sum(s.count for s in plain)) // 2)
    symbols = lanes.decode(words, model.lanes, model.tables, classes)
    ends = np.cumsum([section.count for section in coded])
    for section, end in zip(coded, ends):
        section.symbols = symbols[end - section.count : end]
