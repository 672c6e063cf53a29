"""A flatbuffer as the list of what its builder made, and how the builder lays it out.

A builder writes a flatbuffer from its end: first what nothing else is made of, last the root.
So the bytes follow from the objects in their order: what each begins with, how it is aligned,
where offsets point, and where tables of fields (vtables) are shared.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Dict, List, NamedTuple, Tuple

from .arithmetic import Broken

IDENTIFIER = b"TFL3"


class Role(IntEnum):
    """What an object holds, and so how it is coded."""

    TABLE = 0
    OFFSETS = 1  # a vector of offsets to other objects
    TEXT = 2  # a string, a zero behind it
    REPEATED = 3  # integers that come again and again: shapes, zero points
    COUNTED = 4  # integers that count up: indices of tensors
    FLOATS = 5  # scales
    BYTES = 6  # a buffer


class Template(NamedTuple):
    """What objects of one sort have in common.

    Attributes:
        role: what they hold.
        width: bytes of an element of a vector; of a table its size.
        align: what a vector's first element is aligned to, in bytes.
        slots: of a table, for each field its place, 0 where it has its default.
        offsets: of a table, the fields that are offsets to other objects.
    """

    role: Role
    width: int = 4
    align: int = 4
    slots: Tuple[int, ...] = ()
    offsets: Tuple[int, ...] = ()

    def fields(self) -> List[Tuple[int, int]]:
        """Return place and width of each number in a table, in order of place."""
        places = sorted({p for p in self.slots if p})
        ends = [*places[1:], self.width]
        found = []
        for place, end in zip(places, ends):
            if place not in self.offsets:
                found.append((place, next((w for w in (8, 4, 2) if w <= end - place), 1)))
        return found

    def vtable(self) -> bytes:
        """Return the table of fields."""
        size = 4 + 2 * len(self.slots)
        return struct.pack("<HH%dH" % len(self.slots), size, self.width, *self.slots)


@dataclass
class Object:
    """One thing that a builder made.

    Attributes:
        template: its sort.
        numbers: a table's, in order of place; the elements of a vector of integers.
        targets: indices of the objects that it points to: a table's in order of place.
        data: bytes of a vector of text, floats or bytes.
        count: elements of such a vector.
        pad: zeros behind it beyond what alignment asks for.
    """

    template: Template
    numbers: List[int] = field(default_factory=list)
    targets: List[int] = field(default_factory=list)
    data: bytes = b""
    count: int = 0
    pad: int = 0

    def size(self) -> int:
        """Return its bytes, without padding and table of fields."""
        role, width = self.template.role, self.template.width
        if role == Role.TABLE:
            return width
        if role == Role.OFFSETS:
            return 4 + 4 * len(self.targets)
        if role in (Role.REPEATED, Role.COUNTED):
            return 4 + width * len(self.numbers)
        return 4 + width * self.count + (role == Role.TEXT)


def padding(template: Template, size: int, used: int) -> int:
    """Return the zeros that alignment puts between an object and the one made before.

    Args:
        template: the object's.
        size: its bytes.
        used: bytes from what was made before to the end.
    """
    begin, align = 4, max(template.align, 4)
    if template.role == Role.TABLE:
        wide = [place for place, width in template.fields() if width == 8]
        begin, align = (wide[0], 8) if wide else (4, 4)
    return (begin - used - size) % align


def build(objects: List[Object], lead: int, tail: bytes, limit: int) -> bytes:
    """Return the file.

    Args:
        objects: in the order of their making, the root last.
        lead: zeros between the identifier and the first object.
        tail: what follows the flatbuffer.
        limit: the most bytes that it may have.

    Raises:
        Broken: the objects do not make a file, or one that is too large.
    """
    places: List[int] = []  # from the end of the flatbuffer to where each object begins
    tables: Dict[bytes, int] = {}
    used = 0
    for one in objects:
        size = one.size()
        used += padding(one.template, size, used) + one.pad + size
        places.append(used)
        if one.template.role == Role.TABLE:
            vtable = one.template.vtable()
            if vtable not in tables:
                used += len(vtable)
                tables[vtable] = used
        if used + len(tail) > limit:
            raise Broken("it holds more than it says")
    total = used + lead + 8
    if not objects or total + len(tail) > limit:
        raise Broken("it holds more than it says")
    file = bytearray(total)
    file[4:8] = IDENTIFIER
    struct.pack_into("<I", file, 0, total - places[-1])
    for vtable, place in tables.items():
        file[total - place : total - place + len(vtable)] = vtable
    try:
        for one, place in zip(objects, places):
            _write(file, total - place, one, [total - places[t] for t in one.targets], tables)
    except (struct.error, OverflowError, IndexError) as error:
        raise Broken("a value does not fit its place") from error
    return bytes(file) + tail


def _write(
    file: bytearray, start: int, one: Object, targets: List[int], tables: Dict[bytes, int]
) -> None:
    """Write one object at its place."""
    template = one.template
    if template.role == Role.TABLE:
        vtable = len(file) - tables[template.vtable()]
        struct.pack_into("<i", file, start, start - vtable)
        for (place, width), number in zip(template.fields(), one.numbers):
            file[start + place : start + place + width] = number.to_bytes(width, "little")
        for place, target in zip(sorted(template.offsets), targets):
            struct.pack_into("<I", file, start + place, target - start - place)
        return
    body = start + 4
    if template.role == Role.OFFSETS:
        count = len(targets)
        relative = [target - body - 4 * k for k, target in enumerate(targets)]
        struct.pack_into("<%dI" % count, file, body, *relative)
    elif template.role in (Role.REPEATED, Role.COUNTED):
        count, width = len(one.numbers), template.width
        data = b"".join(n.to_bytes(width, "little", signed=True) for n in one.numbers)
        file[body : body + len(data)] = data
    else:
        count = one.count
        if len(one.data) != count * template.width:
            raise Broken("a vector has another size than its content")
        file[body : body + len(one.data)] = one.data
    struct.pack_into("<I", file, start, count)
