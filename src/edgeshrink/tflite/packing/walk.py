"""Find the objects of a .tflite file in the order in which its builder made them."""

from __future__ import annotations

import struct
from typing import Any

from edgeshrink.tflite.esz.objects import IDENTIFIER, Object, Role, Template, build, padding
from edgeshrink.tflite.esz.structure import MOST_SLOTS

# What a table's field points to: another table, a vector of them, or a vector of numbers with
# its role, the bytes of an element and the least alignment. Fields that are not here are numbers.
INTS = (Role.REPEATED, 4)
INDICES = (Role.COUNTED, 4)
LONGS = (Role.REPEATED, 8)
SCALES = (Role.FLOATS, 4)
TEXT = (Role.TEXT, 1)
DATA = (Role.BYTES, 1)
SCHEMA: dict[str, dict[int, Any]] = {
    "Model": {
        1: ["OperatorCode"],
        2: ["SubGraph"],
        3: TEXT,
        4: ["Buffer"],
        5: INTS,
        6: ["Metadata"],
        7: ["SignatureDef"],
    },
    "OperatorCode": {1: TEXT},
    "SubGraph": {0: ["Tensor"], 1: INDICES, 2: INDICES, 3: ["Operator"], 4: TEXT},
    "Tensor": {0: INTS, 3: TEXT, 4: "Quantization", 7: INTS},
    "Quantization": {0: SCALES, 1: SCALES, 2: SCALES, 3: LONGS},
    "Buffer": {0: DATA},
    "Operator": {1: INDICES, 2: INDICES, 4: "Options", 5: DATA, 8: INDICES, 12: "Options"},
    "Metadata": {0: TEXT},
    "SignatureDef": {0: ["TensorMap"], 1: ["TensorMap"], 2: TEXT},
    "TensorMap": {0: TEXT},
    "Options": {},
    "ReshapeOptions": {0: INTS},
    "SqueezeOptions": {0: INTS},
}
# Options whose tables hold vectors, by the number of their type in the union.
OPTIONS = {17: "ReshapeOptions", 30: "SqueezeOptions"}
# Buffers are aligned to so many bytes, in files that keep to the schema.
WIDE = 16
OPTIONS_TYPE, OPTIONS_SLOT = 3, 4


class Unknown(Exception):
    """The file is none that a builder made of what the schema here knows."""


class Walk:
    """The objects of one file.

    Attributes:
        objects: in the order of their making.
        lead: zeros behind the identifier.
        tail: what follows the flatbuffer.
        buffers: for each vector of bytes that is a buffer's, the buffer's number.
        products: for a vector of scales (its number among them) those that it is the product of.

    Args:
        data: a .tflite file.

    Raises:
        Unknown: it is laid out otherwise than builders do.
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._made: dict[int, tuple[Object, list[int], int]] = {}
        self._buffers: dict[int, int] = {}
        if data[4:8] != IDENTIFIER:
            raise Unknown("no .tflite file")
        try:
            root = self._u32(0)
            self._table(root, "Model")
        except (struct.error, IndexError, ValueError, RecursionError) as error:
            raise Unknown(str(error)) from error
        self._places = sorted(self._made, reverse=True)
        number = {place: index for index, place in enumerate(self._places)}
        end = max(place + made[0].size() for place, made in self._made.items())
        self.tail = data[end:]
        self.buffers = {number[place]: k for place, k in self._buffers.items() if place in number}
        self.objects: list[Object] = []
        for place in self._places:
            one, targets, _ = self._made[place]
            one.targets = [number[target] for target in targets]
            if any(target >= len(self.objects) for target in one.targets):
                raise Unknown("an object lies before what it is made of")
            self.objects.append(one)
        self.lead = self._lay_out(end)

    def _lay_out(self, end: int) -> int:
        """Note the padding that alignment does not explain; return the zeros before the first."""
        used, tables = 0, set()
        for place, one in zip(self._places, self.objects, strict=True):
            size = one.size()
            wide = one.template._replace(align=WIDE)
            if one.template.role is Role.BYTES and end - place == used + size + padding(
                wide, size, used
            ):
                one.template = wide
            one.pad = end - place - size - used - padding(one.template, size, used)
            used = end - place
            if one.template.role is Role.TABLE and one.template.vtable() not in tables:
                tables.add(one.template.vtable())
                used += len(one.template.vtable())
            if one.pad < 0:
                raise Unknown("objects overlap")
        lead = end - used - 8
        if lead < 0 or build(self.objects, lead, self.tail, len(self.data)) != self.data:
            raise Unknown("it is laid out otherwise than builders do")
        return lead

    def _u32(self, place: int) -> int:
        return int(struct.unpack_from("<I", self.data, place)[0])

    def _table(self, place: int, name: str) -> None:
        if place in self._made:
            return
        vtable = place - int(struct.unpack_from("<i", self.data, place)[0])
        size, width = struct.unpack_from("<HH", self.data, vtable)
        count = (size - 4) // 2
        if vtable < 0 or count > MOST_SLOTS or place + width > len(self.data):
            raise Unknown("a table is too large")
        slots = struct.unpack_from(f"<{count}H", self.data, vtable + 4)
        kinds = SCHEMA[name]
        pointing = {p: kinds[s] for s, p in enumerate(slots) if p and s in kinds}
        template = Template(Role.TABLE, width, 4, slots, tuple(sorted(pointing)))
        targets = [place + p + self._u32(place + p) for p in sorted(pointing)]
        numbers = [
            int.from_bytes(self.data[place + p : place + p + w], "little")
            for p, w in template.fields()
        ]
        self._made[place] = (Object(template, numbers), targets, vtable)
        for target, p in zip(targets, sorted(pointing), strict=True):
            kind = pointing[p]
            if kind == "Options" and slots.index(p) == OPTIONS_SLOT and slots[OPTIONS_TYPE]:
                kind = OPTIONS.get(self.data[place + slots[OPTIONS_TYPE]], kind)
            if isinstance(kind, str):
                self._table(target, kind)
            elif isinstance(kind, list):
                self._tables(target, kind[0])
            else:
                self._vector(target, *kind)

    def _tables(self, place: int, name: str) -> None:
        if place in self._made:
            return
        count = self._u32(place)
        if count > len(self.data):
            raise Unknown("a vector is too long")
        targets = [place + 4 + 4 * k + self._u32(place + 4 + 4 * k) for k in range(count)]
        self._made[place] = (Object(Template(Role.OFFSETS)), targets, 0)
        for k, target in enumerate(targets):
            self._table(target, name)
            if name == "Buffer":
                self._buffers.update(dict.fromkeys(self._made[target][1], k))

    def _vector(self, place: int, role: Role, width: int) -> None:
        if place in self._made:
            return
        count = self._u32(place)
        end = place + 4 + count * width
        if end > len(self.data):
            raise Unknown("a vector is too long")
        data = self.data[place + 4 : end]
        one = Object(Template(role, width, max(width, 4)))
        if role in (Role.REPEATED, Role.COUNTED):
            one.numbers = list(struct.unpack(f"<{count}{'i' if width == 4 else 'q'}", data))
        else:
            one.data, one.count = data, count
        self._made[place] = (one, [], 0)
