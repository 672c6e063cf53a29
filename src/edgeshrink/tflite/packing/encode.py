"""Write `.esz` files, which hold a packed .tflite."""

from __future__ import annotations

import contextlib
import lzma
import zlib
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from edgeshrink.tflite import esz, reader as flat
from edgeshrink.tflite.esz import container, whole
from edgeshrink.tflite.esz.objects import Role
from edgeshrink.tflite.esz.varint import varint
from edgeshrink.tflite.packing.choose import Room, choose, classify
from edgeshrink.tflite.packing.encoder import Encoder
from edgeshrink.tflite.packing.lanes import encode, lanes_for
from edgeshrink.tflite.packing.products import products
from edgeshrink.tflite.packing.walk import Unknown, Walk


class Packed(NamedTuple):
    """A packed file.

    Attributes:
        data: its bytes.
        how: `modelled`, `lzma` or `zlib`.
        zlib: bytes of the same file by zlib at level 9.
        xz: bytes by xz at its strongest.
    """

    data: bytes
    how: str
    zlib: int
    xz: int


def pack(data: bytes, progress: Callable[[float, str], None] = lambda *_: None) -> Packed:
    """Return a .tflite file packed in the way that makes it smallest.

    What was packed is unpacked again and compared before it is returned.

    Args:
        data: the file.
        progress: told the share done (0..1) and a note.

    Returns:
        A named tuple: `data`, the bytes of the .esz file; `how` they were made, `modelled`,
        `lzma` or `zlib`; and to compare with, how many bytes the file takes by zlib at level 9
        (`zlib`) and by xz at its strongest (`xz`).

    Raises:
        ModelError: the bytes are no .tflite file, or a damaged one.
    """
    model = flat.read_model(data)
    deflated = zlib.compress(data, 9)
    xz = len(lzma.compress(data, preset=9 | lzma.PRESET_EXTREME))
    ways = {"zlib": deflated, "lzma": _headed(container.LZMA, data, _lzma(data))}
    with contextlib.suppress(Unknown, esz.Broken):  # of a damaged file there may be no model
        ways["modelled"] = _headed(container.MODELLED, data, _modelled(data, model, progress))
    for how in sorted(ways, key=lambda way: len(ways[way])):
        if _holds(ways[how], data):
            return Packed(ways[how], how, len(deflated), xz)
    # readers refuse what swells too much: a large file of next to nothing is stored as it is
    return Packed(zlib.compress(data, 0), "zlib", len(deflated), xz)


def _holds(packed: bytes, data: bytes) -> bool:
    try:
        return esz.unpack(packed) == data
    except esz.Broken:
        return False


def _headed(method: int, data: bytes, body: bytes) -> bytes:
    check = zlib.crc32(data).to_bytes(4, "little")
    return b"".join((esz.MAGIC, bytes((method,)), check, varint(len(data)), body))


def _lzma(data: bytes) -> bytes:
    strongest = {**container.LZMA_FILTER, "preset": 9 | lzma.PRESET_EXTREME}
    tries = [[{**strongest, "pb": alignment}] for alignment in (0, 2)]
    return min((lzma.compress(data, lzma.FORMAT_RAW, filters=one) for one in tries), key=len)


def _modelled(data: bytes, model: Any, progress: Callable[[float, str], None]) -> bytes:
    wanted = described(data, model, progress)
    reader = whole.primed()
    encoder = Encoder()
    encoder.learn_from(reader.structure.coder)
    reader.model(encoder, len(data), wanted)
    body = encoder.finish()
    sections = [s for one in wanted.contents for s in one.sections]
    coded = [s for s in sections if s.kind]
    words = np.empty(0, np.uint16)
    if coded:
        symbols = np.concatenate([np.asarray(s.symbols) for s in coded])
        classes = np.repeat([s.kind - 1 for s in coded], [s.count for s in coded])
        words = encode(symbols, wanted.lanes, wanted.tables, classes)
    plain = b"".join(np.asarray(s.symbols).tobytes() for s in sections if not s.kind)
    return varint(len(body)) + body + words.astype("<u2").tobytes() + plain


def described(
    data: bytes, model: Any, progress: Callable[[float, str], None] = lambda *_: None
) -> whole.Model:
    """Return what the coder is to write of a file.

    Raises:
        Unknown: the file is laid out otherwise than builders do.
    """
    walk = Walk(data)
    tensors = {t.buffer: t for t in reversed(model.tensors) if t.bytes}
    room, contents = Room(), []
    places = [k for k, one in enumerate(walk.objects) if one.template.role is Role.BYTES]
    for k, place in enumerate(places):
        tensor = tensors.get(walk.buffers.get(place, -1))
        progress(k / len(places), "packing weights")
        kind, shape = (tensor.dtype, tensor.shape) if tensor else ("", ())
        contents.append(choose(k, walk.objects[place].data, kind, shape, room))
    tables = classify(contents)
    count = sum(s.count for one in contents for s in one.sections if s.kind)
    return whole.Model(
        walk.objects,
        contents,
        walk.lead,
        walk.tail,
        lanes_for(count),
        tables,
        products(walk.objects),
    )
