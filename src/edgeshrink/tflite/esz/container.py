"""An .esz file from outside: how it begins, how it is coded, how much it may hold."""

from __future__ import annotations

import zlib

from .arithmetic import Broken
from .varint import read_varint

MAGIC = b"\xe5SZ"
VERSION = 1
# The byte behind the magic: the version, and how the rest is coded.
MODELLED, LZMA = VERSION << 4, VERSION << 4 | 1
# A file that nothing makes smaller is a zlib stream, and begins as those do.
ZLIB = 0x78
# No file of n bytes holds more than this; nothing larger is ever made room for.
# Deep compression of a large network comes to 50, and to 120 with all that is known.
ALWAYS, RATIO, MOST = 1 << 24, 1 << 7, (1 << 31) - 1
# Values that cost next to nothing are limited too, since they cost time.
VALUES, VALUES_A_BYTE = 1 << 21, 64
LZMA_FILTER = {"id": 0x21, "dict_size": 1 << 23}  # LZMA2


def is_packed(data: bytes) -> bool:
    """Return whether the bytes begin as a packed file does, but for the plain zlib stream."""
    return data[:3] == MAGIC


def limit(packed: int) -> int:
    """Return the most bytes that a packed file of so many may hold."""
    return min(ALWAYS + RATIO * packed, MOST)


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
