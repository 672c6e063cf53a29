"""Read `.esz` files: a .tflite coded near its entropy, given back to the last bit.

Needs Python 3.8 and numpy alone, since it also runs on devices; docs/reference/esz.md tells the
format.
"""

from __future__ import annotations

import zlib
from typing import List, Tuple

from .arithmetic import Broken

__all__ = ["MAGIC", "Broken", "is_packed", "unpack"]

MAGIC = b"\xe5SZ"
VERSION = 1
# The byte behind the magic: the version, and how the rest is coded.
MODELLED, LZMA = VERSION << 4, VERSION << 4 | 1
# A file that nothing makes smaller is a zlib stream, and begins as those do.
ZLIB = 0x78
# No file of n bytes holds more than this; nothing larger is ever made room for.
ALWAYS, RATIO = 1 << 24, 1 << 10
# Values that cost next to nothing are limited too, since they cost time.
VALUES, VALUES_A_BYTE = 1 << 21, 64
MOST_VARINT = 5
LZMA_FILTER = {"id": 0x21, "dict_size": 1 << 23}  # LZMA2


def is_packed(data: bytes) -> bool:
    """Return whether the bytes begin as a packed file does, but for the plain zlib stream."""
    return data[:3] == MAGIC


def limit(packed: int) -> int:
    """Return the most bytes that a packed file of so many may hold."""
    return ALWAYS + RATIO * packed


def unpack(data: bytes) -> bytes:
    """Return the .tflite file.

    Raises:
        Broken: the bytes are no packed file, or a damaged one.
    """
    if data[:1] == bytes((ZLIB,)):
        return _inflated(data)
    if not is_packed(data) or len(data) < 9:
        raise Broken("it does not begin as a packed file")
    way = data[3]
    if way not in (MODELLED, LZMA):
        raise Broken("it is of a version or method that is not known here (%d)" % way)
    check = int.from_bytes(data[4:8], "little")
    size, place = read_varint(data, 8)
    if size > limit(len(data)):
        raise Broken("it claims to hold %d bytes, more than it has room for" % size)
    if way == LZMA:
        found = _unlzma(data[place:], size)
    else:
        from . import whole

        try:
            found = whole.decode(data[place:], size, VALUES + VALUES_A_BYTE * len(data))
        except (ValueError, IndexError, OverflowError, TypeError, KeyError) as error:
            raise error if isinstance(error, Broken) else Broken(str(error)) from error
    if len(found) != size or zlib.crc32(found) != check:
        raise Broken("the checksum of its content is wrong")
    return found


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


def _inflated(data: bytes) -> bytes:
    stream = zlib.decompressobj()
    try:
        found = stream.decompress(data, limit(len(data)))
    except zlib.error as error:
        raise Broken("the zlib stream is damaged") from error
    if not stream.eof or stream.unused_data:
        raise Broken("the zlib stream ends too early or too late")
    return found


def _unlzma(data: bytes, size: int) -> bytes:
    try:
        import lzma
    except ImportError:
        raise Broken("it needs lzma, which this Python was built without") from None
    stream = lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[LZMA_FILTER])
    try:
        return stream.decompress(data, size)
    except (lzma.LZMAError, EOFError) as error:
        raise Broken("the LZMA stream is damaged") from error
