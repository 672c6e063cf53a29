"""Numbers in bytes without numpy: types, quantization, and the file format .npy."""

import ast
import re
import struct
import sys
from array import array
from collections import namedtuple

from .result import JobError

Dtype = namedtuple("Dtype", "code size least greatest")

DTYPES = {
    "float16": Dtype("e", 2, None, None),
    "float32": Dtype("f", 4, None, None),
    "float64": Dtype("d", 8, None, None),
    "bool": Dtype("B", 1, 0, 1),
    "int8": Dtype("b", 1, -(2**7), 2**7 - 1),
    "uint8": Dtype("B", 1, 0, 2**8 - 1),
    "int16": Dtype("h", 2, -(2**15), 2**15 - 1),
    "uint16": Dtype("H", 2, 0, 2**16 - 1),
    "int32": Dtype("i", 4, -(2**31), 2**31 - 1),
    "uint32": Dtype("I", 4, 0, 2**32 - 1),
    "int64": Dtype("q", 8, -(2**63), 2**63 - 1),
    "uint64": Dtype("Q", 8, 0, 2**64 - 1),
}
KINDS = {"f": "float", "i": "int", "u": "uint"}
MAGIC = b"\x93NUMPY"
LONGEST_HEADER = 10_000


def of_dtype(name):
    """Return what is known of a type.

    Raises:
        JobError: it cannot be handled without numpy.
    """
    if name not in DTYPES:
        raise JobError("values of the type %s need numpy, which is not here" % name)
    return DTYPES[name]


def size_of(tensor):
    """Return the bytes of a tensor that the host described."""
    size = of_dtype(tensor["dtype"]).size
    for n in tensor["shape"]:
        size *= max(1, n)
    return size


def unpack(data, name):
    """Return the numbers in bytes."""
    dtype = of_dtype(name)
    if dtype.code == "e":
        return struct.unpack("<%de" % (len(data) // 2), data)
    return array(dtype.code, data)


def pack(numbers, name):
    """Return numbers as bytes."""
    dtype = of_dtype(name)
    if dtype.code == "e":
        return struct.pack("<%de" % len(numbers), *numbers)
    return array(dtype.code, numbers).tobytes()


def to_stored(numbers, name, tensor):
    """Return real numbers as the bytes that an input takes, to the bit as numpy would.

    Args:
        numbers: of one sample.
        name: their type.
        tensor: the input, as the host described it.
    """
    wanted, scale = of_dtype(tensor["dtype"]), tensor["scale"]
    if tensor["dtype"] == "bool":
        return bytes(1 if number else 0 for number in numbers)
    if wanted.least is None:
        return pack(numbers, tensor["dtype"])
    least, greatest = wanted.least, wanted.greatest
    if scale:
        zero_point = tensor["zero_point"]
        # In an array of floats, so that each quotient is rounded as a float32 would be.
        quotients = array("f", [number / scale for number in array("f", numbers)])
        numbers = [round(number) + zero_point for number in quotients]
    elif of_dtype(name).least is None:
        numbers = [round(number) for number in numbers]
    return pack([min(max(n, least), greatest) for n in numbers], tensor["dtype"])


def to_real(data, tensor):
    """Return the numbers of an output as the bytes of float32."""
    numbers, scale = unpack(data, tensor["dtype"]), tensor["scale"]
    if scale and of_dtype(tensor["dtype"]).least is not None:
        zero_point = tensor["zero_point"]
        numbers = [(number - zero_point) * scale for number in numbers]
    return pack(numbers, "float32")


def read_header(stream):
    """Return the type and shape of a .npy file, whose numbers follow in the stream.

    Raises:
        JobError: it is none, or none whose numbers lie in the order of C, little end first.
    """
    start = stream.read(8)
    if start[:6] != MAGIC or start[6:7] not in (b"\1", b"\2"):
        raise JobError("an input is not a .npy file of version 1 or 2")
    (length,) = struct.unpack("<H", stream.read(2)) if start[6] == 1 else _long(stream.read(4))
    if length > LONGEST_HEADER:
        raise JobError("the header of a .npy file is longer than any that numpy writes")
    try:
        header = ast.literal_eval(stream.read(length).decode("latin-1"))
        shape = [int(n) for n in header["shape"]]
        found = re.match(r"([<|])([fiub])([1248])$", header["descr"])
        order = header["fortran_order"]
    except (SyntaxError, ValueError, KeyError, TypeError, MemoryError, RecursionError):
        raise JobError("the header of a .npy file cannot be read") from None
    if not found or order or sys.byteorder != "little" or not shape or min(shape) < 0:
        raise JobError("without numpy, a .npy file must be little-endian and in the order of C")
    kind, size = found.group(2), int(found.group(3))
    return "bool" if kind == "b" else "%s%d" % (KINDS[kind], 8 * size), shape


def _long(data):
    return struct.unpack("<I", data)


def header(shape):
    """Return the beginning of a .npy file of float32 in this shape."""
    text = repr({"descr": "<f4", "fortran_order": False, "shape": tuple(shape)})
    # The numbers begin at a multiple of 64 bytes.
    text += " " * (-(len(MAGIC) + 4 + len(text) + 1) % 64) + "\n"
    return MAGIC + b"\1\0" + struct.pack("<H", len(text)) + text.encode("latin-1")
